package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// To sign with recovery is what C_Sign does with the same mechanisms; to recover
// needs the public key alone, and is done here.

// shownInfo is a mechanism as C_GetMechanismInfo gives it: the service's uses,
// and those that the module makes of them.
func shownInfo(t ck.MechanismType, info ck.MechanismInfo) ck.MechanismInfo {
	if mech.Recovers(t) && info.Flags&ck.CKF_SIGN != 0 {
		info.Flags |= ck.CKF_SIGN_RECOVER | ck.CKF_VERIFY_RECOVER
	}
	if r, err := mech.Lookup(t); err == nil {
		info.Flags = withMessages(r, info.Flags)
	}
	return info
}

func (s *session) beginRecover(ctx context.Context, k opKind, m *mech.Mechanism, key ck.ObjectHandle) error {
	if m != nil && !mech.Recovers(m.Type) {
		return fmt.Errorf("%v does not recover data: %w", m.Type, ck.CKR_MECHANISM_INVALID)
	}
	return s.begin(ctx, k, m, key)
}

// SignRecoverInit is C_SignRecoverInit.
func (m *Module) SignRecoverInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.beginRecover(ctx, opSignRecover, mechanism, key) })
}

// VerifyRecoverInit is C_VerifyRecoverInit.
func (m *Module) VerifyRecoverInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.beginRecover(ctx, opVerifyRecover, mechanism, key) })
}

// SignRecover is C_SignRecover.
func (m *Module) SignRecover(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opSignRecover)
		if err != nil {
			return err
		}
		return s.conclude(op, out, op.signatureLen(), nil, func() ([]byte, error) {
			return s.single(ctx, op, data, nil)
		})
	})
}

// VerifyRecover is C_VerifyRecover.
func (m *Module) VerifyRecover(ctx context.Context, h ck.SessionHandle, signature []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opVerifyRecover)
		if err != nil {
			return err
		}
		k := op.key.publicKey()
		if k == nil {
			return s.fail(opVerifyRecover, fmt.Errorf("%v: %w", op.key, ck.CKR_KEY_SIZE_RANGE))
		}
		data, err := k.Recover(op.mech, signature)
		if err != nil {
			return s.fail(opVerifyRecover, err)
		}
		return s.conclude(op, out, len(data), signature, func() ([]byte, error) { return data, nil })
	})
}
