package soft

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign/slhdsa"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/pqsign"
	"grep11/server/unit"
)

// SLH-DSA, hash-based signatures (FIPS 205). A private key is SK.seed, SK.prf,
// PK.seed and PK.root; PKCS#8 holds it as it is (RFC 9909).

var slhFamily = family{
	typ:         ck.CKK_SLH_DSA,
	private:     unit.BitSign,
	public:      unit.BitVerify,
	check:       checkPQC,
	attributes:  pqcAttributes,
	publicValue: pqcValue,
	pkcs8:       func(k *key, info *publicInfo) ([]byte, error) { return makePKCS8(info.oid, nil, k.value) },
	fromPKCS8:   slhFromPKCS8,
}

var slhMechanisms = dsaMechanisms{
	whole: []ck.MechanismType{ck.CKM_SLH_DSA, ck.CKM_HASH_SLH_DSA},
	hashed: []ck.MechanismType{ck.CKM_HASH_SLH_DSA_SHA224, ck.CKM_HASH_SLH_DSA_SHA256, ck.CKM_HASH_SLH_DSA_SHA384, ck.CKM_HASH_SLH_DSA_SHA512,
		ck.CKM_HASH_SLH_DSA_SHA3_224, ck.CKM_HASH_SLH_DSA_SHA3_256, ck.CKM_HASH_SLH_DSA_SHA3_384, ck.CKM_HASH_SLH_DSA_SHA3_512},
	shake128: ck.CKM_HASH_SLH_DSA_SHAKE128, shake256: ck.CKM_HASH_SLH_DSA_SHAKE256,
}

func init() {
	for id := slhdsa.SHA2_128s; id <= slhdsa.SHAKE_256f; id++ {
		pqcSchemes[id.String()] = slhScheme{id}
	}
	provide(engine{pair: generatePQC(ck.CKK_SLH_DSA)}, ck.CKM_SLH_DSA_KEY_PAIR_GEN)
	provideDSA(slhMechanisms)
}

// slhScheme is a pqcScheme without seeds.
type slhScheme struct{ id slhdsa.ID }

func (slhScheme) derive([]byte) (expanded, public []byte, err error) {
	return nil, nil, errors.New("SLH-DSA keys have no seed")
}

// publicOf makes the key again from its secrets, to see that the root fits.
func (s slhScheme) publicOf(expanded []byte) ([]byte, error) {
	random := expanded[:len(expanded)*3/4]
	pub, priv, err := slhdsa.GenerateKey(bytes.NewReader(random), s.id)
	if err != nil {
		return nil, err
	}
	again, public, err := packSignKeys(pub, priv)
	if err == nil && !bytes.Equal(again, expanded) {
		err = errors.New("the root does not fit the private key")
	}
	return public, err
}

func (s slhScheme) checkPublic(public []byte) error {
	k := slhdsa.PublicKey{ID: s.id}
	return k.UnmarshalBinary(public)
}

func generateSLH(s *mech.ParameterSet) (*pair, error) {
	pub, priv, err := slhdsa.GenerateKey(rand.Reader, pqcSchemes[s.Name].(slhScheme).id)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	value, public, err := packSignKeys(pub, priv)
	if err != nil {
		return nil, err
	}
	return &pair{value: value, spki: makeSPKI(s.OID, nil, public)}, nil
}

func slhFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	set := mech.SetByOID(p.oid)
	if len(p.key) != set.LenPrivate {
		return nil, nil, badPKCS8("key has another length")
	}
	return importPQC(set, nil, p.key)
}

// slhKey is an opened key, a dsaKey.
type slhKey struct {
	pub  slhdsa.PublicKey
	priv *slhdsa.PrivateKey // nil for public keys
	seed []byte             // PK.seed
}

func (s slhScheme) open(_ *mech.ParameterSet, value, public []byte) (dsaKey, error) {
	o := slhKey{pub: slhdsa.PublicKey{ID: s.id}, seed: public[:len(public)/2]}
	if err := o.pub.UnmarshalBinary(public); err != nil || value == nil {
		return o, err
	}
	o.priv = &slhdsa.PrivateKey{ID: s.id}
	return o, o.priv.UnmarshalBinary(value)
}

func (k slhKey) signMessage(msg []byte, hedged bool) ([]byte, error) {
	if k.priv == nil {
		return nil, errNotPrivate
	}
	random := k.seed
	if hedged {
		random = make([]byte, len(k.seed))
		rand.Read(random)
	}
	return pqsign.SignSLH(k.priv, msg, random)
}

func (k slhKey) verifyMessage(msg, sig []byte) bool { return pqsign.VerifySLH(&k.pub, msg, sig) }
