package server

import (
	"context"
	"fmt"
	"time"

	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/balancer"
	"grep11/server/unit"
)

// call is one request on its way. Handlers are its methods, named as in the
// protocol.
type call struct {
	srv    *Server
	method *method
	peer   string // for the log
	// As the caller sent them; whoever uses them checks them.
	credential []byte // of a login; empty: not logged in
	token      []byte // that stored keys belong to
	prehashed  bool
	// limit is how long the caller waits; 0: no bound of its own.
	limit time.Duration
	// slow calls may keep a crypto unit busy for seconds.
	slow bool
	// inParts: the call leaves a state, which its caller may use any number of times.
	inParts bool
}

// onUnit runs f on a healthy unit, and again on another if the unit fails.
func onUnit[T any](ctx context.Context, c *call, f func(unit.Unit) (T, error)) (T, error) {
	return balancer.Do(ctx, c.srv.units, c.slow, func(u unit.Unit) (T, error) {
		if err := c.srv.faults.take(ctx); err != nil {
			var zero T
			return zero, err
		}
		return f(u)
	})
}

// key finds a key's blob for one use of it.
func (c *call) key(ctx context.Context, k *grep11pb.KeyBlob, legacy []byte) (unit.Blob, error) {
	given, err := c.given(ctx, k, legacy)
	if err != nil {
		return nil, err
	}
	return c.use(ctx, given)
}

// given finds what stands for a key: the current field where it holds a blob, the
// older dialect's bytes, a stored key by its id (grep11-wire 4 and 9.2).
func (c *call) given(ctx context.Context, k *grep11pb.KeyBlob, legacy []byte) (unit.Blob, error) {
	if blobs := k.GetKeyBlobs(); len(blobs) > 0 && len(blobs[0]) > 0 {
		return blobs[0], nil
	}
	if len(legacy) > 0 {
		return legacy, nil
	}
	if id := k.GetKeyBlobID(); len(id) > 0 {
		return c.storedKey(ctx, id)
	}
	return nil, nil
}

// keyFor is key for a mechanism: CKR_IBM_BLOB_ERROR where it needs one and none came.
func (c *call) keyFor(ctx context.Context, m mech.Mechanism, k *grep11pb.KeyBlob, legacy []byte) (unit.Blob, error) {
	if keyless[m.Type] {
		return nil, nil
	}
	blob, err := c.key(ctx, k, legacy)
	if err == nil && len(blob) == 0 {
		err = fmt.Errorf("%v: no key in the request: %w", m, ck.CKR_IBM_BLOB_ERROR)
	}
	return blob, err
}

// keyless mechanisms ignore the key, which clients may send or leave out
// (grep11-wire 4, 11.5, 11.6).
var keyless = map[ck.MechanismType]bool{
	ck.CKM_IBM_EC_AGGREGATE: true,
	ck.CKM_IBM_TRANSPORTKEY: true,
}

// mechanism decodes one. What no unit offers is CKR_MECHANISM_INVALID, whatever
// its parameter.
func (c *call) mechanism(m *grep11pb.Mechanism) (mech.Mechanism, error) {
	out, err := wire.DecodeMechanism(m)
	if err != nil && c.offered(out.Type) == nil {
		err = fmt.Errorf("mechanism %v: %w", out.Type, ck.CKR_MECHANISM_INVALID)
	}
	return out, err
}

// mechanismAndKey decodes what most requests begin with.
func (c *call) mechanismAndKey(ctx context.Context, m *grep11pb.Mechanism, k *grep11pb.KeyBlob, legacy []byte) (mech.Mechanism, unit.Blob, error) {
	mm, err := c.mechanism(m)
	if err != nil {
		return mech.Mechanism{}, nil, err
	}
	blob, err := c.keyFor(ctx, mm, k, legacy)
	return mm, blob, err
}

// keyBlob is a key in an answer. Its id stays empty: clients echo what is set.
func keyBlob(k unit.Key) (*grep11pb.KeyBlob, error) {
	attrs, err := wire.EncodeTemplate(k.Attributes)
	return &grep11pb.KeyBlob{Attributes: attrs, KeyBlobs: [][]byte{k.Blob}}, err
}
