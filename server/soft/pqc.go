package soft

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// What the post-quantum families have in common. A private key's value is the
// seed that it was made of or, where it came without one, the expanded key of
// the standards; the two differ in length. An SPKI's key is the raw public key.

// pqcScheme is one parameter set's arithmetic.
type pqcScheme interface {
	// derive makes the expanded private key and the public key of a seed.
	derive(seed []byte) (expanded, public []byte, err error)
	// publicOf checks an expanded private key and gives the public one.
	publicOf(expanded []byte) ([]byte, error)
	// checkPublic refuses what is no public key, whose length is right.
	checkPublic(public []byte) error
}

// pqcFamilies finds the family of a parameter set.
var pqcFamilies map[ck.KeyType]*family

// pqcSchemes finds a set's arithmetic by the set's name.
var pqcSchemes = map[string]pqcScheme{}

func init() {
	pqcFamilies = map[ck.KeyType]*family{
		ck.CKK_ML_KEM: &mlkemFamily, ck.CKK_IBM_PQC_KYBER: &kyberFamily,
		ck.CKK_ML_DSA: &mldsaFamily, ck.CKK_IBM_PQC_DILITHIUM: &dilithiumFamily,
		ck.CKK_SLH_DSA: &slhFamily,
	}
}

// set is the parameter set of a post-quantum key, nil for others.
func (info *publicInfo) set() *mech.ParameterSet { return mech.SetByOID(info.oid) }

// isSet is the finder of SPKIs with a parameter set's OID, which have no parameters.
func isSet(s *mech.ParameterSet) func(*publicInfo) error {
	return func(info *publicInfo) error {
		info.family = pqcFamilies[s.Key]
		if info.params != nil {
			return badSPKI(s.Name + " has no parameters")
		}
		return nil
	}
}

func checkPQC(info *publicInfo) error {
	s := info.set()
	if len(info.key) != s.LenPublic {
		return fmt.Errorf("%s: public key of %d bytes instead of %d: %w", s.Name, len(info.key), s.LenPublic, ck.CKR_PUBLIC_KEY_INVALID)
	}
	if err := pqcSchemes[s.Name].checkPublic(info.key); err != nil {
		return fmt.Errorf("%s: %v: %w", s.Name, err, ck.CKR_PUBLIC_KEY_INVALID)
	}
	return nil
}

func pqcAttributes(info *publicInfo) ck.Template {
	s := info.set()
	switch {
	case s.ID == 0:
		return ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, s.OID)}
	case s.Key == ck.CKK_SLH_DSA:
		return ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, s.ID)}
	}
	return ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, s.ID), ck.Ulong(ck.CKA_IBM_PARAMETER_SET, s.ID)}
}

func pqcValue(info *publicInfo) []byte { return info.key }

// pqcSecret gives CKA_SEED and CKA_VALUE of a private key.
func pqcSecret(k *key, t ck.AttributeType) (ck.Attribute, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return ck.Attribute{}, err
	}
	s := info.set()
	hasSeed := len(k.value) == s.LenSeed
	switch {
	case t == ck.CKA_SEED && hasSeed, t == ck.CKA_VALUE && !hasSeed:
		return ck.Bytes(t, append([]byte(nil), k.value...)), nil
	case t == ck.CKA_VALUE:
		expanded, _, err := pqcSchemes[s.Name].derive(k.value)
		return ck.Bytes(t, expanded), err
	}
	return ck.Attribute{}, fmt.Errorf("%v: %w", t, ck.CKR_ATTRIBUTE_TYPE_INVALID)
}

// makePQC makes a pair of a seed or an expanded key.
func makePQC(s *mech.ParameterSet, value ck.Secret) (*pair, error) {
	var public []byte
	var err error
	if len(value) == s.LenSeed {
		_, public, err = pqcSchemes[s.Name].derive(value)
	} else {
		public, err = pqcSchemes[s.Name].publicOf(value)
	}
	if err != nil {
		return nil, err
	}
	return &pair{value: value, spki: makeSPKI(s.OID, nil, public)}, nil
}

// generatePQC makes pairs of some key types from fresh seeds.
func generatePQC(types ...ck.KeyType) func(mech.Mechanism, *request, *request) (*pair, error) {
	return func(_ mech.Mechanism, pub, priv *request) (*pair, error) {
		for _, r := range []*request{pub, priv} {
			if err := r.want(types...); err != nil {
				return nil, err
			}
		}
		s, err := wantedSet(types[0], pub, priv)
		if err != nil {
			return nil, err
		}
		if s.LenSeed == 0 {
			return generateSLH(s)
		}
		seed := make(ck.Secret, s.LenSeed)
		rand.Read(seed)
		return makePQC(s, seed)
	}
}

// wantedSet is the set that a pair's templates name.
func wantedSet(kt ck.KeyType, pub, priv *request) (*mech.ParameterSet, error) {
	for _, r := range []*request{pub, priv} {
		if !r.Has(ck.CKA_PARAMETER_SET) && !r.Has(ck.CKA_IBM_PARAMETER_SET) && !r.Has(ck.CKA_IBM_PQC_PARAMS) {
			continue
		}
		if s := mech.SetOf(kt, r.Template); s != nil {
			return s, nil
		}
		if r.Has(ck.CKA_IBM_PQC_PARAMS) {
			return nil, fmt.Errorf("strength of %v: %w", kt, ck.CKR_IBM_PQC_PARAMS_NOT_SUPPORTED)
		}
		return nil, fmt.Errorf("parameter set of %v: %w", kt, ck.CKR_PARAMETER_SET_NOT_SUPPORTED)
	}
	return nil, fmt.Errorf("no parameter set of %v: %w", kt, ck.CKR_TEMPLATE_INCOMPLETE)
}

var tagSeed = asn1.Tag(0).ContextSpecific()

// pqcPKCS8 writes the key in one of the forms of RFC 9881 and 9935, a seed or an
// expanded key. The vendor's algorithms have the same under their own OIDs.
func pqcPKCS8(k *key, info *publicInfo) ([]byte, error) {
	s := info.set()
	b := cryptobyte.NewBuilder(nil)
	tag := asn1.OCTET_STRING
	if len(k.value) == s.LenSeed {
		tag = tagSeed
	}
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(k.value) })
	inner := b.BytesOrPanic()
	defer clear(inner)
	return makePKCS8(s.OID, nil, inner)
}

// pqcFromPKCS8 takes a seed, an expanded key, or both where they agree.
func pqcFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	set := mech.SetByOID(p.oid)
	s := cryptobyte.String(p.key)
	var both, seed, expanded cryptobyte.String
	switch {
	case s.PeekASN1Tag(tagSeed) && s.ReadASN1(&seed, tagSeed):
	case s.PeekASN1Tag(asn1.OCTET_STRING) && s.ReadASN1(&expanded, asn1.OCTET_STRING):
	case s.ReadASN1(&both, asn1.SEQUENCE) && both.ReadASN1(&seed, asn1.OCTET_STRING) && both.ReadASN1(&expanded, asn1.OCTET_STRING) && both.Empty():
	default:
		return nil, nil, badPKCS8("neither seed nor expanded key")
	}
	if !s.Empty() || seed != nil && len(seed) != set.LenSeed || expanded != nil && len(expanded) != set.LenPrivate {
		return nil, nil, badPKCS8("seed or expanded key has another length")
	}
	return importPQC(set, seed, expanded)
}

func importPQC(set *mech.ParameterSet, seed, expanded []byte) (ck.Secret, []byte, error) {
	value := seed
	if seed == nil {
		value = expanded
	} else if expanded != nil {
		derived, _, err := pqcSchemes[set.Name].derive(seed)
		defer clear(derived)
		if err != nil || subtle.ConstantTimeCompare(derived, expanded) != 1 {
			return nil, nil, badPKCS8("seed and expanded key are not of one key")
		}
	}
	p, err := makePQC(set, append(ck.Secret(nil), value...))
	if err != nil {
		return nil, nil, badPKCS8(err.Error())
	}
	return p.value, p.spki, nil
}
