package ck

import (
	"bytes"
	"testing"
)

var sample = Template{
	Ulong(CKA_CLASS, CKO_PRIVATE_KEY), Bytes(CKA_LABEL, []byte("a label")), Bytes(CKA_ID, nil),
	Bool(CKA_SIGN, true), Ulongs(CKA_ALLOWED_MECHANISMS, []MechanismType{1, 1 << 31}),
	{Type: CKA_WRAP_TEMPLATE, Sub: Template{Bool(CKA_TRUSTED, true), {Type: CKA_DERIVE_TEMPLATE}}},
	Bytes(0x80001234, []byte("vendor")),
}

func TestTemplatesComeBack(t *testing.T) {
	b, err := sample.Portable()
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromPortable(b)
	if err != nil || len(got) != len(sample) {
		t.Error(got, err)
	}
	for _, want := range sample {
		if a, ok := got.Get(want.Type); !ok || !a.Equal(want) {
			t.Errorf("%v came back as %v", want, a)
		}
	}
	// Records do not depend on the machine: CKA_CLASS is 0, a number, big-endian.
	if want := []byte{0, byte(KindUlong), 8, 0, 0, 0, 0, 0, 0, 0, 3}; !bytes.HasPrefix(b, want) {
		t.Errorf("% x", b[:16])
	}
}

func TestTemplatesNestedTooDeepAreRefused(t *testing.T) {
	a := Attribute{Type: CKA_WRAP_TEMPLATE}
	for range maxDepth {
		a = Attribute{Type: CKA_WRAP_TEMPLATE, Sub: Template{a}}
	}
	if _, err := (Template{a}).Portable(); RVOf(err) != CKR_ATTRIBUTE_VALUE_INVALID {
		t.Error(err)
	}
}

func FuzzPortable(f *testing.F) {
	b, err := sample.Portable()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{})
	f.Add([]byte{3, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := FromPortable(b)
		if err != nil {
			return
		}
		again, err := got.Portable()
		if err != nil {
			return // a type whose kind is another one today
		}
		back, err := FromPortable(again)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := back.Portable(); err != nil || !bytes.Equal(twice, again) {
			t.Errorf("% x became % x: %v", again, twice, err)
		}
	})
}
