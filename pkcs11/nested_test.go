package pkcs11_test

import (
	"fmt"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// The templates that keys hold for the keys they wrap and make,
// CKA_WRAP_TEMPLATE and its kin.

func nested(at ck.AttributeType, sub ...ck.Attribute) ck.Attribute {
	return ck.Attribute{Type: at, Sub: sub}
}

// TestNestedTemplates: a key's templates have the form of templates, and stay.
func TestNestedTemplates(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	encrypts := ck.Bool(ck.CKA_ENCRYPT, true)
	for _, at := range []ck.AttributeType{ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE} {
		make := func(more ...ck.Attribute) error {
			_, err := u.m.GenerateKey(ctx, u.h, mechanism(ck.CKM_AES_KEY_GEN), append(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}, more...))
			return err
		}
		for name, row := range map[string]struct {
			t    ck.Template
			want error
		}{
			"one":                       {ck.Template{nested(at, encrypts)}, nil},
			"an empty one":              {ck.Template{nested(at)}, nil},
			"the same twice":            {ck.Template{nested(at, encrypts, leaves), nested(at, leaves, encrypts)}, nil},
			"two":                       {ck.Template{nested(at, encrypts), nested(at, leaves)}, ck.CKR_TEMPLATE_INCONSISTENT},
			"one in another":            {ck.Template{nested(at, nested(at))}, ck.CKR_TEMPLATE_INCONSISTENT},
			"a Boolean of two bytes":    {ck.Template{nested(at, ck.Bytes(ck.CKA_ENCRYPT, []byte{1, 1}))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
			"an attribute of nobody's":  {ck.Template{nested(at, ck.Bytes(nobodys, nil))}, ck.CKR_ATTRIBUTE_TYPE_INVALID},
			"bytes instead of template": {ck.Template{ck.Bytes(at, []byte{1})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		} {
			wants(t, fmt.Sprintf("%v, %s", at, name), make(row.t...), row.want)
		}
		for _, token := range []ck.Attribute{isToken, ck.Bool(ck.CKA_TOKEN, false)} {
			k := u.aes(token, nested(at, encrypts, leaves))
			for _, weaker := range []ck.Attribute{nested(at), nested(at, encrypts), nested(at, encrypts, ck.Bool(ck.CKA_EXTRACTABLE, false))} {
				_, err := u.m.CopyObject(ctx, u.h, k, ck.Template{weaker})
				wants(t, fmt.Sprintf("copy with another %v", at), err, ck.CKR_ATTRIBUTE_READ_ONLY)
				wants(t, fmt.Sprintf("another %v", at), u.m.SetAttributeValue(ctx, u.h, k, ck.Template{weaker}), ck.CKR_ATTRIBUTE_READ_ONLY)
			}
			same := nested(at, leaves, encrypts)
			c, err := u.m.CopyObject(ctx, u.h, k, ck.Template{same})
			wants(t, fmt.Sprintf("copy with the same %v", at), err, nil)
			if err == nil && !u.holds(c, same) {
				t.Errorf("the copy has another %v", at)
			}
		}
	}
}

// TestDeriveTemplate: the base key's template is added to what the caller says,
// and must not be contradicted.
func TestDeriveTemplate(t *testing.T) {
	u := start(t)
	for _, token := range []ck.Attribute{isToken, ck.Bool(ck.CKA_TOKEN, false)} {
		base, err := u.m.GenerateKey(t.Context(), u.h, mechanism(ck.CKM_GENERIC_SECRET_KEY_GEN), ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_DERIVE, true),
			token, nested(ck.CKA_DERIVE_TEMPLATE, sensitive, ck.Bytes(ck.CKA_LABEL, []byte("derived")), ck.Bool(ck.CKA_SIGN, true))})
		wants(t, "base key", err, nil)
		derive := func(more ...ck.Attribute) (ck.ObjectHandle, error) {
			return u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_SHA256_KEY_DERIVATION), base, append(more, token))
		}
		o, err := derive(ck.Bool(ck.CKA_SIGN, true))
		wants(t, "derive", err, nil)
		if label, _ := u.get(o, ck.CKA_LABEL); string(label) != "derived" || !u.flag(o, ck.CKA_SIGN) {
			t.Errorf("the template was not applied: %q", label)
		}
		for _, other := range []ck.Attribute{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bytes(ck.CKA_LABEL, []byte("x")), ck.Bool(ck.CKA_SIGN, false)} {
			_, err := derive(other)
			wants(t, fmt.Sprintf("another %v", other.Type), err, ck.CKR_TEMPLATE_INCONSISTENT)
		}
	}
}

// TestReadingNestedTemplates has less room than is needed, for the template and
// for values in it.
func TestReadingNestedTemplates(t *testing.T) {
	u := start(t)
	k := u.aes(nested(ck.CKA_UNWRAP_TEMPLATE, ck.Bytes(ck.CKA_LABEL, []byte("label")), sensitive))
	const lenAttribute = 24
	for _, row := range []struct {
		name    string
		rooms   []int // -1: NULL
		want    error
		lengths []uint64
	}{
		{"lengths alone", []int{-1, -1}, nil, []uint64{5, 1}},
		{"enough", []int{5, 1}, nil, []uint64{5, 1}},
		{"more than enough", []int{6, 9, 3}, nil, []uint64{5, 1, 3}},
		{"a short value", []int{4, 1}, ck.CKR_BUFFER_TOO_SMALL, []uint64{ck.CK_UNAVAILABLE_INFORMATION, 1}},
		{"a short value and a length", []int{0, -1}, ck.CKR_BUFFER_TOO_SMALL, []uint64{ck.CK_UNAVAILABLE_INFORMATION, 1}},
	} {
		lengths := make([]uint64, len(row.rooms))
		out := pkcs11.AttributeOutput{Type: ck.CKA_UNWRAP_TEMPLATE, Len: new(uint64)}
		for i, room := range row.rooms {
			sub := pkcs11.AttributeOutput{Len: &lengths[i]}
			if room >= 0 {
				sub.Buf, lengths[i] = make([]byte, room), uint64(room)
			}
			out.Sub = append(out.Sub, sub)
		}
		wants(t, row.name, u.m.GetAttributeValue(t.Context(), u.h, k, []pkcs11.AttributeOutput{out}), row.want)
		if *out.Len != 2*lenAttribute || fmt.Sprint(lengths) != fmt.Sprint(row.lengths) {
			t.Errorf("%s: %d bytes of attributes, lengths %d, want %d", row.name, *out.Len, lengths, row.lengths)
		}
	}
}
