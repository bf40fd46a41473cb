package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// SeedRandom is C_SeedRandom.
func (m *Module) SeedRandom(ctx context.Context, h ck.SessionHandle, seed []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}

// GenerateRandom is C_GenerateRandom.
func (m *Module) GenerateRandom(ctx context.Context, h ck.SessionHandle, buf []byte) error {
	return ck.CKR_FUNCTION_NOT_SUPPORTED
}
