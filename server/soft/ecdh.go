package soft

import (
	"crypto"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	// All curves here have the cofactor 1.
	provide(engine{derive: deriveECDH}, ck.CKM_ECDH1_DERIVE, ck.CKM_ECDH1_COFACTOR_DERIVE)
}

func deriveECDH(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.ECDH1](m)
	if err != nil {
		return derived{}, err
	}
	z, err := agree(k, p.Public)
	if err != nil {
		return derived{}, err
	}
	defer z.Wipe()
	return afterAgreement(t, z, p)
}

// afterAgreement makes a key of a shared value as the KDF says.
func afterAgreement(t ck.Template, z ck.Secret, p *mech.ECDH1) (derived, error) {
	switch p.KDF {
	case ck.CKD_NULL:
		return secret(t, z)
	case ck.CKD_IBM_HYBRID_NULL:
		return hybridSecret(t, z)
	}
	h, ok := kdfHash[p.KDF]
	if !ok {
		return derived{}, fmt.Errorf("key derivation function 0x%x: %w", p.KDF, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	n, err := r.secretLen(h.Size())
	if err != nil {
		return derived{}, err
	}
	return finishSecret(r, x963(h, z, p.Shared, n))
}

// hybridSecret is the whole of Z, as a generic secret to be mixed with another
// one (grep11-wire 11.2).
func hybridSecret(t ck.Template, z ck.Secret) (derived, error) {
	d, err := secret(t, z)
	if err == nil && len(d.key.value) != len(z) {
		err = fmt.Errorf("VALUE_LEN %d where all %d bytes are taken: %w", len(d.key.value), len(z), ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return d, err
}

var kdfHash = map[uint64]crypto.Hash{
	ck.CKD_SHA1_KDF: crypto.SHA1, ck.CKD_SHA224_KDF: crypto.SHA224, ck.CKD_SHA256_KDF: crypto.SHA256,
	ck.CKD_SHA384_KDF: crypto.SHA384, ck.CKD_SHA512_KDF: crypto.SHA512,
	ck.CKD_SHA3_224_KDF: crypto.SHA3_224, ck.CKD_SHA3_256_KDF: crypto.SHA3_256,
	ck.CKD_SHA3_384_KDF: crypto.SHA3_384, ck.CKD_SHA3_512_KDF: crypto.SHA3_512,
}

// x963 is the KDF of ANSI X9.63 (SEC 1 3.6.1).
func x963(h crypto.Hash, z, shared []byte, n int) ck.Secret {
	var out ck.Secret
	for i := uint32(1); len(out) < n; i++ {
		d := h.New()
		d.Write(z)
		d.Write(binary.BigEndian.AppendUint32(nil, i))
		d.Write(shared)
		out = d.Sum(out)
	}
	return out[:n]
}

// agree runs the key agreement of the key's curve with a point that is raw,
// compressed or not, or, as PKCS#11 callers have it, in an OCTET STRING.
func agree(k *key, point []byte) (ck.Secret, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	if info.family == &montgomeryFamily {
		return agreeRaw(k, info.curve, point)
	}
	o, err := open(k, openEC)
	if err != nil {
		return nil, err
	}
	if o.priv == nil {
		return nil, errNotPrivate
	}
	z, err := o.priv.agree(o.info.curve.full(unwrapPoint(point, 1+2*o.info.curve.field)))
	if ck.RVOf(err) == ck.CKR_PUBLIC_KEY_INVALID {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return z, err
}

func unwrapPoint(point []byte, lenRaw int) []byte {
	s := cryptobyte.String(point)
	var inner cryptobyte.String
	if len(point) != lenRaw && s.ReadASN1(&inner, asn1.OCTET_STRING) && s.Empty() {
		return inner
	}
	return point
}
