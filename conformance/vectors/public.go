package vectors

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// hashes are the names that the files use.
var hashes = map[string]struct {
	digest     ck.MechanismType
	mgf        uint64
	pkcs1, pss ck.MechanismType
	ecdsa      ck.MechanismType
}{
	"SHA-1":   {ck.CKM_SHA_1, ck.CKG_MGF1_SHA1, ck.CKM_SHA1_RSA_PKCS, ck.CKM_SHA1_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA1},
	"SHA-224": {ck.CKM_SHA224, ck.CKG_MGF1_SHA224, ck.CKM_SHA224_RSA_PKCS, ck.CKM_SHA224_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA224},
	"SHA-256": {ck.CKM_SHA256, ck.CKG_MGF1_SHA256, ck.CKM_SHA256_RSA_PKCS, ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA256},
	"SHA-384": {ck.CKM_SHA384, ck.CKG_MGF1_SHA384, ck.CKM_SHA384_RSA_PKCS, ck.CKM_SHA384_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA384},
	"SHA-512": {ck.CKM_SHA512, ck.CKG_MGF1_SHA512, ck.CKM_SHA512_RSA_PKCS, ck.CKM_SHA512_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA512},
}

// public is the group's public key.
func (r *runner) public(ctx context.Context, g *group) (key, error) {
	return r.once("public", func() (key, error) {
		k, err := r.importPublic(ctx, g.PublicDER)
		if err != nil && strings.Contains(err.Error(), ck.CKR_CURVE_NOT_SUPPORTED.Error()) {
			return key{}, leftOut("the service does not have the curve")
		}
		return k, err
	})
}

func (r *runner) private(ctx context.Context, g *group) (key, error) {
	return r.once("private", func() (key, error) { return r.importPrivate(ctx, ck.CKK_RSA, g.PrivatePKCS8) })
}

func (r *runner) ecdsa(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.public(ctx, g)
	if err != nil {
		return err
	}
	return r.verify(ctx, key, hashes[g.SHA].ecdsa, nil, v.Msg, v.Sig)
}

func (r *runner) eddsa(ctx context.Context, f *file, g *group, v *vector) error {
	if err := r.need(ck.CKM_EDDSA); err != nil {
		return err
	}
	key, err := r.public(ctx, g)
	if err != nil {
		return err
	}
	return r.verify(ctx, key, ck.CKM_EDDSA, nil, v.Msg, v.Sig)
}

func (r *runner) rsaPKCS1(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.public(ctx, g)
	if err != nil {
		return err
	}
	return r.verify(ctx, key, hashes[g.SHA].pkcs1, nil, v.Msg, v.Sig)
}

// rsaPSS: files "with parameters" have an SPKI of id-RSASSA-PSS; PKCS#11 keeps
// parameters in the mechanism, so the key is taken as a plain RSA one.
func (r *runner) rsaPSS(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.once("public", func() (key, error) { return r.importPublic(ctx, rsaSPKI(g.PublicASN)) })
	if err != nil {
		return err
	}
	h := hashes[g.SHA]
	return r.verify(ctx, key, h.pss, &mech.PSS{Hash: h.digest, MGF: hashes[g.MGFSHA].mgf, SaltLen: uint64(g.SaltLen)}, v.Msg, v.Sig)
}

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

func rsaSPKI(pkcs1 []byte) []byte {
	return mustDER(pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, pkcs1)
}

func mustDER(alg pkix.AlgorithmIdentifier, key []byte) []byte {
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{alg, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		panic("vectors: " + err.Error())
	}
	return der
}

func (r *runner) rsaOAEP(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.private(ctx, g)
	if err != nil {
		return err
	}
	p := &mech.OAEP{Hash: hashes[g.SHA].digest, MGF: hashes[g.MGFSHA].mgf, Source: ck.CKZ_DATA_SPECIFIED, Label: v.Label}
	if len(v.Label) == 0 {
		p.Source = 0
	}
	got, err := r.decrypt(ctx, key, ck.CKM_RSA_PKCS_OAEP, p, v.CT)
	if err != nil {
		return err
	}
	return same(got, v.Msg)
}

// rsaDecrypt: a service may answer bad padding with an error or with a random
// message (implicit rejection); both refuse the case.
func (r *runner) rsaDecrypt(ctx context.Context, f *file, g *group, v *vector) error {
	key, err := r.private(ctx, g)
	if err != nil {
		return err
	}
	got, err := r.decrypt(ctx, key, ck.CKM_RSA_PKCS, nil, v.CT)
	if err != nil {
		return err
	}
	return same(got, v.Msg)
}
