package keystore

import (
	"bytes"
	"testing"

	"grep11/pkcs11/ck"
)

var sample = ck.Template{
	ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Bytes(ck.CKA_LABEL, []byte("a label")), ck.Bytes(ck.CKA_ID, nil),
	ck.Bool(ck.CKA_SIGN, true), ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{1, 1 << 31}),
	{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{ck.Bool(ck.CKA_TRUSTED, true), {Type: ck.CKA_DERIVE_TEMPLATE}}},
	ck.Bytes(0x80001234, []byte("vendor")),
}

func TestTemplatesComeBack(t *testing.T) {
	b, err := encodeTemplate(sample)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeTemplate(b)
	if err != nil || len(got) != len(sample) || !Matches(got, sample) || !Matches(sample, got) {
		t.Error(got, err)
	}
	// Records do not depend on the machine: CKA_CLASS is 0, a number, big-endian.
	if want := []byte{0, byte(ck.KindUlong), 8, 0, 0, 0, 0, 0, 0, 0, 3}; !bytes.HasPrefix(b, want) {
		t.Errorf("% x", b[:16])
	}
}

func TestTemplatesNestedTooDeepAreRefused(t *testing.T) {
	a := ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE}
	for range maxDepth {
		a = ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{a}}
	}
	if _, err := encodeTemplate(ck.Template{a}); ck.RVOf(err) != ck.CKR_ATTRIBUTE_VALUE_INVALID {
		t.Error(err)
	}
}

func FuzzStoredAttributes(f *testing.F) {
	b, err := encodeTemplate(sample)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{})
	f.Add([]byte{3, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeTemplate(b)
		if err != nil {
			if ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
				t.Error(err)
			}
			return
		}
		again, err := encodeTemplate(got)
		if err != nil {
			return // a type whose kind is another one today
		}
		back, err := decodeTemplate(again)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := encodeTemplate(back); err != nil || !bytes.Equal(twice, again) {
			t.Errorf("% x became % x: %v", again, twice, err)
		}
	})
}
