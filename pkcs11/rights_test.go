package pkcs11

import (
	"testing"

	"grep11/pkcs11/ck"
)

func TestUsualRights(t *testing.T) {
	for _, c := range []struct {
		name  string
		class ck.ObjectClass
		kind  ck.KeyType
		given ck.Template
		want  []ck.AttributeType
	}{
		{"a secret key encrypts and authenticates", ck.CKO_SECRET_KEY, ck.CKK_AES, nil,
			[]ck.AttributeType{ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY}},
		{"a template that names a right means it", ck.CKO_SECRET_KEY, ck.CKK_AES, ck.Template{ck.Bool(ck.CKA_WRAP, true)},
			[]ck.AttributeType{ck.CKA_WRAP}},
		{"a template that denies a right means it", ck.CKO_SECRET_KEY, ck.CKK_AES, ck.Template{ck.Bool(ck.CKA_SIGN, false)}, nil},
		{"an RSA key signs and decrypts", ck.CKO_PRIVATE_KEY, ck.CKK_RSA, nil, []ck.AttributeType{ck.CKA_SIGN, ck.CKA_DECRYPT}},
		{"an EC key signs", ck.CKO_PRIVATE_KEY, ck.CKK_EC, nil, []ck.AttributeType{ck.CKA_SIGN}},
		{"an EC public key verifies", ck.CKO_PUBLIC_KEY, ck.CKK_EC, nil, []ck.AttributeType{ck.CKA_VERIFY}},
		{"data has no rights", ck.CKO_DATA, 0, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := withUsual(c.class, c.kind, c.given)
			for _, right := range usage {
				want := false
				for _, w := range c.want {
					want = want || w == right
				}
				if on, _ := got.Bool(right, false); on != want {
					t.Errorf("%v is %v", right, on)
				}
			}
		})
	}
}
