package pkcs11

import (
	"encoding/asn1"
	"math/big"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// Domain parameters are made by C_GenerateKey and public. GREP11 gives them as
// DER; here they are numbers, PKCS#11 v3.2 §4.12.

var makesDomain = map[ck.MechanismType]bool{ck.CKM_DSA_PARAMETER_GEN: true, ck.CKM_DH_PKCS_PARAMETER_GEN: true}

// domainNumbers are the attributes of generated parameters: prime, subprime if
// there is one, and base.
func domainNumbers(o grep11client.Object) ck.Template {
	t := ck.Template{ck.Bool(ck.CKA_LOCAL, true)}
	for _, at := range []ck.AttributeType{ck.CKA_PRIME, ck.CKA_SUBPRIME, ck.CKA_BASE, ck.CKA_KEY_TYPE} {
		if a, ok := o.Attributes.Get(at); ok {
			t = append(t, a)
		}
	}
	var dsa struct{ P, Q, G *big.Int }
	var dh struct {
		P, G *big.Int
		Bits int `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(o.Blob, &dsa); err == nil && dsa.G.BitLen() > 64 {
		return t.With(ck.Template{ck.Bytes(ck.CKA_PRIME, dsa.P.Bytes()), ck.Bytes(ck.CKA_SUBPRIME, dsa.Q.Bytes()),
			ck.Bytes(ck.CKA_BASE, dsa.G.Bytes()), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DSA)})
	}
	if _, err := asn1.Unmarshal(o.Blob, &dh); err == nil {
		return t.With(ck.Template{ck.Bytes(ck.CKA_PRIME, dh.P.Bytes()), ck.Bytes(ck.CKA_BASE, dh.G.Bytes()),
			ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DH)})
	}
	return t
}
