package pkcs11

import (
	"bytes"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/public"
)

// Applications pass points of elliptic curves raw, in a DER OCTET STRING or in
// a BIT STRING, and numbers with or without leading zeros. Objects hold one
// form, and give one out.

// normal brings an attribute into the form that objects hold: points in an OCTET
// STRING, numbers without leading zeros.
func normal(a ck.Attribute) ck.Attribute {
	switch a.Type {
	case ck.CKA_EC_POINT:
		a.Value = public.Point(a.Value, true)
	case ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT:
		a.Value = bytes.TrimLeft(a.Value, "\x00")
	}
	return a
}

func normalAll(t ck.Template) ck.Template {
	out := make(ck.Template, len(t))
	for i, a := range t {
		out[i] = normal(a)
	}
	return out
}

// shown is an attribute as an application gets it. Points of Edwards and
// Montgomery curves are raw (PKCS#11 v3.0 and newer), or where the
// configuration says so in an OCTET STRING, as 2.40 had it.
func (s *session) shown(o *object, a ck.Attribute) ck.Attribute {
	if a.Type == ck.CKA_EC_POINT {
		a.Value = public.Point(a.Value, s.slot.service.wrapPoints)
	}
	return a
}
