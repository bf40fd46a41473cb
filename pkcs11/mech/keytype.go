package mech

import (
	"crypto/x509/pkix"
	"encoding/asn1"

	"grep11/pkcs11/ck"
)

// keyTypes by the algorithm of a SubjectPublicKeyInfo, beside those of parameter
// sets: RFC 3279, PKCS#3, RFC 5480, RFC 8410.
var keyTypes = map[string]ck.KeyType{
	"1.2.840.113549.1.1.1": ck.CKK_RSA,
	"1.2.840.10040.4.1":    ck.CKK_DSA,
	"1.2.840.113549.1.3.1": ck.CKK_DH,
	"1.2.840.10045.2.1":    ck.CKK_EC,
	"1.3.101.110":          ck.CKK_EC_MONTGOMERY,
	"1.3.101.111":          ck.CKK_EC_MONTGOMERY,
	"1.3.101.112":          ck.CKK_EC_EDWARDS,
	"1.3.101.113":          ck.CKK_EC_EDWARDS,
}

// KeyTypeOf is the type of the key in a DER SubjectPublicKeyInfo, which more bytes
// may follow; ok is false where there is none. Blobs have the curves of RFC 8410 as
// parameters of id-ecPublicKey.
func KeyTypeOf(info []byte) (t ck.KeyType, ok bool) {
	var parsed struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(info, &parsed); err != nil {
		return 0, false
	}
	algorithm := parsed.Algorithm.Algorithm
	if der, err := asn1.Marshal(algorithm); err == nil && SetByOID(der) != nil {
		return SetByOID(der).Key, true
	}
	t, ok = keyTypes[algorithm.String()]
	if t != ck.CKK_EC {
		return t, ok
	}
	var curve asn1.ObjectIdentifier
	_, _ = asn1.Unmarshal(parsed.Algorithm.Parameters.FullBytes, &curve) // other forms are of EC keys
	if special, ok := keyTypes[curve.String()]; ok {
		return special, true
	}
	return t, true
}
