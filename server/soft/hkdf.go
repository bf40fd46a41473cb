package soft

import (
	"crypto"
	"crypto/hkdf"
	"fmt"
	"hash"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{generate: generateHKDF}, ck.CKM_HKDF_KEY_GEN)
	provide(engine{derive: deriveHKDF}, ck.CKM_HKDF_DERIVE)
	provide(engine{derive: deriveHKDFData}, ck.CKM_HKDF_DATA)
}

func generateHKDF(_ mech.Mechanism, r *request) (*key, error) {
	if err := r.want(ck.CKK_HKDF); err != nil {
		return nil, err
	}
	n, err := r.ulong(ck.CKA_VALUE_LEN)
	if err != nil {
		return nil, err
	}
	if err := checkSecretLen(ck.CKK_HKDF, n); err != nil {
		return nil, err
	}
	return secretOf(ck.CKK_HKDF, int(n)), nil
}

// deriveHKDF is RFC 5869, whole or either half of it. PKCS#11 v3.2 §6.44.
func deriveHKDF(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.HKDF](m)
	if err != nil {
		return derived{}, err
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	h, _ := mech.HashOf(p.Hash)
	n, err := r.secretLen(h.Size())
	if err != nil {
		return derived{}, err
	}
	out, err := runHKDF(h, p, k.value, n)
	if err != nil {
		return derived{}, err
	}
	defer out.Wipe()
	return finishSecret(r, out)
}

func runHKDF(h crypto.Hash, p *mech.HKDF, secret ck.Secret, n int) (out ck.Secret, err error) {
	most := h.Size()
	if p.Expand {
		most *= 255
	}
	if n > most {
		return nil, fmt.Errorf("HKDF gives %d bytes at most, not %d: %w", most, n, ck.CKR_KEY_SIZE_RANGE)
	}
	newHash := func() hash.Hash { return h.New() }
	prk := secret
	if p.Extract {
		var salt []byte
		if p.SaltType == uint64(ck.CKF_HKDF_SALT_DATA) {
			salt = p.Salt
		}
		if prk, err = hkdf.Extract(newHash, secret, salt); err != nil {
			return nil, fmt.Errorf("HKDF: %v: %w", err, ck.CKR_FUNCTION_FAILED)
		}
		defer prk.Wipe()
	}
	if !p.Expand {
		return append(ck.Secret(nil), prk[:n]...), nil
	}
	if out, err = hkdf.Expand(newHash, prk, string(p.Info), n); err != nil {
		return nil, fmt.Errorf("HKDF: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return out, nil
}

// deriveHKDFData makes data, which is not secret: as units hold keys alone, it
// is a generic secret whose value may be read.
func deriveHKDFData(u *Unit, k *key, m mech.Mechanism, data []byte, t ck.Template) (derived, error) {
	d, err := deriveHKDF(u, k, m, data, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Bool(ck.CKA_SENSITIVE, false),
		ck.Bool(ck.CKA_EXTRACTABLE, true)}.With(onlyLength(t)))
	d.defaults = 0
	return d, err
}

func onlyLength(t ck.Template) ck.Template {
	if a, ok := t.Get(ck.CKA_VALUE_LEN); ok {
		return ck.Template{a}
	}
	return nil
}
