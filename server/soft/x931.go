package soft

import (
	"bytes"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{sign: signX931, verify: verifyX931}, ck.CKM_RSA_X9_31)
	provide(engine{hash: rowHash, sign: signX931, verify: verifyX931}, ck.CKM_SHA1_RSA_X9_31)
	provide(engine{pair: generateRSA}, ck.CKM_RSA_X9_31_KEY_PAIR_GEN)
}

// sha1Trailer names SHA-1 in an ANSI X9.31 block (ISO/IEC 10118). CKM_RSA_X9_31
// takes the digest with its trailer from the caller.
const sha1Trailer = 0x33

// padX931 is ANSI X9.31's: 6B BB … BB BA, the digest with its trailer, CC; 6A
// alone stands before data that leaves no room.
func padX931(m mech.Mechanism, data []byte, size int) ([]byte, error) {
	if m.Type == ck.CKM_SHA1_RSA_X9_31 {
		data = append(bytes.Clone(data), sha1Trailer)
	}
	n := size - len(data) - 2
	if n < 0 {
		return nil, errLong
	}
	em := bytes.Repeat([]byte{0xbb}, size)
	em[0] = 0x6a
	if n > 0 {
		em[0], em[n] = 0x6b, 0xba
	}
	copy(em[1+n:], data)
	em[size-1] = 0xcc
	return em, nil
}

// signX931 gives the smaller of s and n-s.
func signX931(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	em, err := padX931(m, data, r.size)
	if err != nil {
		return nil, err
	}
	sig, err := r.private(em)
	if err != nil {
		return nil, err
	}
	s := new(big.Int).SetBytes(sig)
	if other := new(big.Int).Sub(r.n, s); other.Cmp(s) < 0 {
		other.FillBytes(sig)
	}
	return sig, nil
}

func verifyX931(k *key, m mech.Mechanism, data, sig []byte) error {
	r, em, err := openSignature(k, sig)
	if err != nil {
		return err
	}
	want, err := padX931(m, data, r.size)
	if err != nil {
		return err
	}
	if em[len(em)-1]&0xf != 0xc {
		new(big.Int).Sub(r.n, new(big.Int).SetBytes(em)).FillBytes(em)
	}
	if !bytes.Equal(em, want) {
		return errSignature
	}
	return nil
}
