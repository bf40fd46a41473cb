package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// OpenSession is C_OpenSession.
func (m *Module) OpenSession(ctx context.Context, id ck.SlotID, flags ck.Flags) (ck.SessionHandle, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CloseSession is C_CloseSession.
func (m *Module) CloseSession(ctx context.Context, h ck.SessionHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// CloseAllSessions is C_CloseAllSessions.
func (m *Module) CloseAllSessions(ctx context.Context, id ck.SlotID) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetSessionInfo is C_GetSessionInfo.
func (m *Module) GetSessionInfo(ctx context.Context, h ck.SessionHandle) (ck.SessionInfo, error) {
	return ck.SessionInfo{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SessionCancel is C_SessionCancel.
func (m *Module) SessionCancel(ctx context.Context, h ck.SessionHandle, flags ck.Flags) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetOperationState is C_GetOperationState.
func (m *Module) GetOperationState(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// SetOperationState is C_SetOperationState.
func (m *Module) SetOperationState(ctx context.Context, h ck.SessionHandle, state []byte, encryption, authentication ck.ObjectHandle) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetSessionValidationFlags is C_GetSessionValidationFlags.
func (m *Module) GetSessionValidationFlags(ctx context.Context, h ck.SessionHandle, kind uint64) (ck.Flags, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}
