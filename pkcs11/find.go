package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// FindObjectsInit is C_FindObjectsInit.
func (m *Module) FindObjectsInit(ctx context.Context, h ck.SessionHandle, t ck.Template) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// FindObjects is C_FindObjects.
func (m *Module) FindObjects(ctx context.Context, h ck.SessionHandle, max int) ([]ck.ObjectHandle, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// FindObjectsFinal is C_FindObjectsFinal.
func (m *Module) FindObjectsFinal(ctx context.Context, h ck.SessionHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
