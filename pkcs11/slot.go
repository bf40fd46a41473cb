package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// GetSlotList is C_GetSlotList.
func (m *Module) GetSlotList(ctx context.Context, tokenPresent bool) ([]ck.SlotID, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetSlotInfo is C_GetSlotInfo.
func (m *Module) GetSlotInfo(ctx context.Context, id ck.SlotID) (ck.SlotInfo, error) {
	return ck.SlotInfo{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetTokenInfo is C_GetTokenInfo.
func (m *Module) GetTokenInfo(ctx context.Context, id ck.SlotID) (ck.TokenInfo, error) {
	return ck.TokenInfo{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetMechanismList is C_GetMechanismList.
func (m *Module) GetMechanismList(ctx context.Context, id ck.SlotID) ([]ck.MechanismType, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GetMechanismInfo is C_GetMechanismInfo.
func (m *Module) GetMechanismInfo(ctx context.Context, id ck.SlotID, mechanism ck.MechanismType) (ck.MechanismInfo, error) {
	return ck.MechanismInfo{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// InitToken is C_InitToken.
func (m *Module) InitToken(ctx context.Context, id ck.SlotID, pin ck.Secret, label string) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// WaitForSlotEvent is C_WaitForSlotEvent.
func (m *Module) WaitForSlotEvent(ctx context.Context, dontBlock bool) (ck.SlotID, error) {
	return 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}
