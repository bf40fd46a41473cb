package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// EncryptInit is C_EncryptInit.
func (m *Module) EncryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Encrypt is C_Encrypt.
func (m *Module) Encrypt(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// EncryptUpdate is C_EncryptUpdate.
func (m *Module) EncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// EncryptFinal is C_EncryptFinal.
func (m *Module) EncryptFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecryptInit is C_DecryptInit.
func (m *Module) DecryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Decrypt is C_Decrypt.
func (m *Module) Decrypt(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecryptUpdate is C_DecryptUpdate.
func (m *Module) DecryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecryptFinal is C_DecryptFinal.
func (m *Module) DecryptFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DigestEncryptUpdate is C_DigestEncryptUpdate.
func (m *Module) DigestEncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecryptDigestUpdate is C_DecryptDigestUpdate.
func (m *Module) DecryptDigestUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SignEncryptUpdate is C_SignEncryptUpdate.
func (m *Module) SignEncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecryptVerifyUpdate is C_DecryptVerifyUpdate.
func (m *Module) DecryptVerifyUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
