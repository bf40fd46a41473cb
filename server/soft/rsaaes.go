package soft

import (
	"crypto/rand"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() { provide(engine{kek: cryptRSAAES}, ck.CKM_RSA_AES_KEY_WRAP) }

// cryptRSAAES wraps with an AES key of its own, which it puts in front under
// RSA-OAEP; the rest is key wrap with padding. PKCS#11 v3.2 §6.1.21.
func cryptRSAAES(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.RSAAES](m)
	if err != nil {
		return nil, err
	}
	oaep := mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: &p.OAEP}
	kwp := mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}
	n := int(p.Bits / 8)
	if op == mech.OpEncrypt {
		aes := &key{typ: ck.CKK_AES, value: make(ck.Secret, n)}
		rand.Read(aes.value)
		defer aes.value.Wipe()
		head, err := cryptOAEP(k, oaep, op, aes.value)
		if err != nil {
			return nil, err
		}
		tail, err := cryptKWP(aes, kwp, op, data)
		return append(head, tail...), err
	}
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if len(data) < r.size {
		return nil, fmt.Errorf("%d bytes to unwrap: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	value, err := cryptOAEP(k, oaep, op, data[:r.size])
	if err != nil {
		return nil, err
	}
	aes := &key{typ: ck.CKK_AES, value: value}
	defer aes.value.Wipe()
	if len(value) != n {
		return nil, errPadding
	}
	return cryptKWP(aes, kwp, op, data[r.size:])
}
