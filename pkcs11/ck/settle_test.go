package ck

import (
	"errors"
	"testing"
)

func TestSettle(t *testing.T) {
	oid, name := []byte{6, 1, 42}, []byte{19, 1, 'x'}
	for what, row := range map[string]struct {
		asked, made Attribute
		want        error
	}{
		"the same":                  {Bytes(CKA_EC_PARAMS, oid), Bytes(CKA_EC_PARAMS, oid), nil},
		"another curve":             {Bytes(CKA_EC_PARAMS, []byte{6, 1, 43}), Bytes(CKA_EC_PARAMS, oid), CKR_TEMPLATE_INCONSISTENT},
		"a curve by name":           {Bytes(CKA_EC_PARAMS, name), Bytes(CKA_EC_PARAMS, oid), nil},
		"a point in a string":       {Bytes(CKA_EC_POINT, []byte{4, 2, 7, 8}), Bytes(CKA_EC_POINT, []byte{7, 8}), nil},
		"another point":             {Bytes(CKA_EC_POINT, []byte{4, 2, 7, 9}), Bytes(CKA_EC_POINT, []byte{4, 2, 7, 8}), CKR_TEMPLATE_INCONSISTENT},
		"no point":                  {Bytes(CKA_EC_POINT, nil), Bytes(CKA_EC_POINT, []byte{7, 8}), CKR_TEMPLATE_INCONSISTENT},
		"a number with zeros":       {Bytes(CKA_PRIME, []byte{0, 0, 7}), Bytes(CKA_PRIME, []byte{7}), nil},
		"another number":            {Bytes(CKA_PRIME, []byte{7, 0}), Bytes(CKA_PRIME, []byte{7}), CKR_TEMPLATE_INCONSISTENT},
		"another length":            {Ulong(CKA_VALUE_LEN, 16), Ulong(CKA_VALUE_LEN, 32), CKR_TEMPLATE_INCONSISTENT},
		"another check value":       {Bytes(CKA_CHECK_VALUE, []byte{1, 2, 3}), Bytes(CKA_CHECK_VALUE, []byte{1, 2, 4}), CKR_ATTRIBUTE_VALUE_INVALID},
		"public key info left open": {Bytes(CKA_PUBLIC_KEY_INFO, nil), Bytes(CKA_PUBLIC_KEY_INFO, []byte{1}), nil},
		"what a key may decide":     {Bool(CKA_SENSITIVE, false), Bool(CKA_SENSITIVE, true), nil},
	} {
		got, err := Template{row.asked}.Settle(Template{row.made})
		if !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", what, err, row.want)
		}
		if err == nil && !(len(got) == 1 && got[0].Equal(row.made)) {
			t.Errorf("%s: %v", what, got)
		}
	}
	none, err := Template{Bytes(CKA_CHECK_VALUE, nil)}.Settle(Template{Bytes(CKA_CHECK_VALUE, []byte{1, 2, 3})})
	if v, ok := none.Get(CKA_CHECK_VALUE); err != nil || !ok || len(v.Value) != 0 {
		t.Errorf("a check value that was not wanted: %x, %v", v.Value, err)
	}
}
