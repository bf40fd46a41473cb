package soft

import (
	"crypto"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() { provide(engine{derive: deriveEAC}, ck.CKM_IBM_EAC) }

// deriveEAC makes the keys of passports' secure messaging. Variants 1 to 3 are
// the KDF of BSI TR-03110-3 A.2.3 (and ICAO 9303-11 9.7): a hash of secret, nonce
// and counter, SHA-1 for keys of 16 bytes and SHA-256 for longer ones; 4 is HKDF.
func deriveEAC(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.EAC](m)
	if err != nil {
		return derived{}, err
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	n, err := r.secretLen(16)
	if err != nil {
		return derived{}, err
	}
	if p.Variant == mech.EACHKDF {
		out, err := runHKDF(crypto.SHA256, &mech.HKDF{Extract: true, Expand: true, SaltType: uint64(ck.CKF_HKDF_SALT_DATA), Salt: p.Nonce, Info: p.Info}, k.value, n)
		if err != nil {
			return derived{}, err
		}
		defer out.Wipe()
		return finishSecret(r, out)
	}
	h := crypto.SHA1
	if n > 16 {
		h = crypto.SHA256
	}
	if n > 32 {
		return derived{}, fmt.Errorf("a key of %d bytes: %w", n, ck.CKR_KEY_SIZE_RANGE)
	}
	d := h.New()
	d.Write(k.value)
	d.Write(p.Nonce)
	d.Write(binary.BigEndian.AppendUint32(nil, uint32(p.Variant)))
	out := ck.Secret(d.Sum(nil))
	defer out.Wipe()
	return finishSecret(r, out[:n])
}
