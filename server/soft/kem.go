package soft

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/kem/kyber/kyber1024"
	"github.com/cloudflare/circl/kem/kyber/kyber512"
	"github.com/cloudflare/circl/kem/kyber/kyber768"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Key encapsulation: ML-KEM (FIPS 203) and the vendor's Kyber (grep11-wire 11.3).
// Both are derivations with mech.Kyber; the ciphertext follows the checksum.

var mlkemFamily = family{
	typ:         ck.CKK_ML_KEM,
	private:     unit.BitDecapsulate,
	public:      unit.BitEncapsulate,
	check:       checkPQC,
	attributes:  pqcAttributes,
	publicValue: pqcValue,
	pkcs8:       pqcPKCS8,
	fromPKCS8:   pqcFromPKCS8,
}

var kyberFamily = family{
	typ:         ck.CKK_IBM_PQC_KYBER,
	check:       checkPQC,
	attributes:  pqcAttributes,
	publicValue: pqcValue,
	pkcs8:       pqcPKCS8,
	fromPKCS8:   pqcFromPKCS8,
}

func init() {
	for name, s := range map[string]kem.Scheme{
		"ML-KEM-512": mlkem512.Scheme(), "ML-KEM-768": mlkem768.Scheme(), "ML-KEM-1024": mlkem1024.Scheme(),
		"Kyber round 2, 512": kyber512.Scheme(), "Kyber round 2, 768": kyber768.Scheme(), "Kyber round 2, 1024": kyber1024.Scheme(),
	} {
		pqcSchemes[name] = kemScheme{s}
	}
	provide(engine{pair: generatePQC(ck.CKK_ML_KEM, ck.CKK_IBM_ML_KEM)}, ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.CKM_IBM_ML_KEM_KEY_PAIR_GEN)
	provide(engine{derive: deriveKEM, deriveRight: kemRight}, ck.CKM_ML_KEM)
	provide(engine{derive: deriveKEM}, ck.CKM_IBM_ML_KEM)
	provide(engine{pair: generatePQC(ck.CKK_IBM_PQC_KYBER), derive: deriveKEM}, ck.CKM_IBM_KYBER)
}

// kemScheme is a pqcScheme.
type kemScheme struct{ kem.Scheme }

func packKEM(pub kem.PublicKey, priv kem.PrivateKey) (expanded, public []byte, err error) {
	if public, err = pub.MarshalBinary(); err != nil {
		return nil, nil, err
	}
	expanded, err = priv.MarshalBinary()
	return expanded, public, err
}

func (s kemScheme) derive(seed []byte) (expanded, public []byte, err error) {
	return packKEM(s.DeriveKeyPair(seed))
}

var errKEMKey = errors.New("parts of the private key do not fit together")

// publicOf also makes and opens a ciphertext: the expanded form holds the public
// key beside the private one, and nothing says that they belong together.
func (s kemScheme) publicOf(expanded []byte) ([]byte, error) {
	priv, err := s.UnmarshalBinaryPrivateKey(expanded)
	if err != nil {
		return nil, err
	}
	again, public, err := packKEM(priv.Public(), priv)
	if err != nil || !bytes.Equal(again, expanded) {
		return nil, errKEMKey
	}
	ct, want, err := s.Encapsulate(priv.Public())
	if err != nil {
		return nil, err
	}
	got, err := s.Decapsulate(priv, ct)
	if err != nil || !bytes.Equal(got, want) {
		return nil, errKEMKey
	}
	return public, nil
}

// checkPublic: each coefficient must be below the modulus (FIPS 203 §7.2).
func (s kemScheme) checkPublic(public []byte) error {
	pub, err := s.UnmarshalBinaryPublicKey(public)
	if err != nil {
		return err
	}
	again, err := pub.MarshalBinary()
	if err == nil && !bytes.Equal(again, public) {
		err = errors.New("a coefficient is not below the modulus")
	}
	return err
}

// kemKey is an opened key.
type kemKey struct {
	scheme kemScheme
	pub    kem.PublicKey
	priv   kem.PrivateKey // nil for public keys
}

func openKEM(k *key) (*kemKey, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	set := info.set()
	s := pqcSchemes[set.Name].(kemScheme)
	o := &kemKey{scheme: s}
	switch {
	case k.value == nil:
	case len(k.value) == set.LenSeed:
		_, o.priv = s.DeriveKeyPair(k.value)
	default:
		o.priv, err = s.UnmarshalBinaryPrivateKey(k.value)
	}
	if err == nil {
		o.pub, err = s.UnmarshalBinaryPublicKey(info.key)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", set.Name, err, ck.CKR_IBM_BLOB_ERROR)
	}
	return o, nil
}

// kemRight: the standard's mechanism has rights of its own, the vendor's go by
// DERIVE.
func kemRight(m mech.Mechanism) unit.Bits {
	if p, ok := m.Param.(*mech.Kyber); ok && p.Mode == ck.CK_IBM_KEM_ENCAPSULATE {
		return unit.BitEncapsulate
	}
	return unit.BitDecapsulate
}

func badKEM(format string, a ...any) error {
	return fmt.Errorf("KEM: %s: %w", fmt.Sprintf(format, a...), ck.CKR_MECHANISM_PARAM_INVALID)
}

func deriveKEM(u *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.Kyber](m)
	if err != nil {
		return derived{}, err
	}
	mixed, err := u.mixedSecret(m, p)
	if err != nil {
		return derived{}, err
	}
	shared, ct, err := k.runKEM(p)
	if err != nil {
		return derived{}, err
	}
	defer shared.Wipe()
	d, err := afterKEM(t, shared, mixed, p)
	if err != nil {
		return derived{}, err
	}
	d.encapsulated = true
	d.checkSum = append(d.key.checkSum(), ct...)
	return d, nil
}

// runKEM encapsulates with a public key or decapsulates with a private one.
func (k *key) runKEM(p *mech.Kyber) (shared ck.Secret, ct []byte, err error) {
	o, err := open(k, openKEM)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case p.Version != 0:
		return nil, nil, badKEM("version %d", p.Version)
	case p.Mode == ck.CK_IBM_KEM_ENCAPSULATE && len(p.CipherText) != 0:
		return nil, nil, badKEM("ciphertext to encapsulate")
	case p.Mode == ck.CK_IBM_KEM_ENCAPSULATE && k.class == ck.CKO_PUBLIC_KEY:
		ct, shared, err = o.scheme.Encapsulate(o.pub)
	case p.Mode == ck.CK_IBM_KEM_DECAPSULATE && o.priv != nil:
		if len(p.CipherText) != o.scheme.CiphertextSize() {
			return nil, nil, badKEM("ciphertext of %d bytes instead of %d", len(p.CipherText), o.scheme.CiphertextSize())
		}
		shared, err = o.scheme.Decapsulate(o.priv, p.CipherText)
	case p.Mode == ck.CK_IBM_KEM_ENCAPSULATE || p.Mode == ck.CK_IBM_KEM_DECAPSULATE:
		return nil, nil, fmt.Errorf("KEM mode %d with a %v: %w", p.Mode, k.class, ck.CKR_KEY_TYPE_INCONSISTENT)
	default:
		return nil, nil, badKEM("mode %d", p.Mode)
	}
	if err != nil {
		err = fmt.Errorf("%v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return shared, ct, err
}

// hybridHash are the hashes of the KDFs that mix another secret in; 0 is none.
var hybridHash = map[uint64]crypto.Hash{
	ck.CKD_IBM_HYBRID_NULL: 0, ck.CKD_IBM_HYBRID_SHA1_KDF: crypto.SHA1, ck.CKD_IBM_HYBRID_SHA224_KDF: crypto.SHA224,
	ck.CKD_IBM_HYBRID_SHA256_KDF: crypto.SHA256, ck.CKD_IBM_HYBRID_SHA384_KDF: crypto.SHA384, ck.CKD_IBM_HYBRID_SHA512_KDF: crypto.SHA512,
}

// mixedSecret opens the secret that a hybrid KDF mixes in. ML-KEM as the standard
// has it knows no such thing.
func (u *Unit) mixedSecret(m mech.Mechanism, p *mech.Kyber) (*key, error) {
	_, hybrid := hybridHash[p.KDF]
	if !hybrid || m.Type == ck.CKM_ML_KEM {
		if p.KDF != ck.CKD_NULL || len(p.Blob) != 0 || len(p.Shared) != 0 || p.Prepend {
			return nil, badKEM("KDF 0x%x, %d bytes of shared data, a blob of %d", p.KDF, len(p.Shared), len(p.Blob))
		}
		return nil, nil
	}
	if len(p.Blob) == 0 {
		return nil, badKEM("hybrid KDF without a secret to mix in")
	}
	k, err := u.openKey(p.Blob)
	if err != nil {
		return nil, err
	}
	if k.class != ck.CKO_SECRET_KEY {
		return nil, fmt.Errorf("%v to mix in: %w", k.class, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if !k.bits.Has(unit.BitUseAsData) {
		return nil, fmt.Errorf("the secret to mix in is not for use as data: %w", ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	return k, k.allows(m.Type)
}

// afterKEM makes the key: the shared secret or, with another secret mixed in,
// X9.63's KDF over the shared secret and the other (before it if Prepend is set).
func afterKEM(t ck.Template, shared ck.Secret, mixed *key, p *mech.Kyber) (derived, error) {
	if mixed == nil {
		return fromBytes(t, shared)
	}
	parts := [][]byte{shared, mixed.value}
	if p.Prepend {
		parts = [][]byte{mixed.value, shared}
	}
	z := ck.Secret(bytes.Join(parts, nil))
	defer z.Wipe()
	h := hybridHash[p.KDF]
	if h == 0 {
		return hybridSecret(t, z)
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
