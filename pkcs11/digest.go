package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Digests are made here, by Go's crypto: they need no HSM, until C_DigestKey
// gives one a key whose value may not leave.

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
		return s.conclude(op, out, op.row.Hash.Size(), nil, func() ([]byte, error) {
			op.hash.Write(data)
			return op.hash.Sum(nil), nil
		})
	})
}

// DigestUpdate is C_DigestUpdate.
func (m *Module) DigestUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opDigest)
		if err != nil {
			return err
		}
		return s.digest(ctx, op, data)
	})
}

// DigestFinal is C_DigestFinal.
func (m *Module) DigestFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opDigest)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.row.Hash.Size(), nil, func() ([]byte, error) {
			if op.hash == nil {
				return s.collected(ctx, op, nil)
			}
			return op.hash.Sum(nil), nil
		})
	})
}
