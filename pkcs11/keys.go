package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// GenerateKey is C_GenerateKey.
func (m *Module) GenerateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, t ck.Template) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GenerateKeyPair is C_GenerateKeyPair.
func (m *Module) GenerateKeyPair(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, pub, priv ck.Template) (pubKey, privKey ck.ObjectHandle, err error) {
	return 0, 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// WrapKey is C_WrapKey.
func (m *Module) WrapKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek, key ck.ObjectHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// UnwrapKey is C_UnwrapKey.
func (m *Module) UnwrapKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek ck.ObjectHandle, wrapped []byte, t ck.Template) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DeriveKey is C_DeriveKey.
func (m *Module) DeriveKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, base ck.ObjectHandle, t ck.Template) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// WrapKeyAuthenticated is C_WrapKeyAuthenticated.
func (m *Module) WrapKeyAuthenticated(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek, key ck.ObjectHandle, aad []byte, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// UnwrapKeyAuthenticated is C_UnwrapKeyAuthenticated.
func (m *Module) UnwrapKeyAuthenticated(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek ck.ObjectHandle, wrapped []byte, t ck.Template, aad []byte) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// EncapsulateKey is C_EncapsulateKey.
func (m *Module) EncapsulateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, pub ck.ObjectHandle, t ck.Template, out *Output) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DecapsulateKey is C_DecapsulateKey.
func (m *Module) DecapsulateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, priv ck.ObjectHandle, t ck.Template, ciphertext []byte) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}
