package public

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"hash"
	"math/big"

	// The digests that mechanisms name.
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// action is how a mechanism verifies or encrypts; fits tells whether Go's
// crypto does exactly what the parameters say.
type action struct {
	fits    func(k *Key, m mech.Mechanism) bool
	verify  func(k *Key, m mech.Mechanism, h crypto.Hash, digest, sig []byte) error
	encrypt func(k *Key, m mech.Mechanism, data []byte) ([]byte, error)
}

var (
	pkcs1   = &action{fits: bigRSA, verify: verifyPKCS1, encrypt: encryptPKCS1}
	pss     = &action{fits: fitsPSS, verify: verifyPSS}
	oaep    = &action{fits: fitsOAEP, encrypt: encryptOAEP}
	rawRSA  = &action{fits: isRSA, verify: verifyRaw, encrypt: encryptRaw}
	onCurve = &action{fits: func(k *Key, _ mech.Mechanism) bool { return k.ec != nil }, verify: verifyEC}
	edwards = &action{fits: fitsEdwards, verify: verifyEdwards}
	quantum = &action{fits: fitsPQC, verify: verifyPQC}
)

var actions = map[ck.MechanismType]*action{
	ck.CKM_RSA_PKCS: pkcs1, ck.CKM_SHA1_RSA_PKCS: pkcs1, ck.CKM_SHA224_RSA_PKCS: pkcs1,
	ck.CKM_SHA256_RSA_PKCS: pkcs1, ck.CKM_SHA384_RSA_PKCS: pkcs1, ck.CKM_SHA512_RSA_PKCS: pkcs1,
	ck.CKM_RSA_PKCS_PSS: pss, ck.CKM_SHA1_RSA_PKCS_PSS: pss, ck.CKM_SHA224_RSA_PKCS_PSS: pss,
	ck.CKM_SHA256_RSA_PKCS_PSS: pss, ck.CKM_SHA384_RSA_PKCS_PSS: pss, ck.CKM_SHA512_RSA_PKCS_PSS: pss,
	ck.CKM_RSA_PKCS_OAEP: oaep, ck.CKM_RSA_X_509: rawRSA,
	ck.CKM_ECDSA: onCurve, ck.CKM_ECDSA_SHA1: onCurve, ck.CKM_ECDSA_SHA224: onCurve,
	ck.CKM_ECDSA_SHA256: onCurve, ck.CKM_ECDSA_SHA384: onCurve, ck.CKM_ECDSA_SHA512: onCurve,
	ck.CKM_EDDSA:  edwards,
	ck.CKM_ML_DSA: quantum, ck.CKM_IBM_ML_DSA: quantum, ck.CKM_SLH_DSA: quantum,
}

// Can tells whether Verify or Encrypt does what a crypto unit would do.
func (k *Key) Can(op mech.Op, m mech.Mechanism) bool {
	a := actions[m.Type]
	if k == nil || a == nil || !a.fits(k, m) {
		return false
	}
	return op == mech.OpVerify && a.verify != nil || op == mech.OpEncrypt && a.encrypt != nil
}

// Verify checks a signature of data; prehashed: data is the digest already. A
// signature that is wrong is CKR_SIGNATURE_INVALID, or CKR_SIGNATURE_LEN_RANGE
// where its length says so. Only for what Can allows.
func (k *Key) Verify(m mech.Mechanism, data, sig []byte, prehashed bool) error {
	if !k.Can(mech.OpVerify, m) {
		return fmt.Errorf("verify %v: %w", m, ck.CKR_MECHANISM_INVALID)
	}
	if want := k.sigLen(); len(sig) != want {
		return fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), want, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return err
	}
	if row.Hash != 0 && !prehashed {
		data = sum(row.Hash.New(), data)
	}
	if row.Hash != 0 && len(data) != row.Hash.Size() {
		return fmt.Errorf("digest of %d bytes for %v: %w", len(data), m, ck.CKR_DATA_LEN_RANGE)
	}
	return actions[m.Type].verify(k, m, row.Hash, data, sig)
}

// Encrypt is C_Encrypt with a public RSA key. Only for what Can allows.
func (k *Key) Encrypt(m mech.Mechanism, data []byte) ([]byte, error) {
	if !k.Can(mech.OpEncrypt, m) {
		return nil, fmt.Errorf("encrypt %v: %w", m, ck.CKR_MECHANISM_INVALID)
	}
	return actions[m.Type].encrypt(k, m, data)
}

func sum(h hash.Hash, data []byte) []byte {
	h.Write(data)
	return h.Sum(nil)
}

func (k *Key) sigLen() int {
	switch {
	case k.rsa != nil:
		return k.rsa.Size()
	case k.ec != nil:
		return 2 * ((k.ec.Params().N.BitLen() + 7) / 8)
	case k.pqc != nil:
		return k.pqc.set.LenOut
	}
	return ed25519.SignatureSize
}

func invalid(m mech.Mechanism) error { return fmt.Errorf("%v: %w", m, ck.CKR_SIGNATURE_INVALID) }

func isRSA(k *Key, _ mech.Mechanism) bool { return k.rsa != nil }

// bigRSA: crypto/rsa refuses moduli below 1024 bits.
func bigRSA(k *Key, _ mech.Mechanism) bool { return k.rsa != nil && k.rsa.N.BitLen() >= 1024 }

// lenPKCS1 is what PKCS #1 v1.5 padding takes at least (RFC 8017 §7.2 and §9.2).
const lenPKCS1 = 11

func verifyPKCS1(k *Key, m mech.Mechanism, h crypto.Hash, digest, sig []byte) error {
	if h == 0 && len(digest) > k.rsa.Size()-lenPKCS1 {
		return fmt.Errorf("%d bytes under %d: %w", len(digest), k.rsa.Size(), ck.CKR_DATA_LEN_RANGE)
	}
	if rsa.VerifyPKCS1v15(k.rsa, h, digest, sig) != nil {
		return invalid(m)
	}
	return nil
}

func encryptPKCS1(k *Key, m mech.Mechanism, data []byte) ([]byte, error) {
	if len(data) > k.rsa.Size()-lenPKCS1 {
		return nil, fmt.Errorf("%d bytes under %d: %w", len(data), k.rsa.Size(), ck.CKR_DATA_LEN_RANGE)
	}
	return done(rsa.EncryptPKCS1v15(rand.Reader, k.rsa, data))
}

func done(out []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return out, nil
}

// fitsPSS: crypto/rsa uses one hash for both, and takes a salt of no bytes for
// one of any length.
func fitsPSS(k *Key, m mech.Mechanism) bool {
	p, ok := m.Param.(*mech.PSS)
	if !ok || !bigRSA(k, m) {
		return false
	}
	h, okHash := mech.HashOf(p.Hash)
	g, okMGF := mech.MGFHash(p.MGF)
	return okHash && okMGF && h == g && p.SaltLen > 0 && p.SaltLen <= 512
}

func verifyPSS(k *Key, m mech.Mechanism, _ crypto.Hash, digest, sig []byte) error {
	p := m.Param.(*mech.PSS) // fitsPSS has seen it
	h, _ := mech.HashOf(p.Hash)
	if len(digest) != h.Size() {
		return fmt.Errorf("digest of %d bytes for %v: %w", len(digest), p.Hash, ck.CKR_DATA_LEN_RANGE)
	}
	if rsa.VerifyPSS(k.rsa, h, digest, sig, &rsa.PSSOptions{SaltLength: int(p.SaltLen)}) != nil {
		return invalid(m)
	}
	return nil
}

func fitsOAEP(k *Key, m mech.Mechanism) bool {
	p, ok := m.Param.(*mech.OAEP)
	if !ok || !bigRSA(k, m) {
		return false
	}
	h, okHash := mech.HashOf(p.Hash)
	g, okMGF := mech.MGFHash(p.MGF)
	return okHash && okMGF && h == g
}

func encryptOAEP(k *Key, m mech.Mechanism, data []byte) ([]byte, error) {
	p := m.Param.(*mech.OAEP) // fitsOAEP has seen it
	h, _ := mech.HashOf(p.Hash)
	if len(data) > k.rsa.Size()-2*h.Size()-2 {
		return nil, fmt.Errorf("%d bytes under %d: %w", len(data), k.rsa.Size(), ck.CKR_DATA_LEN_RANGE)
	}
	return done(rsa.EncryptOAEP(h.New(), rand.Reader, k.rsa, data, p.Label))
}

// power is the RSA public operation, of a number below the modulus.
func (k *Key) power(x []byte) []byte {
	y := new(big.Int).Exp(new(big.Int).SetBytes(x), big.NewInt(int64(k.rsa.E)), k.rsa.N)
	return y.FillBytes(make([]byte, k.rsa.Size()))
}

func (k *Key) below(x []byte) bool { return new(big.Int).SetBytes(x).Cmp(k.rsa.N) < 0 }

// Raw RSA, PKCS#11 v3.2 §6.1.10: short data gets leading zeros.
func encryptRaw(k *Key, m mech.Mechanism, data []byte) ([]byte, error) {
	if len(data) > k.rsa.Size() {
		return nil, fmt.Errorf("%d bytes under %d: %w", len(data), k.rsa.Size(), ck.CKR_DATA_LEN_RANGE)
	}
	if !k.below(data) {
		return nil, fmt.Errorf("data not below the modulus: %w", ck.CKR_DATA_INVALID)
	}
	return k.power(data), nil
}

func verifyRaw(k *Key, m mech.Mechanism, _ crypto.Hash, data, sig []byte) error {
	if len(data) > k.rsa.Size() {
		return fmt.Errorf("%d bytes under %d: %w", len(data), k.rsa.Size(), ck.CKR_DATA_LEN_RANGE)
	}
	if !k.below(data) {
		return fmt.Errorf("data not below the modulus: %w", ck.CKR_DATA_INVALID)
	}
	if !k.below(sig) || new(big.Int).SetBytes(k.power(sig)).Cmp(new(big.Int).SetBytes(data)) != 0 {
		return invalid(m)
	}
	return nil
}

// verifyEC takes r and s, each as long as the order, PKCS#11 v3.2 §6.3.1.
func verifyEC(k *Key, m mech.Mechanism, _ crypto.Hash, digest, sig []byte) error {
	r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
	if !ecdsa.Verify(k.ec, digest, r, s) {
		return invalid(m)
	}
	return nil
}

func fitsEdwards(k *Key, m mech.Mechanism) bool { return k.ed != nil && m.Param == nil }

func verifyEdwards(k *Key, m mech.Mechanism, _ crypto.Hash, data, sig []byte) error {
	if !ed25519.Verify(k.ed, data, sig) {
		return invalid(m)
	}
	return nil
}

// Recover gives the data in an RSA signature with CKM_RSA_PKCS or CKM_RSA_X_509.
func (k *Key) Recover(m mech.Mechanism, sig []byte) ([]byte, error) {
	if k == nil || k.rsa == nil {
		return nil, fmt.Errorf("recover %v: %w", m, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if len(sig) != k.rsa.Size() {
		return nil, fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), k.rsa.Size(), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	if !k.below(sig) {
		return nil, invalid(m)
	}
	block := k.power(sig)
	if m.Type == ck.CKM_RSA_X_509 {
		return block, nil
	}
	data, ok := unpadType1(block)
	if !ok {
		return nil, invalid(m)
	}
	return data, nil
}

// unpadType1 takes the padding of signatures off: 0, 1, eight or more 255s, 0
// (RFC 8017 §9.2).
func unpadType1(block []byte) ([]byte, bool) {
	if len(block) < lenPKCS1 || block[0] != 0 || block[1] != 1 {
		return nil, false
	}
	end := 2
	for end < len(block) && block[end] == 0xff {
		end++
	}
	if end < 10 || end == len(block) || block[end] != 0 {
		return nil, false
	}
	return block[end+1:], true
}
