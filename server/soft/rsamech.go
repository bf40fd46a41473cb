package soft

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{sign: signPKCS1, verify: verifyPKCS1, crypt: cryptPKCS1}, ck.CKM_RSA_PKCS)
	provide(engine{hash: rowHash, sign: signPKCS1, verify: verifyPKCS1},
		ck.CKM_SHA1_RSA_PKCS, ck.CKM_SHA224_RSA_PKCS, ck.CKM_SHA256_RSA_PKCS, ck.CKM_SHA384_RSA_PKCS, ck.CKM_SHA512_RSA_PKCS,
		ck.CKM_SHA3_224_RSA_PKCS, ck.CKM_SHA3_256_RSA_PKCS, ck.CKM_SHA3_384_RSA_PKCS, ck.CKM_SHA3_512_RSA_PKCS)
	provide(engine{sign: signPSS, verify: verifyPSS}, ck.CKM_RSA_PKCS_PSS)
	provide(engine{hash: rowHash, sign: signPSS, verify: verifyPSS},
		ck.CKM_SHA1_RSA_PKCS_PSS, ck.CKM_SHA224_RSA_PKCS_PSS, ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_SHA384_RSA_PKCS_PSS, ck.CKM_SHA512_RSA_PKCS_PSS,
		ck.CKM_SHA3_224_RSA_PKCS_PSS, ck.CKM_SHA3_256_RSA_PKCS_PSS, ck.CKM_SHA3_384_RSA_PKCS_PSS, ck.CKM_SHA3_512_RSA_PKCS_PSS)
	provide(engine{crypt: cryptOAEP}, ck.CKM_RSA_PKCS_OAEP)
	provide(engine{sign: signX509, verify: verifyX509, crypt: cryptX509}, ck.CKM_RSA_X_509)
}

var hashOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1:   {1, 3, 14, 3, 2, 26},
	crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4},
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},

	crypto.SHA3_224: {2, 16, 840, 1, 101, 3, 4, 2, 7},
	crypto.SHA3_256: {2, 16, 840, 1, 101, 3, 4, 2, 8},
	crypto.SHA3_384: {2, 16, 840, 1, 101, 3, 4, 2, 9},
	crypto.SHA3_512: {2, 16, 840, 1, 101, 3, 4, 2, 10},
}

// digestInfo is what EMSA-PKCS1-v1_5 pads: the digest with its hash's name, or
// for CKM_RSA_PKCS whatever the caller gives.
func digestInfo(m mech.Mechanism, data []byte) ([]byte, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil || row.Hash == 0 {
		return data, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(hashOIDs[row.Hash])
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(data)
	})
	return b.Bytes()
}

func signPKCS1(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if data, err = digestInfo(m, data); err != nil {
		return nil, err
	}
	em, err := padPKCS1Sign(data, r.size)
	if err != nil {
		return nil, err
	}
	return r.private(em)
}

func verifyPKCS1(k *key, m mech.Mechanism, data, sig []byte) error {
	r, em, err := openSignature(k, sig)
	if err != nil {
		return err
	}
	if data, err = digestInfo(m, data); err != nil {
		return err
	}
	want, err := padPKCS1Sign(data, r.size)
	if err != nil {
		return err
	}
	if !bytes.Equal(em, want) {
		return errSignature
	}
	return nil
}

// openSignature checks a signature's length and undoes it with the public key.
func openSignature(k *key, sig []byte) (*rsaKey, []byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, nil, err
	}
	if len(sig) != r.size {
		return nil, nil, fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), r.size, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	em, err := r.public(sig)
	if err != nil {
		return nil, nil, errSignature
	}
	return r, em, nil
}

func pssParams(m mech.Mechanism, data []byte) (h, mgf crypto.Hash, lenSalt int, err error) {
	p, err := mech.As[*mech.PSS](m)
	if err != nil {
		return 0, 0, 0, err
	}
	h, _ = mech.HashOf(p.Hash)
	mgf, _ = mech.MGFHash(p.MGF)
	if len(data) != h.Size() {
		return 0, 0, 0, fmt.Errorf("digest of %d bytes for %v: %w", len(data), p.Hash, ck.CKR_DATA_LEN_RANGE)
	}
	return h, mgf, int(p.SaltLen), nil
}

func signPSS(k *key, m mech.Mechanism, digest []byte) ([]byte, error) {
	h, mgf, lenSalt, err := pssParams(m, digest)
	if err != nil {
		return nil, err
	}
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	em, err := padPSS(digest, h, mgf, lenSalt, r.n.BitLen())
	if err != nil {
		return nil, err
	}
	return r.private(leftPad(em, r.size))
}

func verifyPSS(k *key, m mech.Mechanism, digest, sig []byte) error {
	h, mgf, lenSalt, err := pssParams(m, digest)
	if err != nil {
		return err
	}
	r, em, err := openSignature(k, sig)
	if err != nil {
		return err
	}
	if !checkPSS(em, digest, h, mgf, lenSalt, r.n.BitLen()) {
		return errSignature
	}
	return nil
}

func leftPad(b []byte, size int) []byte {
	if len(b) >= size {
		return b
	}
	return append(make([]byte, size-len(b), size), b...)
}

// decryptRSA undoes a ciphertext, which is as long as the modulus.
func decryptRSA(r *rsaKey, data []byte) ([]byte, error) {
	if len(data) != r.size {
		return nil, fmt.Errorf("ciphertext of %d bytes instead of %d: %w", len(data), r.size, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	em, err := r.private(data)
	if ck.RVOf(err) == ck.CKR_DATA_INVALID {
		return nil, errPadding
	}
	return em, err
}

func cryptPKCS1(k *key, _ mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if op == mech.OpEncrypt {
		em, err := padPKCS1Encrypt(data, r.size)
		if err != nil {
			return nil, err
		}
		return r.public(em)
	}
	em, err := decryptRSA(r, data)
	if err != nil {
		return nil, err
	}
	defer clear(em)
	ok, start := unpadPKCS1(em)
	if ok != 1 {
		return nil, errPadding
	}
	return bytes.Clone(em[start:]), nil
}

func cryptOAEP(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.OAEP](m)
	if err != nil {
		return nil, err
	}
	h, _ := mech.HashOf(p.Hash)
	mgf, _ := mech.MGFHash(p.MGF)
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if op == mech.OpEncrypt {
		em, err := padOAEP(data, p.Label, h, mgf, r.size)
		if err != nil {
			return nil, err
		}
		return r.public(em)
	}
	em, err := decryptRSA(r, data)
	if err != nil {
		return nil, err
	}
	defer clear(em)
	return unpadOAEP(em, p.Label, h, mgf)
}

// CKM_RSA_X_509 is the bare function; input shorter than the modulus is filled
// with zeros on the left. PKCS#11 v3.2 §6.1.10.

func signX509(k *key, _ mech.Mechanism, data []byte) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if len(data) > r.size {
		return nil, errLong
	}
	return r.private(leftPad(data, r.size))
}

func verifyX509(k *key, _ mech.Mechanism, data, sig []byte) error {
	r, em, err := openSignature(k, sig)
	if err != nil {
		return err
	}
	if len(data) > r.size {
		return errLong
	}
	if !bytes.Equal(em, leftPad(data, r.size)) {
		return errSignature
	}
	return nil
}

func cryptX509(k *key, _ mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	if op == mech.OpDecrypt {
		return decryptRSA(r, data)
	}
	if len(data) > r.size {
		return nil, errLong
	}
	return r.public(leftPad(data, r.size))
}

// unwrapPKCS1 opens a wrapped key of known length. A wrong padding or length
// gives a random key instead of an error, in the same time, so that it is no
// oracle (RFC 3218 2.3.2).
func unwrapPKCS1(k *key, wrapped []byte, n int) ([]byte, error) {
	r, err := open(k, openRSA)
	if err != nil {
		return nil, err
	}
	em, err := decryptRSA(r, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(em)
	if n > r.size-lenPKCS1 {
		return nil, errPadding
	}
	out := make([]byte, n)
	rand.Read(out)
	ok, start := unpadPKCS1(em)
	ok &= subtle.ConstantTimeEq(int32(len(em)-start), int32(n))
	subtle.ConstantTimeCopy(ok, out, em[len(em)-n:])
	return out, nil
}
