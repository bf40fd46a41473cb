package unit

import "grep11/pkcs11/ck"

// Governed tells whether a key's attribute is sealed in its blob: only
// SetAttributes of a unit changes it, under the unit's own rules.
func Governed(t ck.AttributeType) bool { return BitOf(t) != 0 || t == ck.CKA_SENSITIVE }
