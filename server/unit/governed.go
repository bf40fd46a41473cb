package unit

import "grep11/pkcs11/ck"

// outside lists the Boolean attributes of keys that no blob holds: they say
// how the object around it is stored.
var outside = map[ck.AttributeType]bool{
	ck.CKA_TOKEN: true, ck.CKA_PRIVATE: true, ck.CKA_COPYABLE: true, ck.CKA_DESTROYABLE: true,
	ck.CKA_ALWAYS_AUTHENTICATE: true,
}

// Governed tells whether a key's attribute is sealed in its blob and can be
// changed there: only SetAttributes of a unit does so, under its own rules.
func Governed(t ck.AttributeType) bool { return t.Kind() == ck.KindBool && !outside[t] }
