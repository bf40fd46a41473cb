package soft

import (
	"bytes"
	"crypto/rand"
	"errors"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/dilithium/mode2"
	"github.com/cloudflare/circl/sign/dilithium/mode3"
	"github.com/cloudflare/circl/sign/dilithium/mode5"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/pqsign"
	"grep11/server/unit"
)

// Lattice signatures: ML-DSA (FIPS 204) and the vendor's Dilithium
// (grep11-wire 7.3), from which it came.

var mldsaFamily = family{
	typ:         ck.CKK_ML_DSA,
	private:     unit.BitSign,
	public:      unit.BitVerify,
	check:       checkPQC,
	attributes:  pqcAttributes,
	publicValue: pqcValue,
	pkcs8:       pqcPKCS8,
	fromPKCS8:   pqcFromPKCS8,
}

var dilithiumFamily = family{
	typ:         ck.CKK_IBM_PQC_DILITHIUM,
	private:     unit.BitSign,
	public:      unit.BitVerify,
	check:       checkPQC,
	attributes:  pqcAttributes,
	publicValue: pqcValue,
	pkcs8:       pqcPKCS8,
	fromPKCS8:   pqcFromPKCS8,
}

// lattice is the arithmetic of one set; k, l and eta are the standard's.
type lattice struct {
	sign.Scheme
	k, l, eta int
	lenHash   int // of tr, the public key's hash inside the private key
}

func init() {
	for name, s := range map[string]lattice{
		"ML-DSA-44":              {mldsa44.Scheme(), 4, 4, 2, 64},
		"ML-DSA-65":              {mldsa65.Scheme(), 6, 5, 4, 64},
		"ML-DSA-87":              {mldsa87.Scheme(), 8, 7, 2, 64},
		"Dilithium round 2, 5-4": {mode2.Scheme(), 4, 4, 2, 32},
		"Dilithium round 2, 6-5": {mode3.Scheme(), 6, 5, 4, 32},
		"Dilithium round 2, 8-7": {mode5.Scheme(), 8, 7, 2, 32},
		"Dilithium round 3, 4-4": {mode2.Scheme(), 4, 4, 2, 32},
		"Dilithium round 3, 6-5": {mode3.Scheme(), 6, 5, 4, 32},
		"Dilithium round 3, 8-7": {mode5.Scheme(), 8, 7, 2, 32},
	} {
		pqcSchemes[name] = s
	}
	provide(engine{pair: generatePQC(ck.CKK_ML_DSA, ck.CKK_IBM_ML_DSA)}, ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.CKM_IBM_ML_DSA_KEY_PAIR_GEN)
	provideDSA(mldsaMechanisms)
	provide(engine{pair: generatePQC(ck.CKK_IBM_PQC_DILITHIUM), sign: signPQC, verify: verifyPQC}, ck.CKM_IBM_DILITHIUM)
}

var mldsaMechanisms = dsaMechanisms{
	whole: []ck.MechanismType{ck.CKM_ML_DSA, ck.CKM_IBM_ML_DSA, ck.CKM_HASH_ML_DSA},
	hashed: []ck.MechanismType{ck.CKM_HASH_ML_DSA_SHA224, ck.CKM_HASH_ML_DSA_SHA256, ck.CKM_HASH_ML_DSA_SHA384, ck.CKM_HASH_ML_DSA_SHA512,
		ck.CKM_HASH_ML_DSA_SHA3_224, ck.CKM_HASH_ML_DSA_SHA3_256, ck.CKM_HASH_ML_DSA_SHA3_384, ck.CKM_HASH_ML_DSA_SHA3_512},
	shake128: ck.CKM_HASH_ML_DSA_SHAKE128, shake256: ck.CKM_HASH_ML_DSA_SHAKE256,
}

func (s lattice) derive(seed []byte) (expanded, public []byte, err error) {
	return packSignKeys(s.DeriveKey(seed))
}

func packSignKeys(pub sign.PublicKey, priv sign.PrivateKey) (expanded, public []byte, err error) {
	if public, err = pub.MarshalBinary(); err != nil {
		return nil, nil, err
	}
	expanded, err = priv.MarshalBinary()
	return expanded, public, err
}

func (s lattice) checkPublic(public []byte) error {
	_, err := s.UnmarshalBinaryPublicKey(public)
	return err
}

var errLattice = errors.New("parts of the private key do not fit together")

// publicOf computes the public key and holds the rest of the expanded key
// against it: its hash and, as far as one signature shows, the low bits of t,
// which are no secret.
func (s lattice) publicOf(expanded []byte) ([]byte, error) {
	if !s.inRange(expanded) {
		return nil, errors.New("a coefficient of the private key is out of range")
	}
	priv, err := s.UnmarshalBinaryPrivateKey(expanded)
	if err != nil {
		return nil, err
	}
	pub, ok := priv.Public().(sign.PublicKey)
	if !ok {
		return nil, errLattice
	}
	again, public, err := packSignKeys(pub, priv)
	if err != nil || !bytes.Equal(again, expanded) {
		return nil, errLattice
	}
	fresh, err := s.UnmarshalBinaryPublicKey(public) // with the hash of its own bytes
	if err != nil {
		return nil, err
	}
	sig, err := s.sign(priv, pairTest, [pqsign.LenRandom]byte{})
	if err != nil || !s.verify(fresh, pairTest, sig) {
		return nil, errLattice
	}
	return public, nil
}

// pairTest is what a key that comes without its public half signs first.
var pairTest = []byte{0, 0, 'p', 'a', 'i', 'r'}

// inRange tells whether the coefficients of s1 and s2, which have 3 bits (4 where
// eta is 4), are within eta of zero.
func (s lattice) inRange(expanded []byte) bool {
	width := 3
	if s.eta == 4 {
		width = 4
	}
	start := 64 + s.lenHash
	packed := expanded[start : start+(s.k+s.l)*256*width/8]
	over := 0
	for i := 0; i < len(packed)*8; i += width {
		v := int(packed[i/8]) >> (i % 8)
		if i%8+width > 8 {
			v |= int(packed[i/8+1]) << (8 - i%8)
		}
		over |= 2*s.eta - v&(1<<width-1) // negative if too large
	}
	return over >= 0
}

// sign signs M' of FIPS 204, Dilithium the message.
func (s lattice) sign(priv sign.PrivateKey, msg []byte, rnd [pqsign.LenRandom]byte) ([]byte, error) {
	if !s.SupportsContext() {
		return s.Scheme.Sign(priv, msg, nil), nil
	}
	return pqsign.SignML(priv, msg, rnd)
}

func (s lattice) verify(pub sign.PublicKey, msg, sig []byte) bool {
	if !s.SupportsContext() {
		return s.Scheme.Verify(pub, msg, sig, nil)
	}
	return pqsign.VerifyML(pub, msg, sig)
}

// latticeKey is an opened key, a dsaKey.
type latticeKey struct {
	lattice
	pub  sign.PublicKey
	priv sign.PrivateKey // nil for public keys
}

func (s lattice) open(set *mech.ParameterSet, value, public []byte) (k dsaKey, err error) {
	o := latticeKey{lattice: s}
	switch {
	case value == nil:
	case len(value) == set.LenSeed:
		_, o.priv = s.DeriveKey(value)
	default:
		o.priv, err = s.UnmarshalBinaryPrivateKey(value)
	}
	if err == nil {
		o.pub, err = s.UnmarshalBinaryPublicKey(public)
	}
	return o, err
}

func (k latticeKey) signMessage(msg []byte, hedged bool) ([]byte, error) {
	if k.priv == nil {
		return nil, errNotPrivate
	}
	var rnd [pqsign.LenRandom]byte
	if hedged {
		rand.Read(rnd[:])
	}
	return k.sign(k.priv, msg, rnd)
}

func (k latticeKey) verifyMessage(msg, sig []byte) bool { return k.verify(k.pub, msg, sig) }
