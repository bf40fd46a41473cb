package ck

import (
	"bytes"
	"fmt"
)

// follow are the attributes that a key's value decides, with what a template is
// that says something else.
var follow = map[AttributeType]RV{
	CKA_CHECK_VALUE:     CKR_ATTRIBUTE_VALUE_INVALID, // PKCS#11 v3.2, secret key objects
	CKA_PUBLIC_KEY_INFO: CKR_ATTRIBUTE_VALUE_INVALID, // private key objects
	CKA_VALUE_LEN:       CKR_TEMPLATE_INCONSISTENT,
	CKA_EC_PARAMS:       CKR_TEMPLATE_INCONSISTENT,
	CKA_EC_POINT:        CKR_TEMPLATE_INCONSISTENT,
	CKA_PRIME:           CKR_TEMPLATE_INCONSISTENT,
	CKA_SUBPRIME:        CKR_TEMPLATE_INCONSISTENT,
	CKA_BASE:            CKR_TEMPLATE_INCONSISTENT,
	CKA_PARAMETER_SET:   CKR_TEMPLATE_INCONSISTENT,
	CKA_IBM_PQC_PARAMS:  CKR_TEMPLATE_INCONSISTENT,
}

// Settle joins what a template asked of a key with what the key is, which
// counts; a template that contradicts the key is an error. An empty
// CKA_CHECK_VALUE asks for none.
func (t Template) Settle(made Template) (Template, error) {
	for _, is := range made {
		asked, ok := t.Get(is.Type)
		rv, follows := follow[is.Type]
		if ok && follows && !asked.agrees(is) {
			return nil, fmt.Errorf("%v is not the key's: %w", is.Type, rv)
		}
	}
	out := t.With(made)
	if v, ok := t.Get(CKA_CHECK_VALUE); ok && len(v.Value) == 0 {
		out = out.Set(v)
	}
	return out, nil
}

// agrees tells whether two values say the same of a key: numbers may have
// leading zeros, points stand in strings, and curves have names beside OIDs.
func (a Attribute) agrees(is Attribute) bool {
	switch a.Type {
	case CKA_CHECK_VALUE, CKA_PUBLIC_KEY_INFO:
		return len(a.Value) == 0 || bytes.Equal(a.Value, is.Value)
	case CKA_PRIME, CKA_SUBPRIME, CKA_BASE:
		return bytes.Equal(bytes.TrimLeft(a.Value, "\x00"), bytes.TrimLeft(is.Value, "\x00"))
	case CKA_EC_POINT:
		return len(a.Value) > 0 && (bytes.HasSuffix(a.Value, is.Value) || bytes.HasSuffix(is.Value, a.Value))
	case CKA_EC_PARAMS:
		const tagOID = 6
		return !bytes.HasPrefix(a.Value, []byte{tagOID}) || bytes.Equal(a.Value, is.Value)
	}
	return bytes.Equal(a.Value, is.Value)
}
