package server

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// Rewrapping of stored keys, between commit and finalize of a new master key.
// The state of the work is in the blobs themselves: each names its wrapping key,
// so an interrupted run is simply run again.

const (
	rewrapBatch    = 500
	maxRewrapBatch = 5000
	rewrapParallel = 16 // so that the store's group commits are worth it
)

// sealsAhead is a unit that can seal new blobs under the committed next key.
type sealsAhead interface{ SealAhead(pattern []byte) error }

// RewrapStore looks at a batch of stored keys and seals those that need it under
// the new key. From its first call on, units make new blobs under that key too.
func (c *call) RewrapStore(ctx context.Context, r *extpb.RewrapStoreRequest) (*extpb.RewrapStoreResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	if len(r.Pattern) != 32 {
		return nil, fmt.Errorf("pattern of %d bytes: %w", len(r.Pattern), ck.CKR_ARGUMENTS_BAD)
	}
	if !r.CountOnly {
		if err := c.srv.sealAhead(ctx, r.Pattern); err != nil {
			return nil, err
		}
	}
	limit := int(min(r.Limit, maxRewrapBatch))
	if limit == 0 {
		limit = rewrapBatch
	}
	batch, err := c.srv.ext.store.Sealed(ctx, ck.ObjectHandle(r.After), limit)
	if err != nil {
		return nil, err
	}
	out := &extpb.RewrapStoreResponse{Seen: uint64(len(batch))}
	if len(batch) == limit {
		out.Next = uint64(batch[limit-1].Handle)
	}
	return out, c.rewrap(ctx, r, batch, out)
}

// sealAhead has every unit use the new key for new blobs, also after a restart. A
// unit that has not committed it ends the rotation here, before any other uses it.
func (s *Server) sealAhead(ctx context.Context, pattern []byte) error {
	var all []sealsAhead
	for _, u := range s.units.Units() {
		if len(u.WrappingKey) == 0 {
			continue // it has no key yet and makes no blobs
		}
		a, ok := s.units.Unit(u.Name).(sealsAhead)
		switch {
		case !ok:
			return fmt.Errorf("crypto unit %q holds one master key only: %w", u.Name, ck.CKR_FUNCTION_NOT_SUPPORTED)
		case !bytes.Equal(u.WrappingKey, pattern) && !bytes.Equal(s.units.CommittedKey(u.Name), pattern):
			return fmt.Errorf("crypto unit %s has not committed the master key %x: %w", u.Name, pattern, ck.CKR_IBM_WKID_MISMATCH)
		}
		all = append(all, a)
	}
	for _, a := range all {
		if err := a.SealAhead(pattern); err != nil {
			return err
		}
	}
	return s.ext.store.BeginResealing(ctx, pattern)
}

// rewrap counts, and unless that is all, rewraps with some calls at a time.
func (c *call) rewrap(ctx context.Context, r *extpb.RewrapStoreRequest, batch []keystore.Sealed, out *extpb.RewrapStoreResponse) error {
	var left, rewrapped, foreign atomic.Uint64
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	places := make(chan struct{}, rewrapParallel)
	for _, o := range batch {
		id, err := unit.Blob(o.Blob).WKID()
		if err == nil && string(id[:]) == string(r.Pattern[:len(id)]) {
			continue
		}
		left.Add(1)
		if r.CountOnly || err != nil || failed.Load() != nil {
			continue
		}
		places <- struct{}{}
		workers.Go(func() {
			defer func() { <-places }()
			switch err := c.rewrapOne(ctx, o); {
			case err == nil:
				rewrapped.Add(1)
			case ck.RVOf(err) == ck.CKR_IBM_WKID_MISMATCH:
				foreign.Add(1)
			case !keystore.Changed(err):
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	workers.Wait()
	out.Rewrapped, out.Foreign = rewrapped.Load(), foreign.Load()
	out.Left = left.Load() - out.Rewrapped
	if e := failed.Load(); e != nil {
		return *e
	}
	return nil
}

func (c *call) rewrapOne(ctx context.Context, o keystore.Sealed) error {
	blob, err := balancer.Do(ctx, c.srv.units, false, func(u unit.Unit) (unit.Blob, error) { return u.Rewrap(ctx, o.Blob) })
	if err != nil {
		return fmt.Errorf("stored key %d: %w", o.Handle, err)
	}
	return c.srv.ext.store.Reseal(ctx, o, blob)
}
