package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"grep11/grep11client"
	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func TestWrapAndUnwrap(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	kek := u.aes(ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true))
	rsaPub, rsaKey, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_RSA_PKCS_KEY_PAIR_GEN),
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048), ck.Bool(ck.CKA_WRAP, true)}, ck.Template{ck.Bool(ck.CKA_UNWRAP, true)})
	wants(t, "RSA pair", err, nil)
	out, isOut := ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_ENCRYPT, true)
	secret := u.aes(out, isOut)
	check, _ := u.get(secret, ck.CKA_CHECK_VALUE)
	pub, priv, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_EC_KEY_PAIR_GEN),
		ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_VERIFY, true)}, ck.Template{ck.Bool(ck.CKA_SIGN, true), out})
	wants(t, "EC pair", err, nil)
	class := func(c ck.ObjectClass) ck.Attribute { return ck.Ulong(ck.CKA_CLASS, c) }
	for _, c := range []struct {
		m          mech.Mechanism
		wrap, back ck.ObjectHandle
		private    bool
	}{
		{mechanism(ck.CKM_AES_KEY_WRAP), kek, kek, false},
		{mechanism(ck.CKM_AES_KEY_WRAP_KWP), kek, kek, false},
		{mechanism(ck.CKM_AES_KEY_WRAP_KWP), kek, kek, true},
		{mechanism(ck.CKM_AES_CBC_PAD, mech.IV(make([]byte, 16))), kek, kek, true},
		{mechanism(ck.CKM_RSA_PKCS), rsaPub, rsaKey, false},
		{mechanism(ck.CKM_RSA_PKCS_OAEP, &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}), rsaPub, rsaKey, false},
	} {
		for _, where := range []bool{true, false} {
			key, template := secret, ck.Template{class(ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Bool(ck.CKA_ENCRYPT, true)}
			if c.private {
				key, template = priv, ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bool(ck.CKA_SIGN, true)}
			}
			name := fmt.Sprintf("%v, private %v, token %v", c.m, c.private, where)
			wrapped, err := output(t, func(o *pkcs11.Output) error { return u.m.WrapKey(ctx, u.h, c.m, c.wrap, key, o) })
			wants(t, name, err, nil)
			made, err := u.m.UnwrapKey(ctx, u.h, c.m, c.back, wrapped, append(template, ck.Bool(ck.CKA_TOKEN, where)))
			wants(t, name+": unwrapped", err, nil)
			if err != nil {
				continue
			}
			if u.flag(made, ck.CKA_LOCAL) || u.flag(made, ck.CKA_NEVER_EXTRACTABLE) || u.flag(made, ck.CKA_ALWAYS_SENSITIVE) {
				t.Errorf("%s: history", name)
			}
			if !c.private {
				if again, err := u.get(made, ck.CKA_CHECK_VALUE); err != nil || !bytes.Equal(check, again) {
					t.Errorf("%s: check value %x, %v, want %x", name, again, err, check)
				}
				continue
			}
			sig, err := u.sign(mechanism(ck.CKM_ECDSA), made, []byte("x"), 0)
			wants(t, name+": signature", err, nil)
			wants(t, name+": verified", u.verify(mechanism(ck.CKM_ECDSA), pub, []byte("x"), sig, 0), nil)
		}
	}
}

func TestWrapRules(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	yes := ck.Bool(ck.CKA_EXTRACTABLE, true)
	kek := u.aes(ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true))
	plain, key, fixed := u.aes(ck.Bool(ck.CKA_WRAP, false)), u.aes(yes), u.aes()
	trusting := u.aes(yes, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true))
	pub, _ := u.ec()
	kw, gen := mechanism(ck.CKM_AES_KEY_WRAP), mechanism(ck.CKM_AES_KEY_GEN)
	var n uint64
	wrap := func(m mech.Mechanism, kek, key ck.ObjectHandle) error {
		return u.m.WrapKey(ctx, u.h, m, kek, key, pkcs11.NewOutput(nil, &n))
	}
	for _, c := range []struct {
		name     string
		m        mech.Mechanism
		kek, key ck.ObjectHandle
		want     error
	}{
		{"an extractable key", kw, kek, key, nil},
		{"a key that stays", kw, kek, fixed, ck.CKR_KEY_UNEXTRACTABLE},
		{"under a key that may not wrap", kw, plain, key, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"under no key", kw, 0, key, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"no key", kw, kek, 0, ck.CKR_KEY_HANDLE_INVALID},
		{"under a key of another type", kw, pub, key, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"a public key", kw, kek, pub, ck.CKR_KEY_NOT_WRAPPABLE},
		{"under a key that is not trusted", kw, kek, trusting, ck.CKR_KEY_NOT_WRAPPABLE},
		{"with a mechanism for something else", gen, kek, key, ck.CKR_MECHANISM_INVALID},
	} {
		wants(t, c.name, wrap(c.m, c.kek, c.key), c.want)
	}
	class, kind := ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)
	for _, c := range []struct {
		name    string
		wrapped []byte
		t       ck.Template
		want    error
	}{
		{"garbage", make([]byte, 40), ck.Template{class, kind}, ck.CKR_WRAPPED_KEY_INVALID},
		{"without class", make([]byte, 40), ck.Template{kind}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"without type", make([]byte, 40), ck.Template{class}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"with a value", make([]byte, 40), ck.Template{class, kind, ck.Bytes(ck.CKA_VALUE, nil)}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of a certificate", make([]byte, 40), ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE)}, ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		_, err := u.m.UnwrapKey(ctx, u.h, kw, kek, c.wrapped, c.t)
		wants(t, "unwrap "+c.name, err, c.want)
	}
}

func TestGenerateRules(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	for _, c := range []struct {
		name string
		m    ck.MechanismType
		t    ck.Template
		want error
	}{
		{"an AES key", ck.CKM_AES_KEY_GEN, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}, nil},
		{"without length", ck.CKM_AES_KEY_GEN, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a generic key without length", ck.CKM_GENERIC_SECRET_KEY_GEN, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a DES3 key has its length", ck.CKM_DES3_KEY_GEN, nil, nil},
		{"a length there is not", ck.CKM_AES_KEY_GEN, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 17)}, ck.CKR_KEY_SIZE_RANGE},
		{"with a value", ck.CKM_AES_KEY_GEN, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Bytes(ck.CKA_VALUE, make([]byte, 16))}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of another type", ck.CKM_AES_KEY_GEN, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DES3)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"of another class", ck.CKM_AES_KEY_GEN, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"by a mechanism for pairs", ck.CKM_EC_KEY_PAIR_GEN, nil, ck.CKR_MECHANISM_INVALID},
	} {
		_, err := u.m.GenerateKey(ctx, u.h, mechanism(c.m), c.t)
		wants(t, c.name, err, c.want)
	}
	for _, c := range []struct {
		name string
		m    ck.MechanismType
		pub  ck.Template
		want error
	}{
		{"RSA without size", ck.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"RSA too small", ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 64)}, ck.CKR_KEY_SIZE_RANGE},
		{"EC without curve", ck.CKM_EC_KEY_PAIR_GEN, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"EC on no curve", ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte{6, 1, 1})}, ck.CKR_CURVE_NOT_SUPPORTED},
		{"EC with a point", ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_EC_POINT, nil)}, ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		_, _, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(c.m), c.pub, nil)
		wants(t, c.name, err, c.want)
	}
}

func TestDerive(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, key, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_EC_KEY_PAIR_GEN), ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256)}, ck.Template{ck.Bool(ck.CKA_DERIVE, true)})
	wants(t, "pair", err, nil)
	mine, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, _ := u.get(pub, ck.CKA_EC_POINT)
	theirs, err := ecdh.P256().NewPublicKey(point[2:])
	if err != nil {
		t.Fatal(err)
	}
	want, err := mine.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	read := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}
	raw := mine.PublicKey().Bytes()
	for name, public := range map[string][]byte{"raw": raw, "in a string": append([]byte{4, 65}, raw...)} {
		m := mechanism(ck.CKM_ECDH1_DERIVE, &mech.ECDH1{KDF: ck.CKD_NULL, Public: public})
		made, err := u.m.DeriveKey(ctx, u.h, m, key, read)
		wants(t, name, err, nil)
		if got, err := u.get(made, ck.CKA_VALUE); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	_, err = u.m.DeriveKey(ctx, u.h, mechanism(ck.CKM_ECDH1_DERIVE, &mech.ECDH1{KDF: ck.CKD_NULL, Public: raw[:64]}), key, read)
	wants(t, "a point that is none", err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, err = u.m.DeriveKey(ctx, u.h, mechanism(ck.CKM_ECDH1_DERIVE), key, read)
	wants(t, "no parameter", err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, other := u.ec()
	_, err = u.m.DeriveKey(ctx, u.h, mechanism(ck.CKM_ECDH1_DERIVE, &mech.ECDH1{KDF: ck.CKD_NULL, Public: raw}), other, read)
	wants(t, "a key that may not derive", err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
}

func TestAlwaysAuthenticate(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	_, key, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_EC_KEY_PAIR_GEN), ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256)},
		ck.Template{isToken, ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_ALWAYS_AUTHENTICATE, true)})
	wants(t, "pair", err, nil)
	m := mechanism(ck.CKM_ECDSA)
	out := func() *pkcs11.Output {
		n := uint64(64)
		return pkcs11.NewOutput(make([]byte, 64), &n)
	}
	again := func(pin string) error {
		return u.m.Login(ctx, u.h, ck.CKU_CONTEXT_SPECIFIC, ck.Secret(pin))
	}
	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "not without PIN", u.m.Sign(ctx, u.h, []byte("x"), out()), ck.CKR_USER_NOT_LOGGED_IN)
	wants(t, "which ends it", u.m.Sign(ctx, u.h, []byte("x"), out()), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "a wrong PIN", again("00000000"), ck.CKR_PIN_INCORRECT)
	wants(t, "the PIN", again(userPIN), nil)
	wants(t, "signed", u.m.Sign(ctx, u.h, []byte("x"), out()), nil)
	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "a wrong PIN", again("00000000"), ck.CKR_PIN_INCORRECT)
	wants(t, "still not", u.m.Sign(ctx, u.h, []byte("x"), out()), ck.CKR_USER_NOT_LOGGED_IN)
	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "each time", u.m.Sign(ctx, u.h, []byte("x"), out()), ck.CKR_USER_NOT_LOGGED_IN)
	_, plain := u.ec()
	wants(t, "a key without", u.m.SignInit(ctx, u.h, &m, plain), nil)
	wants(t, "may be offered a PIN", again(userPIN), nil)
	wants(t, "signed", u.m.Sign(ctx, u.h, []byte("x"), out()), nil)
}

func TestAuthenticatedWrap(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	kek := u.aes(ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true))
	key := u.aes(ck.Bool(ck.CKA_EXTRACTABLE, true))
	gcm := func(aad string) mech.Mechanism {
		return mechanism(ck.CKM_AES_GCM, &mech.GCM{IV: make([]byte, 12), TagBits: 128, AAD: []byte(aad)})
	}
	wrapped, err := output(t, func(o *pkcs11.Output) error {
		return u.m.WrapKeyAuthenticated(ctx, u.h, gcm(""), kek, key, []byte("who"), o)
	})
	if err != nil || len(wrapped) != 48 {
		t.Fatalf("%d bytes, %v", len(wrapped), err)
	}
	template := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}
	made, err := u.m.UnwrapKeyAuthenticated(ctx, u.h, gcm(""), kek, wrapped, template, []byte("who"))
	wants(t, "unwrap", err, nil)
	want, _ := u.get(key, ck.CKA_CHECK_VALUE)
	if got, _ := u.get(made, ck.CKA_CHECK_VALUE); !bytes.Equal(got, want) {
		t.Errorf("another key: %x, %x", got, want)
	}
	_, err = u.m.UnwrapKeyAuthenticated(ctx, u.h, gcm(""), kek, wrapped, template, []byte("whom"))
	wants(t, "other data", err, ck.CKR_WRAPPED_KEY_INVALID)
	_, err = u.m.UnwrapKeyAuthenticated(ctx, u.h, gcm("x"), kek, wrapped, template, []byte("who"))
	wants(t, "data twice", err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, err = u.m.UnwrapKeyAuthenticated(ctx, u.h, mechanism(ck.CKM_AES_KEY_WRAP), kek, wrapped, template, []byte("who"))
	wants(t, "a mechanism without", err, ck.CKR_MECHANISM_INVALID)
}

// counted counts the keys that a unit wraps.
type counted struct {
	unit.Unit
	wraps *atomic.Int64
}

func (c counted) WrapKey(ctx context.Context, m mech.Mechanism, key, kek, mac unit.Blob) ([]byte, error) {
	c.wraps.Add(1)
	return c.Unit.WrapKey(ctx, m, key, kek, mac)
}

// A key that may not leave is retained without another key. Asking for the
// length retains nothing.
func TestRetainKey(t *testing.T) {
	var wraps atomic.Int64
	s := newStackOf(t, func(u unit.Unit) unit.Unit { return counted{u, &wraps} })
	u := login(t, s.module(""))
	m := mechanism(ck.CKM_IBM_RETAINKEY, &mech.Retain{Credits: 1})
	pub, priv := u.ec()
	retain := func(m mech.Mechanism, key ck.ObjectHandle, room []byte) (n uint64, err error) {
		n = uint64(len(room))
		return n, u.m.WrapKey(t.Context(), u.h, m, 0, key, pkcs11.NewOutput(room, &n))
	}
	handle := make([]byte, mech.LenRetained)
	for _, c := range []struct {
		name string
		m    mech.Mechanism
		key  ck.ObjectHandle
		room []byte
		want error
	}{
		{"the length", m, priv, nil, nil},
		{"into a buffer that is too small", m, priv, handle[:63], ck.CKR_BUFFER_TOO_SMALL},
		{"no key", m, 0, handle, ck.CKR_KEY_HANDLE_INVALID},
		{"without a parameter", mechanism(m.Type), priv, handle, ck.CKR_MECHANISM_PARAM_INVALID},
		{"with too many credits", mechanism(m.Type, &mech.Retain{Credits: 1 << 32}), priv, handle, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		n, err := retain(c.m, c.key, c.room)
		wants(t, c.name, err, c.want)
		if c.key == priv && c.m == m && n != mech.LenRetained {
			t.Errorf("%s: %d bytes", c.name, n)
		}
	}
	if n := wraps.Load(); n != 0 {
		t.Errorf("%d keys were retained by the way", n)
	}
	_, err := retain(m, pub, handle)
	wants(t, "a public key", err, ck.CKR_KEY_NOT_WRAPPABLE)
	n, err := retain(m, priv, handle)
	if wants(t, "a private key", err, nil); n != mech.LenRetained || wraps.Load() != 2 {
		t.Errorf("%d bytes, %d keys", n, wraps.Load())
	}
	list, err := u.m.GetMechanismList(t.Context(), 0)
	if wants(t, "mechanisms", err, nil); !slices.Contains(list, m.Type) {
		t.Error("the mechanism is not listed")
	}
	c, err := grep11client.New(grep11client.Config{Endpoints: []grep11client.Endpoint{{Address: "unix:" + filepath.Join(s.dir, "s")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sign := func() ([]byte, error) {
		return c.Token(nil).Single(t.Context(), mech.OpSign, mechanism(ck.CKM_ECDSA_SHA256), grep11client.Key{Blob: handle}, []byte("x"), nil, false)
	}
	sig, err := sign()
	wants(t, "GREP11 signs with the handle", err, nil)
	wants(t, "the library verifies", u.verify(mechanism(ck.CKM_ECDSA_SHA256), pub, []byte("x"), sig, 0), nil)
	_, err = sign()
	wants(t, "a second signature", err, ck.CKR_KEY_EXHAUSTED)
}

// The public key says its class and type, so that the template need not. Package
// conformance verifies with such keys.
func TestTransportKey(t *testing.T) {
	u := start(t)
	pub, _ := u.ec()
	info, err := u.get(pub, ck.CKA_PUBLIC_KEY_INFO)
	if err != nil {
		t.Fatal(err)
	}
	m := mechanism(ck.CKM_IBM_TRANSPORTKEY)
	class, kind := ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC)
	for _, c := range []struct {
		name string
		m    mech.Mechanism
		kek  ck.ObjectHandle
		info []byte
		t    ck.Template
		want error
	}{
		{"an empty template", m, 0, info, nil, nil},
		{"class and type", m, 0, info, ck.Template{class, kind}, nil},
		{"a key, which is ignored", m, 4711, info, ck.Template{class, kind}, nil},
		{"on the token", m, 0, info, ck.Template{ck.Bool(ck.CKA_TOKEN, true)}, nil},
		{"another class", m, 0, info, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"another type", m, 0, info, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a right of other keys", m, 0, info, ck.Template{ck.Bool(ck.CKA_SIGN, true)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a curve beside another", m, 0, info, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, secp256k1)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"a parameter", mechanism(m.Type, mech.IV{1}), 0, info, nil, ck.CKR_MECHANISM_PARAM_INVALID},
		{"no public key", m, 0, []byte("key"), nil, ck.CKR_WRAPPED_KEY_INVALID},
		{"more behind it", m, 0, append(slices.Clone(info), 0), nil, ck.CKR_WRAPPED_KEY_INVALID},
		{"a point that is none", m, 0, info[:len(info)-1], nil, ck.CKR_WRAPPED_KEY_INVALID},
	} {
		made, err := u.m.UnwrapKey(t.Context(), u.h, c.m, c.kek, c.info, c.t)
		if wants(t, c.name, err, c.want); c.want != nil {
			continue
		}
		if got, err := u.get(made, ck.CKA_KEY_TYPE); err != nil || !bytes.Equal(got, kind.Value) || !u.flag(made, ck.CKA_VERIFY) {
			t.Errorf("%s: type %x, %v", c.name, got, err)
		}
	}
}
