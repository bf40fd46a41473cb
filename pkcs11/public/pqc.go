package public

import (
	"crypto"
	"encoding/asn1"
	"fmt"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// ML-DSA and SLH-DSA in their pure forms, which the library exports.

// pqcKey is a public key of one of the two.
type pqcKey struct {
	set    *mech.ParameterSet
	scheme sign.Scheme
	key    sign.PublicKey
	bytes  []byte
}

var mldsaSchemes = map[uint64]sign.Scheme{
	ck.CKP_ML_DSA_44: mldsa44.Scheme(), ck.CKP_ML_DSA_65: mldsa65.Scheme(), ck.CKP_ML_DSA_87: mldsa87.Scheme(),
}

func parsePQC(t ck.KeyType, a ck.Template) (*Key, error) {
	set, value := mech.SetOf(t, a), a.Bytes(ck.CKA_VALUE)
	if set == nil || len(value) != set.LenPublic {
		return nil, fmt.Errorf("%v of %d bytes: %w", t, len(value), ck.CKR_PUBLIC_KEY_INVALID)
	}
	k := &pqcKey{set: set, scheme: mldsaSchemes[set.ID], bytes: value}
	if t == ck.CKK_SLH_DSA {
		id, err := slhdsa.IDByName(set.Name)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", err, ck.CKR_PARAMETER_SET_NOT_SUPPORTED)
		}
		k.scheme = id.Scheme()
	}
	var err error
	if k.key, err = k.scheme.UnmarshalBinaryPublicKey(value); err != nil {
		return nil, fmt.Errorf("%s: %v: %w", set.Name, err, ck.CKR_PUBLIC_KEY_INVALID)
	}
	return &Key{pqc: k}, nil
}

// info is the key's SubjectPublicKeyInfo.
func (k *pqcKey) info() []byte {
	der, err := asn1.Marshal(struct {
		Algorithm struct{ OID asn1.RawValue }
		Key       asn1.BitString
	}{struct{ OID asn1.RawValue }{asn1.RawValue{FullBytes: k.set.OID}}, asn1.BitString{Bytes: k.bytes, BitLength: 8 * len(k.bytes)}})
	if err != nil {
		return nil
	}
	return der
}

var pure = map[ck.MechanismType]ck.KeyType{ck.CKM_ML_DSA: ck.CKK_ML_DSA, ck.CKM_IBM_ML_DSA: ck.CKK_ML_DSA, ck.CKM_SLH_DSA: ck.CKK_SLH_DSA}

func fitsPQC(k *Key, m mech.Mechanism) bool { return k.pqc != nil && k.pqc.set.Key == pure[m.Type] }

func verifyPQC(k *Key, m mech.Mechanism, _ crypto.Hash, data, sig []byte) error {
	options := &sign.SignatureOpts{}
	if p, ok := m.Param.(*mech.SignContext); ok {
		options.Context = string(p.Context)
	}
	if !k.pqc.scheme.Verify(k.pqc.key, data, sig, options) {
		return invalid(m)
	}
	return nil
}
