package vectors

import (
	"context"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func (r *runner) hkdf(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_HKDF_DERIVE); err != nil {
		return err
	}
	h, ok := hashes[strings.TrimPrefix(f.Algorithm, "HKDF-")]
	if !ok {
		return leftOut("unknown KDF " + f.Algorithm)
	}
	key, err := r.secret(ctx, ck.CKK_GENERIC_SECRET, v.IKM)
	if err != nil {
		return err
	}
	p := &mech.HKDF{Extract: true, Expand: true, Hash: h.digest, SaltType: uint64(ck.CKF_HKDF_SALT_DATA), Salt: v.Salt, Info: v.Info}
	if len(v.Salt) == 0 {
		p.SaltType = uint64(ck.CKF_HKDF_SALT_NULL)
	}
	got, err := r.derive(ctx, key, ck.CKM_HKDF_DERIVE, p, v.Size)
	if err != nil {
		return err
	}
	return same(got, v.OKM)
}
