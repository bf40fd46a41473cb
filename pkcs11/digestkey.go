package pkcs11

import (
	"context"
	"fmt"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// maxBefore is how much may be digested before C_DigestKey: so much is kept, to
// be digested again by the service if it has to take over.
const maxBefore = 4 << 10

// digest takes a part of what is digested.
func (s *session) digest(ctx context.Context, op *operation, data []byte) error {
	op.parts = true
	if op.hash == nil {
		if err := s.collect(ctx, op, data); err != nil {
			return s.fail(op.kind, err)
		}
		return nil
	}
	op.hash.Write(data)
	if !op.long && len(op.buf)+len(data) <= maxBefore {
		op.buf = append(op.buf, data...)
	} else {
		op.long, op.buf = true, nil
	}
	return nil
}

// DigestKey is C_DigestKey. A key whose value may be read is digested here. For
// others the digest moves to the service, with what it has seen so far: keys
// come first in all protocols that do such a thing.
func (m *Module) DigestKey(ctx context.Context, h ck.SessionHandle, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opDigest)
		if err != nil {
			return err
		}
		o, err := s.object(ctx, key, true)
		if isGone(err) || err == nil && !o.isKey() {
			return fmt.Errorf("key handle %#x: %w", uint64(key), ck.CKR_KEY_HANDLE_INVALID)
		}
		if err != nil {
			return err
		}
		if o.class != ck.CKO_SECRET_KEY {
			return s.fail(opDigest, fmt.Errorf("%v: %w", o, ck.CKR_KEY_INDIGESTIBLE))
		}
		if err := s.digestKey(ctx, op, o); err != nil {
			return s.fail(opDigest, err)
		}
		return nil
	})
}

func (s *session) digestKey(ctx context.Context, op *operation, o *object) error {
	if o.readable() {
		values, err := s.slot.token().KeyValue(ctx, o.Key, []ck.AttributeType{ck.CKA_VALUE})
		if err != nil {
			return err
		}
		return s.digest(ctx, op, values.Bytes(ck.CKA_VALUE))
	}
	if err := s.digestAway(ctx, op); err != nil {
		return err
	}
	next, err := s.slot.token().DigestKey(ctx, op.state, o.Key)
	if err != nil {
		return err
	}
	op.state, op.parts = next, true
	return nil
}

// digestAway gives a digest to the service.
func (s *session) digestAway(ctx context.Context, op *operation) (err error) {
	if op.hash != nil && op.long {
		return fmt.Errorf("a key after more than %d bytes: %w", maxBefore, ck.CKR_KEY_INDIGESTIBLE)
	}
	if op.state == nil {
		if op.state, err = s.slot.token().Init(ctx, mech.OpDigest, op.mech, noKey); err != nil {
			return err
		}
	}
	op.hash = nil
	_, err = s.send(ctx, op, op.buf)
	op.buf = nil
	return err
}

// noKey is what an operation without a key gives the service.
var noKey grep11client.Key
