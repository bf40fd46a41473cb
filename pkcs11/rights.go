package pkcs11

import (
	"slices"

	"grep11/pkcs11/ck"
)

// usage are the attributes that say what a key may be used for.
var usage = []ck.AttributeType{
	ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER,
	ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_DERIVE, ck.CKA_ENCAPSULATE, ck.CKA_DECAPSULATE,
}

// usual are the rights of a key that comes with its value, or wrapped, and a
// template that is silent about its use: those that a unit gives to generated
// keys. Java and others rely on them. None of them lets another key out.
var usual = []struct {
	On    classes
	Keys  []ck.KeyType // none: all
	Right ck.AttributeType
}{
	{secrets, nil, ck.CKA_ENCRYPT},
	{secrets, nil, ck.CKA_DECRYPT},
	{secrets, nil, ck.CKA_SIGN},
	{secrets, nil, ck.CKA_VERIFY},
	{privates, signers, ck.CKA_SIGN},
	{privates, []ck.KeyType{ck.CKK_RSA}, ck.CKA_DECRYPT},
	{publics, signers, ck.CKA_VERIFY},
	{publics, []ck.KeyType{ck.CKK_RSA}, ck.CKA_ENCRYPT},
	{privates, []ck.KeyType{ck.CKK_ML_KEM}, ck.CKA_DECAPSULATE},
	{publics, []ck.KeyType{ck.CKK_ML_KEM}, ck.CKA_ENCAPSULATE},
}

var signers = []ck.KeyType{ck.CKK_RSA, ck.CKK_DSA, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_ML_DSA, ck.CKK_SLH_DSA, ck.CKK_IBM_PQC_DILITHIUM}

// wrapsOnly keeps a key that is generated for wrapping from what a unit lets
// generated keys do by default: one that decrypts may not wrap what is sensitive,
// and one that encrypts brings in keys that somebody knows.
func wrapsOnly(class ck.ObjectClass, t ck.Template) ck.Template {
	wraps, _ := t.Bool(ck.CKA_WRAP, false)
	unwraps, _ := t.Bool(ck.CKA_UNWRAP, false)
	if classOf[class]&hidden == 0 || !wraps && !unwraps {
		return t
	}
	for _, right := range []ck.AttributeType{ck.CKA_ENCRYPT, ck.CKA_DECRYPT} {
		if r, _ := ruleFor(right, class, 0); r != nil && !t.Has(right) {
			t = t.Set(ck.Bool(right, false))
		}
	}
	return t
}

// withUsual adds the usual rights to a template that names none.
func withUsual(class ck.ObjectClass, kind ck.KeyType, t ck.Template) ck.Template {
	if slices.ContainsFunc(usage, t.Has) {
		return t
	}
	for _, u := range usual {
		if u.On&classOf[class] != 0 && (u.Keys == nil || slices.Contains(u.Keys, kind)) {
			t = t.Set(ck.Bool(u.Right, true))
		}
	}
	return t
}
