package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// InitPIN is C_InitPIN.
func (m *Module) InitPIN(ctx context.Context, h ck.SessionHandle, pin ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetPIN is C_SetPIN.
func (m *Module) SetPIN(ctx context.Context, h ck.SessionHandle, old, new ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Login is C_Login.
func (m *Module) Login(ctx context.Context, h ck.SessionHandle, user ck.UserType, pin ck.Secret) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// LoginUser is C_LoginUser.
func (m *Module) LoginUser(ctx context.Context, h ck.SessionHandle, user ck.UserType, pin ck.Secret, name string) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Logout is C_Logout.
func (m *Module) Logout(ctx context.Context, h ck.SessionHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
