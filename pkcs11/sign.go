package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// SignInit is C_SignInit.
func (m *Module) SignInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifyInit is C_VerifyInit.
func (m *Module) VerifyInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SignRecoverInit is C_SignRecoverInit.
func (m *Module) SignRecoverInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifyRecoverInit is C_VerifyRecoverInit.
func (m *Module) VerifyRecoverInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Sign is C_Sign.
func (m *Module) Sign(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SignUpdate is C_SignUpdate.
func (m *Module) SignUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SignFinal is C_SignFinal.
func (m *Module) SignFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SignRecover is C_SignRecover.
func (m *Module) SignRecover(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Verify is C_Verify.
func (m *Module) Verify(ctx context.Context, h ck.SessionHandle, data, signature []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifyUpdate is C_VerifyUpdate.
func (m *Module) VerifyUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifyFinal is C_VerifyFinal.
func (m *Module) VerifyFinal(ctx context.Context, h ck.SessionHandle, signature []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifyRecover is C_VerifyRecover.
func (m *Module) VerifyRecover(ctx context.Context, h ck.SessionHandle, signature []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifySignatureInit is C_VerifySignatureInit.
func (m *Module) VerifySignatureInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle, signature []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifySignature is C_VerifySignature.
func (m *Module) VerifySignature(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifySignatureUpdate is C_VerifySignatureUpdate.
func (m *Module) VerifySignatureUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// VerifySignatureFinal is C_VerifySignatureFinal.
func (m *Module) VerifySignatureFinal(ctx context.Context, h ck.SessionHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
