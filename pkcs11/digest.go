package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// DigestInit is C_DigestInit.
func (m *Module) DigestInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Digest is C_Digest.
func (m *Module) Digest(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DigestUpdate is C_DigestUpdate.
func (m *Module) DigestUpdate(ctx context.Context, h ck.SessionHandle, data []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DigestKey is C_DigestKey.
func (m *Module) DigestKey(ctx context.Context, h ck.SessionHandle, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DigestFinal is C_DigestFinal.
func (m *Module) DigestFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
