package pkcs11

import (
	"bytes"
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// C_VerifySignature and its kin, new in PKCS#11 v3.2 §5.16: verification that
// knows the signature before the data.

// VerifySignatureInit is C_VerifySignatureInit.
func (m *Module) VerifySignatureInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle, signature []byte) error {
	return m.in(h, func(s *session) error {
		if err := s.begin(ctx, opVerifySignature, mechanism, key); err != nil || mechanism == nil {
			return err
		}
		s.ops[opVerifySignature].sig = bytes.Clone(signature)
		return nil
	})
}

// VerifySignature is C_VerifySignature.
func (m *Module) VerifySignature(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.in(h, func(s *session) error {
		op, err := s.whole(opVerifySignature)
		if err != nil {
			return err
		}
		_, err = s.single(ctx, op, data, op.sig)
		return s.fail(opVerifySignature, err)
	})
}

// VerifySignatureUpdate is C_VerifySignatureUpdate.
func (m *Module) VerifySignatureUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return m.addTo(ctx, h, opVerifySignature, data)
}

// VerifySignatureFinal is C_VerifySignatureFinal.
func (m *Module) VerifySignatureFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(opVerifySignature)
		if err != nil {
			return err
		}
		_, err = s.collected(ctx, op, op.sig)
		return s.fail(opVerifySignature, err)
	})
}
