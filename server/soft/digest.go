package soft

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{hash: rowHash},
		ck.CKM_SHA_1, ck.CKM_SHA224, ck.CKM_SHA256, ck.CKM_SHA384, ck.CKM_SHA512,
		ck.CKM_SHA512_224, ck.CKM_SHA512_256, ck.CKM_SHA3_224, ck.CKM_SHA3_256, ck.CKM_SHA3_384, ck.CKM_SHA3_512,
		ck.CKM_IBM_SHA512_224, ck.CKM_IBM_SHA512_256, ck.CKM_IBM_SHA3_224, ck.CKM_IBM_SHA3_256, ck.CKM_IBM_SHA3_384, ck.CKM_IBM_SHA3_512)
	provide(engine{hash: rowHMAC, sign: asIs, verify: verifyMAC},
		ck.CKM_SHA_1_HMAC, ck.CKM_SHA224_HMAC, ck.CKM_SHA256_HMAC, ck.CKM_SHA384_HMAC, ck.CKM_SHA512_HMAC,
		ck.CKM_SHA512_224_HMAC, ck.CKM_SHA512_256_HMAC, ck.CKM_SHA3_224_HMAC, ck.CKM_SHA3_256_HMAC, ck.CKM_SHA3_384_HMAC, ck.CKM_SHA3_512_HMAC,
		ck.CKM_IBM_SHA512_224_HMAC, ck.CKM_IBM_SHA512_256_HMAC, ck.CKM_IBM_SHA3_224_HMAC, ck.CKM_IBM_SHA3_256_HMAC, ck.CKM_IBM_SHA3_384_HMAC, ck.CKM_IBM_SHA3_512_HMAC)
}

// rowHash is the hash that the mechanism's row names.
func rowHash(_ *key, m mech.Mechanism) (running, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, err
	}
	return newHash(row.Hash), nil
}

// newHash never fails: the rows name linked hashes, all of which can be saved.
func newHash(h crypto.Hash) running { return h.New().(running) }

// hmacRun is HMAC (RFC 2104) whose running part can be put into a state.
type hmacRun struct {
	running
	outer running // has taken the outer pad
}

func rowHMAC(k *key, m mech.Mechanism) (running, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, err
	}
	return newHMAC(row.Hash, k.value), nil
}

func newHMAC(h crypto.Hash, secret []byte) *hmacRun {
	pad := make([]byte, h.New().BlockSize())
	defer clear(pad)
	if len(secret) > len(pad) {
		short := newHash(h)
		short.Write(secret)
		secret = short.Sum(nil)
	}
	copy(pad, secret)
	r := &hmacRun{newHash(h), newHash(h)}
	for i := range pad {
		pad[i] ^= 0x36
	}
	r.Write(pad)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	r.outer.Write(pad)
	return r
}

// Sum ends the MAC; it is called once.
func (r *hmacRun) Sum(b []byte) []byte {
	r.outer.Write(r.running.Sum(nil))
	return r.outer.Sum(b)
}

func asIs(_ *key, _ mech.Mechanism, mac []byte) ([]byte, error) { return mac, nil }

func verifyMAC(_ *key, _ mech.Mechanism, mac, given []byte) error {
	if len(given) != len(mac) {
		return fmt.Errorf("MAC of %d bytes instead of %d: %w", len(given), len(mac), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	if !hmac.Equal(mac, given) {
		return errSignature
	}
	return nil
}

var errSignature = fmt.Errorf("it does not match: %w", ck.CKR_SIGNATURE_INVALID)
