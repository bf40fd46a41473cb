package soft

import (
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{derive: deriveHash},
		ck.CKM_SHA1_KEY_DERIVATION, ck.CKM_SHA224_KEY_DERIVATION, ck.CKM_SHA256_KEY_DERIVATION, ck.CKM_SHA384_KEY_DERIVATION,
		ck.CKM_SHA512_KEY_DERIVATION, ck.CKM_SHA512_224_KEY_DERIVATION, ck.CKM_SHA512_256_KEY_DERIVATION,
		ck.CKM_SHA3_224_KEY_DERIVATION, ck.CKM_SHA3_256_KEY_DERIVATION, ck.CKM_SHA3_384_KEY_DERIVATION, ck.CKM_SHA3_512_KEY_DERIVATION)
	provide(engine{derive: deriveEncrypted}, ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKM_DES3_ECB_ENCRYPT_DATA,
		ck.CKM_AES_CBC_ENCRYPT_DATA, ck.CKM_DES3_CBC_ENCRYPT_DATA)
}

// fromBytes makes a secret key of the first bytes that a derivation gave.
func fromBytes(t ck.Template, b ck.Secret) (derived, error) {
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	n, err := r.secretLen(len(b))
	if err != nil {
		return derived{}, err
	}
	if n > len(b) {
		return derived{}, fmt.Errorf("a key of %d bytes from %d: %w", n, len(b), ck.CKR_KEY_SIZE_RANGE)
	}
	return finishSecret(r, b[:n])
}

// deriveHash: the key is the digest of the base key. PKCS#11 v3.2 §6.21.7.
func deriveHash(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	h, err := rowHash(k, m)
	if err != nil {
		return derived{}, err
	}
	h.Write(k.value)
	sum := ck.Secret(h.Sum(nil))
	defer sum.Wipe()
	return fromBytes(t, sum)
}

// deriveEncrypted: the key is data that the base key encrypts. PKCS#11 v3.2 §6.14.
func deriveEncrypted(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	block, err := blockCipher(k)
	if err != nil {
		return derived{}, err
	}
	s := &blockStream{block: block, encrypt: true}
	var data []byte
	switch p := m.Param.(type) {
	case mech.Raw:
		data = p
	case *mech.CBCData:
		data, s.chain = p.Data, append([]byte(nil), p.IV...)
	}
	out, err := s.update(data)
	if err == nil {
		_, err = s.final()
	}
	if err != nil {
		return derived{}, fmt.Errorf("%v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	defer clear(out)
	return fromBytes(t, out)
}

// deriveGeneric gives the base key's whole value another type, such as
// generic secret, with rights of its own. The product lists the mechanism for
// derivation and does not say what it does; nothing leaves by it, as the new
// key is not more open than its base.
func deriveGeneric(_ *Unit, k *key, _ mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	d, err := fromBytes(t, k.value)
	if err != nil {
		return derived{}, err
	}
	if len(d.key.value) != len(k.value) {
		return derived{}, fmt.Errorf("a key of %d bytes from one of %d: %w", len(d.key.value), len(k.value), ck.CKR_KEY_SIZE_RANGE)
	}
	return d, d.request.notMoreOpen(k)
}
