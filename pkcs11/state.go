package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// GetOperationState is C_GetOperationState.
func (m *Module) GetOperationState(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetOperationState is C_SetOperationState.
func (m *Module) SetOperationState(ctx context.Context, h ck.SessionHandle, state []byte, encryption, authentication ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
