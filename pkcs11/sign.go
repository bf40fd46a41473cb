package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// SignInit is C_SignInit. It is local.
func (m *Module) SignInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opSign, mechanism, key) })
}

// VerifyInit is C_VerifyInit. It is local.
func (m *Module) VerifyInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opVerify, mechanism, key) })
}

// Sign is C_Sign, one round trip.
func (m *Module) Sign(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opSign)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.signatureLen(), nil, func() ([]byte, error) {
			return s.single(ctx, op, data, nil)
		})
	})
}

func (op *operation) signatureLen() int {
	return op.mech.OutLen(mech.OpSign, op.key.keyBytes(), 0)
}

// SignUpdate is C_SignUpdate.
func (m *Module) SignUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.addTo(ctx, h, opSign, data)
}

// addTo gives data to the signature or verification that is active.
func (m *Module) addTo(ctx context.Context, h ck.SessionHandle, k opKind, data []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(k)
		if err != nil {
			return err
		}
		if err := s.collect(ctx, op, data); err != nil {
			return s.fail(k, err)
		}
		return nil
	})
}

// SignFinal is C_SignFinal.
func (m *Module) SignFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opSign)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.signatureLen(), nil, func() ([]byte, error) {
			return s.collected(ctx, op, nil)
		})
	})
}

// Verify is C_Verify.
func (m *Module) Verify(ctx context.Context, h ck.SessionHandle, data, signature []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opVerify)
		if err != nil {
			return err
		}
		_, err = s.single(ctx, op, data, signature)
		return s.fail(opVerify, err)
	})
}

// VerifyUpdate is C_VerifyUpdate.
func (m *Module) VerifyUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.addTo(ctx, h, opVerify, data)
}

// VerifyFinal is C_VerifyFinal.
func (m *Module) VerifyFinal(ctx context.Context, h ck.SessionHandle, signature []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opVerify)
		if err != nil {
			return err
		}
		_, err = s.collected(ctx, op, signature)
		return s.fail(opVerify, err)
	})
}
