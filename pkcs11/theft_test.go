package pkcs11_test

import (
	"bytes"
	"fmt"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// More of the known attacks: by keys of two uses, by weak keys, by parts of keys.

var (
	wraps, decrypts = ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_DECRYPT, true)
	sensitive       = ck.Bool(ck.CKA_SENSITIVE, true)
)

// What a key wraps it does not decrypt, whenever it gets its rights.
func TestWrapAndDecrypt(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	key := u.aes(leaves, sensitive)
	open := u.aes(leaves, ck.Bool(ck.CKA_SENSITIVE, false))
	for _, token := range []ck.Attribute{isToken, ck.Bool(ck.CKA_TOKEN, false)} {
		both := u.aes(token, wraps, decrypts)
		_, err := u.wrap(both, key)
		wants(t, "a key of both uses", err, ck.CKR_KEY_NOT_WRAPPABLE)
		_, err = u.wrap(both, open)
		wants(t, "what is no secret", err, nil)

		kek := u.aes(token, wraps)
		if u.flag(kek, ck.CKA_DECRYPT) || u.flag(kek, ck.CKA_ENCRYPT) {
			t.Error("a key made to wrap can do more")
		}
		_, err = u.wrap(kek, key)
		wants(t, "a key of one use", err, nil)
		wants(t, "decrypts afterwards", u.m.SetAttributeValue(ctx, u.h, kek, ck.Template{decrypts}), ck.CKR_ATTRIBUTE_READ_ONLY)
		_, err = u.m.CopyObject(ctx, u.h, kek, ck.Template{decrypts})
		wants(t, "its copy decrypts", err, ck.CKR_ATTRIBUTE_READ_ONLY)
		wants(t, "wraps no more", u.m.SetAttributeValue(ctx, u.h, kek, ck.Template{ck.Bool(ck.CKA_WRAP, false)}), nil)
		wants(t, "and decrypts", u.m.SetAttributeValue(ctx, u.h, kek, ck.Template{decrypts}), ck.CKR_ATTRIBUTE_READ_ONLY)
		wants(t, "or wraps again", u.m.SetAttributeValue(ctx, u.h, kek, ck.Template{wraps}), ck.CKR_ATTRIBUTE_READ_ONLY)

		cipher := u.aes(token, decrypts, ck.Bool(ck.CKA_WRAP, false))
		wants(t, "a key that decrypts gets to wrap", u.m.SetAttributeValue(ctx, u.h, cipher, ck.Template{wraps}), ck.CKR_ATTRIBUTE_READ_ONLY)
	}
}

// The security officer trusts a wrapping key; it then takes out what asks for
// trust, unless it can do more than wrap.
func TestTrustedKeysWrap(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	u := login(t, m)
	public := ck.Bool(ck.CKA_PRIVATE, false)
	kek, both := u.aes(isToken, public, wraps), u.aes(isToken, public, wraps, decrypts)
	key := u.aes(isToken, leaves, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true))
	trust := ck.Template{ck.Bool(ck.CKA_TRUSTED, true)}
	wants(t, "the user trusts it", m.SetAttributeValue(ctx, u.h, kek, trust), ck.CKR_ATTRIBUTE_READ_ONLY)
	wants(t, "logout", m.Logout(ctx, u.h), nil)
	wants(t, "login", m.Login(ctx, u.h, ck.CKU_SO, ck.Secret(soPIN)), nil)
	wants(t, "one that decrypts", m.SetAttributeValue(ctx, u.h, both, trust), ck.CKR_TEMPLATE_INCONSISTENT)
	wants(t, "the officer trusts it", m.SetAttributeValue(ctx, u.h, kek, trust), nil)
	wants(t, "logout", m.Logout(ctx, u.h), nil)
	wants(t, "login", m.Login(ctx, u.h, ck.CKU_USER, ck.Secret(userPIN)), nil)
	if !u.flag(kek, ck.CKA_TRUSTED) {
		t.Error("not trusted")
	}
	_, err := u.wrap(kek, key)
	wants(t, "under the trusted key", err, nil)
	_, err = u.wrap(u.aes(wraps), key)
	wants(t, "under another", err, ck.CKR_KEY_NOT_WRAPPABLE)
}

// A key does not leave under one that is easier to find.
func TestWeakKeysDoNotWrap(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, _ := u.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 1024), wraps})
	des2, err := u.m.GenerateKey(ctx, u.h, mechanism(ck.CKM_DES2_KEY_GEN), ck.Template{wraps})
	wants(t, "two-key triple DES", err, nil)
	key := u.aes(leaves)
	for name, w := range map[string]struct {
		m   mech.Mechanism
		kek ck.ObjectHandle
	}{
		"RSA of 1024 bits":   {mechanism(ck.CKM_RSA_PKCS), pub},
		"triple DES, 2 keys": {mechanism(ck.CKM_DES3_CBC_PAD, mech.IV(make([]byte, 8))), des2},
	} {
		_, err := output(t, func(o *pkcs11.Output) error { return u.m.WrapKey(ctx, u.h, w.m, w.kek, key, o) })
		wants(t, name, err, ck.CKR_WRAPPING_KEY_SIZE_RANGE)
	}
}

// The parts of a wrapped DES key are not put together to a weak one.
func TestPartsOfDESKeys(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	ecb := mechanism(ck.CKM_DES3_ECB)
	kek, err := u.m.GenerateKey(ctx, u.h, mechanism(ck.CKM_DES3_KEY_GEN), append(ck.Template{}, wrapsKeys...))
	wants(t, "wrapping key", err, nil)
	key, err := u.m.GenerateKey(ctx, u.h, mechanism(ck.CKM_DES3_KEY_GEN), ck.Template{leaves})
	wants(t, "key", err, nil)
	wrapped, err := output(t, func(o *pkcs11.Output) error { return u.m.WrapKey(ctx, u.h, ecb, kek, key, o) })
	wants(t, "wrapped", err, nil)
	a, b, c := wrapped[:8], wrapped[8:16], wrapped[16:24]
	as := func(kind ck.KeyType) ck.Template {
		return ck.Template{secretClass, ck.Ulong(ck.CKA_KEY_TYPE, kind)}
	}
	for name, row := range map[string]struct {
		kind  ck.KeyType
		parts [][]byte
		want  error
	}{
		"as it was":           {ck.CKK_DES3, [][]byte{a, b, c}, nil},
		"the first and third": {ck.CKK_DES3, [][]byte{a, b, a}, nil}, // two keys: no weaker than DES2
		"three times one":     {ck.CKK_DES3, [][]byte{a, a, a}, ck.CKR_WRAPPED_KEY_INVALID},
		"the first twice":     {ck.CKK_DES3, [][]byte{a, a, c}, ck.CKR_WRAPPED_KEY_INVALID},
		"the last twice":      {ck.CKK_DES3, [][]byte{a, c, c}, ck.CKR_WRAPPED_KEY_INVALID},
		"twice one":           {ck.CKK_DES2, [][]byte{b, b}, ck.CKR_WRAPPED_KEY_INVALID},
	} {
		_, err := u.m.UnwrapKey(ctx, u.h, ecb, kek, bytes.Join(row.parts, nil), as(row.kind))
		wants(t, name, err, row.want)
	}
	_, err = u.m.CreateObject(ctx, u.h, append(as(ck.CKK_DES3), ck.Bytes(ck.CKA_VALUE, bytes.Repeat([]byte{1, 2, 4, 7, 8, 11, 13, 14}, 3))))
	if err == nil {
		t.Error("a DES key of one part was made")
	}
}

// TestTrustedCertificatesStay: what the security officer vouches for is not to
// be changed by others, PKCS#11 v3.2 §4.7.2.
func TestTrustedCertificatesStay(t *testing.T) {
	u := login(t, newStack(t).module(""))
	ctx := t.Context()
	cert := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE), ck.Ulong(ck.CKA_CERTIFICATE_TYPE, ck.CKC_X_509), isToken,
		ck.Bytes(ck.CKA_SUBJECT, []byte("s")), ck.Bytes(ck.CKA_VALUE, []byte("v"))}
	rename := ck.Template{ck.Bytes(ck.CKA_ID, []byte("x"))}
	plain, err := u.m.CreateObject(ctx, u.h, cert)
	wants(t, "a certificate", err, nil)
	wants(t, "it is changed", u.m.SetAttributeValue(ctx, u.h, plain, rename), nil)
	wants(t, "the user leaves", u.m.Logout(ctx, u.h), nil)
	wants(t, "the security officer comes", u.m.Login(ctx, u.h, ck.CKU_SO, ck.Secret(soPIN)), nil)
	trusted, err := u.m.CreateObject(ctx, u.h, cert.Set(ck.Bool(ck.CKA_TRUSTED, true)))
	wants(t, "a trusted certificate", err, nil)
	wants(t, "it stays", u.m.SetAttributeValue(ctx, u.h, trusted, rename), ck.CKR_ACTION_PROHIBITED)
	copied, err := u.m.CopyObject(ctx, u.h, trusted, nil)
	wants(t, "its copy", err, nil)
	if !u.flag(copied, ck.CKA_TRUSTED) {
		t.Error("the copy is not trusted")
	}
	wants(t, "the security officer leaves", u.m.Logout(ctx, u.h), nil)
	wants(t, "the user comes", u.m.Login(ctx, u.h, ck.CKU_USER, ck.Secret(userPIN)), nil)
	for _, token := range []bool{true, false} {
		_, err = u.m.CopyObject(ctx, u.h, trusted, rename.Set(ck.Bool(ck.CKA_TOKEN, token)))
		wants(t, fmt.Sprintf("the user's own trusted certificate, token %v", token), err, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
}
