package mech

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"grep11/pkcs11/ck"
)

func TestKeyTypeOf(t *testing.T) {
	ec := asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	for _, c := range []struct {
		name      string
		algorithm asn1.ObjectIdentifier
		parameter any
		want      ck.KeyType
		ok        bool
	}{
		{"RSA, whose number is 0", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue, ck.CKK_RSA, true},
		{"a curve of its own", ec, asn1.ObjectIdentifier{1, 3, 132, 0, 10}, ck.CKK_EC, true},
		{"a curve that is written out", ec, struct{ Version int }{1}, ck.CKK_EC, true},
		{"Ed25519 of RFC 8410", asn1.ObjectIdentifier{1, 3, 101, 112}, nil, ck.CKK_EC_EDWARDS, true},
		{"Ed25519 as in blobs", ec, asn1.ObjectIdentifier{1, 3, 101, 112}, ck.CKK_EC_EDWARDS, true},
		{"X448 as in blobs", ec, asn1.ObjectIdentifier{1, 3, 101, 111}, ck.CKK_EC_MONTGOMERY, true},
		{"ML-DSA-44", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, nil, ck.CKK_ML_DSA, true},
		{"RSA with the parameters of PSS", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, nil, 0, false},
	} {
		a := pkix.AlgorithmIdentifier{Algorithm: c.algorithm}
		if c.parameter != nil {
			der, err := asn1.Marshal(c.parameter)
			if err != nil {
				t.Fatal(err)
			}
			a.Parameters.FullBytes = der
		}
		info, err := asn1.Marshal(struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{a, asn1.BitString{Bytes: []byte{4}, BitLength: 8}})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := KeyTypeOf(append(info, "more"...)); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
	}
	if _, ok := KeyTypeOf([]byte("no DER")); ok {
		t.Error("a type of garbage")
	}
}
