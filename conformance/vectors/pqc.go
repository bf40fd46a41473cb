package vectors

import (
	"context"

	"grep11/pkcs11/ck"
)

func (s *service) mldsaVerify(ctx context.Context, f *file, g *group, v *vector) error {
	return s.need(ck.CKM_ML_DSA)
}

func (s *service) mldsaSign(ctx context.Context, f *file, g *group, v *vector) error {
	return s.need(ck.CKM_ML_DSA)
}

func (s *service) mlkem(ctx context.Context, f *file, g *group, v *vector) error {
	return s.need(ck.CKM_ML_KEM)
}
