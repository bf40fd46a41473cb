package pkcs11_test

import (
	"bytes"
	"fmt"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// The known attacks on keys through the interface itself (Clulow 2003; Delaune,
// Kremer and Steel 2008; Bortolozzo et al. 2010), as far as the standard has
// means against them.

var (
	secretClass = ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY)
	aesType     = ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)
	leaves      = ck.Bool(ck.CKA_EXTRACTABLE, true)
	wrapsKeys   = []ck.Attribute{ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true)}
)

func (u *user) wrap(kek, key ck.ObjectHandle) ([]byte, error) {
	return output(u.t, func(o *pkcs11.Output) error {
		return u.m.WrapKey(u.t.Context(), u.h, mechanism(ck.CKM_AES_KEY_WRAP), kek, key, o)
	})
}

func (u *user) unwrap(kek ck.ObjectHandle, wrapped []byte, t ck.Template) (ck.ObjectHandle, error) {
	return u.m.UnwrapKey(u.t.Context(), u.h, mechanism(ck.CKM_AES_KEY_WRAP), kek, wrapped, t)
}

// An attribute that protects goes one way only, by whatever road.
func TestAttributesNeverWeaken(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	for _, token := range []bool{true, false} {
		k := u.aes(ck.Bool(ck.CKA_TOKEN, token), ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true))
		for _, weaker := range []ck.Attribute{
			ck.Bool(ck.CKA_SENSITIVE, false), leaves, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, false),
			ck.Bool(ck.CKA_ALWAYS_SENSITIVE, false), ck.Bool(ck.CKA_NEVER_EXTRACTABLE, false), ck.Bool(ck.CKA_TRUSTED, true),
		} {
			err := u.m.SetAttributeValue(ctx, u.h, k, ck.Template{weaker})
			wants(t, fmt.Sprintf("set %v, token %v", weaker.Type, token), err, ck.CKR_ATTRIBUTE_READ_ONLY)
			_, err = u.m.CopyObject(ctx, u.h, k, ck.Template{weaker})
			wants(t, fmt.Sprintf("copy with %v, token %v", weaker.Type, token), err, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
	}
}

// A value that may not leave is not found by guessing it, nor shown by any call.
func TestValuesStayHidden(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	value := bytes.Repeat([]byte{7}, 16)
	for _, token := range []bool{true, false} {
		k := u.create(ck.Template{secretClass, aesType, ck.Bytes(ck.CKA_VALUE, value), leaves, ck.Bool(ck.CKA_TOKEN, token)})
		_, err := u.get(k, ck.CKA_VALUE)
		wants(t, "sensitive by default", err, ck.CKR_ATTRIBUTE_SENSITIVE)
		if found := u.find(ck.Template{ck.Bytes(ck.CKA_VALUE, value)}); len(found) != 0 {
			t.Errorf("found by its value: %v", found)
		}
		c, err := u.m.CopyObject(ctx, u.h, k, nil)
		wants(t, "copy", err, nil)
		_, err = u.get(c, ck.CKA_VALUE)
		wants(t, "its copy", err, ck.CKR_ATTRIBUTE_SENSITIVE)
	}
	open := u.create(ck.Template{secretClass, aesType, ck.Bytes(ck.CKA_VALUE, value), leaves, ck.Bool(ck.CKA_SENSITIVE, false)})
	if got, err := u.get(open, ck.CKA_VALUE); err != nil || !bytes.Equal(got, value) {
		t.Errorf("an open key: %x, %v", got, err)
	}
	wants(t, "closed", u.m.SetAttributeValue(ctx, u.h, open, ck.Template{ck.Bool(ck.CKA_SENSITIVE, true)}), nil)
	_, err := u.get(open, ck.CKA_VALUE)
	wants(t, "for good", err, ck.CKR_ATTRIBUTE_SENSITIVE)
}

// Only the security officer trusts a wrapping key, and only a trusted one takes
// out what asks for trust.
func TestUntrustedKeysDoNotWrap(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	u := login(t, m)
	kek := u.aes(append(wrapsKeys, isToken)...)
	key := u.aes(leaves, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true), isToken)
	_, err := u.wrap(kek, key)
	wants(t, "under an untrusted key", err, ck.CKR_KEY_NOT_WRAPPABLE)
	_, err = m.GenerateKey(ctx, u.h, mechanism(ck.CKM_AES_KEY_GEN), append(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TRUSTED, true)}, wrapsKeys...))
	wants(t, "the user makes a trusted key", err, ck.CKR_ATTRIBUTE_READ_ONLY)
}

// A wrapping key's own template decides what it takes out and what it brings in.
func TestTemplatesOfKeys(t *testing.T) {
	u := start(t)
	inner := func(a ...ck.Attribute) ck.Template { return a }
	kek := u.aes(append(wrapsKeys,
		ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: inner(ck.Bool(ck.CKA_ENCRYPT, true))},
		ck.Attribute{Type: ck.CKA_UNWRAP_TEMPLATE, Sub: inner(ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, false))})...)
	good, bad := u.aes(leaves, ck.Bool(ck.CKA_ENCRYPT, true)), u.aes(leaves, ck.Bool(ck.CKA_ENCRYPT, false))
	_, err := u.wrap(kek, bad)
	wants(t, "a key the template does not fit", err, ck.CKR_KEY_HANDLE_INVALID)
	wrapped, err := u.wrap(kek, good)
	wants(t, "a key it fits", err, nil)
	_, err = u.unwrap(kek, wrapped, ck.Template{secretClass, aesType, ck.Bool(ck.CKA_SENSITIVE, false), leaves})
	wants(t, "weaker attributes on the way in", err, ck.CKR_TEMPLATE_INCONSISTENT)
	back, err := u.unwrap(kek, wrapped, ck.Template{secretClass, aesType})
	wants(t, "as the template says", err, nil)
	if !u.flag(back, ck.CKA_SENSITIVE) || u.flag(back, ck.CKA_EXTRACTABLE) {
		t.Error("the template was not applied")
	}

	var n, n0, n1 uint64
	want := []pkcs11.AttributeOutput{{Type: ck.CKA_UNWRAP_TEMPLATE, Len: &n}}
	wants(t, "its length", u.m.GetAttributeValue(t.Context(), u.h, kek, want), nil)
	if n != 2*24 {
		t.Fatalf("%d bytes", n)
	}
	want[0].Sub = []pkcs11.AttributeOutput{{Len: &n0, Buf: make([]byte, 1)}, {Len: &n1, Buf: make([]byte, 1)}}
	wants(t, "its content", u.m.GetAttributeValue(t.Context(), u.h, kek, want), nil)
	got := map[ck.AttributeType]byte{}
	for _, s := range want[0].Sub {
		got[s.Type] = s.Buf[0]
	}
	if len(got) != 2 || got[ck.CKA_SENSITIVE] != 1 || got[ck.CKA_EXTRACTABLE] != 0 {
		t.Errorf("%v", got)
	}
	want[0].Sub = want[0].Sub[:1]
	wants(t, "room for one", u.m.GetAttributeValue(t.Context(), u.h, kek, want), ck.CKR_BUFFER_TOO_SMALL)
	_, err = u.m.GenerateKey(t.Context(), u.h, mechanism(ck.CKM_AES_KEY_GEN), ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16),
		{Type: ck.CKA_UNWRAP_TEMPLATE, Sub: inner(ck.Attribute{Type: ck.CKA_UNWRAP_TEMPLATE, Sub: inner()})}})
	wants(t, "templates in templates", err, ck.CKR_TEMPLATE_INCONSISTENT)
}

// A key for one mechanism is good for no other.
func TestAllowedMechanisms(t *testing.T) {
	s := newStack(t)
	for _, local := range []bool{true, false} {
		u := login(t, s.module(fmt.Sprintf("local_public_ops = %v", local)))
		only := ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{ck.CKM_ECDSA_SHA256})
		pub, key := u.ec(only)
		sig, err := u.sign(mechanism(ck.CKM_ECDSA_SHA256), key, []byte("x"), 0)
		wants(t, "the one", err, nil)
		wants(t, "verified", u.verify(mechanism(ck.CKM_ECDSA_SHA256), pub, []byte("x"), sig, 0), nil)
		_, err = u.sign(mechanism(ck.CKM_ECDSA), key, []byte("x"), 0)
		wants(t, "another", err, ck.CKR_MECHANISM_INVALID)
		wants(t, "another to verify", u.verify(mechanism(ck.CKM_ECDSA), pub, []byte("x"), sig, 0), ck.CKR_MECHANISM_INVALID)
		if got, err := u.get(key, ck.CKA_ALLOWED_MECHANISMS); err != nil || !bytes.Equal(got, only.Value) {
			t.Errorf("%x, %v", got, err)
		}
	}
}

// A sensitive key does not come back readable through a key that wraps.
func TestUnwrappingDoesNotOpen(t *testing.T) {
	u := start(t)
	kek := u.aes(wrapsKeys...)
	key := u.aes(leaves)
	wrapped, err := u.wrap(kek, key)
	wants(t, "wrapped", err, nil)
	open := ck.Template{secretClass, aesType, leaves, ck.Bool(ck.CKA_SENSITIVE, false)}
	_, err = u.unwrap(kek, wrapped, open)
	wants(t, "readable", err, ck.CKR_TEMPLATE_INCONSISTENT)
	wants(t, "the right to wrap given up", u.m.SetAttributeValue(t.Context(), u.h, kek, ck.Template{ck.Bool(ck.CKA_WRAP, false)}), nil)
	_, err = u.unwrap(kek, wrapped, open)
	wants(t, "still", err, ck.CKR_TEMPLATE_INCONSISTENT)
	back, err := u.unwrap(kek, wrapped, ck.Template{secretClass, aesType, leaves})
	wants(t, "sensitive", err, nil)
	_, err = u.get(back, ck.CKA_VALUE)
	wants(t, "its value", err, ck.CKR_ATTRIBUTE_SENSITIVE)
}
