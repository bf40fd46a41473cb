package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// CreateObject is C_CreateObject.
func (m *Module) CreateObject(ctx context.Context, h ck.SessionHandle, t ck.Template) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CopyObject is C_CopyObject.
func (m *Module) CopyObject(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, t ck.Template) (ck.ObjectHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// DestroyObject is C_DestroyObject.
func (m *Module) DestroyObject(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetObjectSize is C_GetObjectSize.
func (m *Module) GetObjectSize(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle) (uint64, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetAttributeValue is C_GetAttributeValue.
func (m *Module) GetAttributeValue(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, want []AttributeOutput) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetAttributeValue is C_SetAttributeValue.
func (m *Module) SetAttributeValue(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, t ck.Template) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
