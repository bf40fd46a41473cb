package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Digests are made here, by Go's crypto: they need no key and no HSM.

// DigestInit is C_DigestInit.
func (m *Module) DigestInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism) error {
	return m.in(h, func(s *session) error {
		if err := s.begin(ctx, opDigest, mechanism, 0); err != nil || mechanism == nil {
			return err
		}
		s.ops[opDigest].hash = s.ops[opDigest].row.Hash.New()
		return nil
	})
}

// Digest is C_Digest.
func (m *Module) Digest(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opDigest)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.hash.Size(), nil, func() ([]byte, error) {
			op.hash.Write(data)
			return op.hash.Sum(nil), nil
		})
	})
}

// DigestUpdate is C_DigestUpdate.
func (m *Module) DigestUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.active(opDigest)
		if err != nil {
			return err
		}
		op.parts = true
		op.hash.Write(data)
		return nil
	})
}

// DigestKey is C_DigestKey.
func (m *Module) DigestKey(ctx context.Context, h ck.SessionHandle, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DigestFinal is C_DigestFinal.
func (m *Module) DigestFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.active(opDigest)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.hash.Size(), nil, func() ([]byte, error) {
			return op.hash.Sum(nil), nil
		})
	})
}
