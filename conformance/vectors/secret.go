package vectors

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// secret brings a secret key in.
func (r *runner) secret(ctx context.Context, kt ck.KeyType, value []byte) (key, error) {
	if len(value) == 0 {
		return key{}, leftOut("a key has at least one byte")
	}
	return r.importSecret(ctx, kt, value)
}

func (r *runner) blockCipher(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.secret(ctx, ck.CKK_AES, v.Key)
	if err != nil {
		return err
	}
	got, err := r.decrypt(ctx, key, ck.CKM_AES_CBC_PAD, mech.IV(v.IV), v.CT)
	if err != nil {
		return err
	}
	return same(got, v.Msg)
}

var macs = map[string]struct {
	key  ck.KeyType
	mech ck.MechanismType
}{
	"HMACSHA1":       {ck.CKK_GENERIC_SECRET, ck.CKM_SHA_1_HMAC},
	"HMACSHA224":     {ck.CKK_GENERIC_SECRET, ck.CKM_SHA224_HMAC},
	"HMACSHA256":     {ck.CKK_GENERIC_SECRET, ck.CKM_SHA256_HMAC},
	"HMACSHA384":     {ck.CKK_GENERIC_SECRET, ck.CKM_SHA384_HMAC},
	"HMACSHA512":     {ck.CKK_GENERIC_SECRET, ck.CKM_SHA512_HMAC},
	"HMACSHA512/224": {ck.CKK_GENERIC_SECRET, ck.CKM_SHA512_224_HMAC},
	"HMACSHA512/256": {ck.CKK_GENERIC_SECRET, ck.CKM_SHA512_256_HMAC},
	"HMACSHA3-256":   {ck.CKK_GENERIC_SECRET, ck.CKM_SHA3_256_HMAC},
	"HMACSHA3-512":   {ck.CKK_GENERIC_SECRET, ck.CKM_SHA3_512_HMAC},
	"AES-CMAC":       {ck.CKK_AES, ck.CKM_AES_CMAC},
}

// mac signs, and for full-length tags verifies too; shortened tags are compared
// with the start of the full one.
func (r *runner) mac(ctx context.Context, f *file, g *group, v *vector) error {
	m, ok := macs[f.Algorithm]
	if !ok {
		return leftOut("unknown MAC " + f.Algorithm)
	}
	if err := r.need(m.mech); err != nil {
		return err
	}
	key, err := r.secret(ctx, m.key, v.Key)
	if err != nil {
		return err
	}
	full, err := r.sign(ctx, key, m.mech, nil, v.Msg)
	if err != nil {
		return err
	}
	if len(v.Tag) == len(full) {
		return r.verify(ctx, key, m.mech, nil, v.Msg, v.Tag)
	}
	if len(v.Tag) > len(full) {
		return errWrong
	}
	return same(full[:len(v.Tag)], v.Tag)
}

func (r *runner) aead(ctx context.Context, f *file, g *group, v *vector) error {
	kt, m := ck.CKK_AES, ck.CKM_AES_GCM
	var p mech.Param = &mech.GCM{IV: v.IV, AAD: v.AAD, TagBits: uint64(g.TagSize)}
	if f.Algorithm == "CHACHA20-POLY1305" {
		kt, m = ck.CKK_CHACHA20, ck.CKM_CHACHA20_POLY1305
		p = &mech.ChaCha{Nonce: v.IV, AAD: v.AAD}
	}
	if err := r.need(m); err != nil {
		return err
	}
	key, err := r.secret(ctx, kt, v.Key)
	if err != nil {
		return err
	}
	got, err := r.decrypt(ctx, key, m, p, append(append([]byte(nil), v.CT...), v.Tag...))
	if err != nil {
		return err
	}
	return same(got, v.Msg)
}

func (r *runner) keyWrap(ctx context.Context, f *file, g *group, v *vector) error {
	m := ck.CKM_AES_KEY_WRAP
	if f.Algorithm == "AES-KWP" {
		m = ck.CKM_AES_KEY_WRAP_KWP
	}
	key, err := r.secret(ctx, ck.CKK_AES, v.Key)
	if err != nil {
		return err
	}
	got, err := r.decrypt(ctx, key, m, nil, v.CT)
	if err != nil {
		return err
	}
	return same(got, v.Msg)
}
