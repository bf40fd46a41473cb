package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
)

const lenRandom = 64 << 10 // of one request

// SeedRandom is C_SeedRandom. The crypto units take no seed from outside.
func (m *Module) SeedRandom(ctx context.Context, h ck.SessionHandle, seed []byte) error {
	return m.in(h, func(*session) error { return ck.CKR_RANDOM_SEED_NOT_SUPPORTED })
}

// GenerateRandom is C_GenerateRandom. Nothing is kept for later calls: bytes
// that wait here could be read here.
func (m *Module) GenerateRandom(ctx context.Context, h ck.SessionHandle, buf []byte) error {
	return m.in(h, func(s *session) error {
		for len(buf) > 0 {
			n := min(len(buf), lenRandom)
			b, err := s.slot.token().Random(ctx, n)
			if err != nil {
				return err
			}
			if len(b) != n {
				return fmt.Errorf("the service gave %d random bytes instead of %d: %w", len(b), n, ck.CKR_DEVICE_ERROR)
			}
			buf = buf[copy(buf, b):]
		}
		return nil
	})
}
