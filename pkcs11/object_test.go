package pkcs11_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	gorsa "crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

func certificate(t testing.TB) (*x509.Certificate, ck.Template) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "somebody"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := asn1.Marshal(c.SerialNumber)
	return c, ck.Template{
		ck.Ulong(ck.CKA_CLASS, ck.CKO_CERTIFICATE), ck.Ulong(ck.CKA_CERTIFICATE_TYPE, ck.CKC_X_509),
		ck.Bytes(ck.CKA_SUBJECT, c.RawSubject), ck.Bytes(ck.CKA_ISSUER, c.RawIssuer), ck.Bytes(ck.CKA_SERIAL_NUMBER, serial),
		ck.Bytes(ck.CKA_VALUE, der), ck.Bytes(ck.CKA_LABEL, []byte("a certificate")), ck.Bytes(ck.CKA_ID, []byte{7}),
	}
}

var isToken, isPrivate = ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_PRIVATE, true)

func data(label string, more ...ck.Attribute) ck.Template {
	return append(ck.Template{
		ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.Bytes(ck.CKA_LABEL, []byte(label)),
		ck.Bytes(ck.CKA_APPLICATION, []byte("test")), ck.Bytes(ck.CKA_VALUE, []byte("value of "+label)),
	}, more...)
}

func (u *user) create(t ck.Template) ck.ObjectHandle {
	u.t.Helper()
	h, err := u.m.CreateObject(u.t.Context(), u.h, t)
	if err != nil {
		u.t.Fatal(err)
	}
	return h
}

// always are the attributes that consumers read without looking for errors.
var always = map[ck.ObjectClass][]ck.AttributeType{
	ck.CKO_PUBLIC_KEY: {ck.CKA_ENCRYPT, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER, ck.CKA_WRAP, ck.CKA_TRUSTED, ck.CKA_SUBJECT, ck.CKA_PUBLIC_KEY_INFO},
	ck.CKO_PRIVATE_KEY: {ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_UNWRAP, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE,
		ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_SUBJECT, ck.CKA_PUBLIC_KEY_INFO, ck.CKA_WRAP_WITH_TRUSTED},
	ck.CKO_SECRET_KEY: {ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE,
		ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_VALUE_LEN, ck.CKA_CHECK_VALUE, ck.CKA_TRUSTED, ck.CKA_WRAP_WITH_TRUSTED},
	ck.CKO_CERTIFICATE: {ck.CKA_CERTIFICATE_TYPE, ck.CKA_TRUSTED, ck.CKA_CERTIFICATE_CATEGORY, ck.CKA_CHECK_VALUE, ck.CKA_START_DATE, ck.CKA_END_DATE,
		ck.CKA_PUBLIC_KEY_INFO, ck.CKA_SUBJECT, ck.CKA_ID, ck.CKA_ISSUER, ck.CKA_SERIAL_NUMBER, ck.CKA_VALUE, ck.CKA_URL},
	ck.CKO_DATA: {ck.CKA_APPLICATION, ck.CKA_OBJECT_ID, ck.CKA_VALUE},
}

var alwaysAll = []ck.AttributeType{ck.CKA_CLASS, ck.CKA_TOKEN, ck.CKA_PRIVATE, ck.CKA_MODIFIABLE, ck.CKA_LABEL, ck.CKA_COPYABLE, ck.CKA_DESTROYABLE, ck.CKA_UNIQUE_ID}

var alwaysKey = []ck.AttributeType{ck.CKA_ID, ck.CKA_KEY_TYPE, ck.CKA_LOCAL, ck.CKA_START_DATE, ck.CKA_END_DATE, ck.CKA_DERIVE, ck.CKA_ALLOWED_MECHANISMS, ck.CKA_KEY_GEN_MECHANISM}

func TestAttributesAreThere(t *testing.T) {
	u := start(t)
	_, cert := certificate(t)
	for _, token := range []bool{true, false} {
		where := ck.Bool(ck.CKA_TOKEN, token)
		pub, key := u.ec(where)
		rsaPub, rsaKey := u.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 1024)}, where)
		for _, c := range []struct {
			class ck.ObjectClass
			o     ck.ObjectHandle
			more  []ck.AttributeType
		}{
			{ck.CKO_PUBLIC_KEY, pub, []ck.AttributeType{ck.CKA_EC_PARAMS, ck.CKA_EC_POINT}},
			{ck.CKO_PRIVATE_KEY, key, []ck.AttributeType{ck.CKA_EC_PARAMS, ck.CKA_EC_POINT}},
			{ck.CKO_PUBLIC_KEY, rsaPub, []ck.AttributeType{ck.CKA_MODULUS, ck.CKA_MODULUS_BITS, ck.CKA_PUBLIC_EXPONENT}},
			{ck.CKO_PRIVATE_KEY, rsaKey, []ck.AttributeType{ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT}},
			{ck.CKO_SECRET_KEY, u.aes(where), nil},
			{ck.CKO_CERTIFICATE, u.create(append(cert, where)), nil},
			{ck.CKO_DATA, u.create(data("x", where)), nil},
		} {
			list := append(append(append([]ck.AttributeType{}, alwaysAll...), always[c.class]...), c.more...)
			if c.class != ck.CKO_DATA && c.class != ck.CKO_CERTIFICATE {
				list = append(list, alwaysKey...)
			}
			for _, at := range list {
				v, err := u.get(c.o, at)
				wants(t, fmt.Sprintf("%v of %v, token %v", at, c.class, token), err, nil)
				if (at == ck.CKA_PUBLIC_KEY_INFO || at == ck.CKA_UNIQUE_ID || at == ck.CKA_CHECK_VALUE) && len(v) == 0 {
					t.Errorf("%v of %v is empty", at, c.class)
				}
			}
			if c.class == ck.CKO_PRIVATE_KEY {
				_, err := u.get(c.o, ck.CKA_PRIVATE_EXPONENT)
				_, errValue := u.get(c.o, ck.CKA_VALUE)
				if ck.RVOf(err) != ck.CKR_ATTRIBUTE_SENSITIVE && ck.RVOf(errValue) != ck.CKR_ATTRIBUTE_SENSITIVE {
					t.Errorf("private values: %v, %v", err, errValue)
				}
			}
		}
		if id, _ := u.get(pub, ck.CKA_ID); len(id) == 0 {
			t.Error("a pair without CKA_ID")
		} else if other, _ := u.get(key, ck.CKA_ID); !bytes.Equal(id, other) {
			t.Errorf("ids %x and %x", id, other)
		}
		if p, _ := u.get(pub, ck.CKA_EC_PARAMS); !bytes.Equal(p, p256) {
			t.Errorf("EC_PARAMS %x", p)
		}
		if p, _ := u.get(pub, ck.CKA_EC_POINT); len(p) != 67 || p[0] != 4 || p[1] != 65 {
			t.Errorf("EC_POINT %x", p)
		}
		if !u.flag(key, ck.CKA_LOCAL) || !u.flag(key, ck.CKA_SENSITIVE) || u.flag(key, ck.CKA_EXTRACTABLE) || !u.flag(key, ck.CKA_NEVER_EXTRACTABLE) {
			t.Error("history of a generated key")
		}
	}
}

func TestGetAttributeValueIsPerAttribute(t *testing.T) {
	u := start(t)
	k := u.aes(ck.Bytes(ck.CKA_LABEL, []byte("label")))
	var n [5]uint64
	want := []pkcs11.AttributeOutput{
		{Type: ck.CKA_VALUE, Len: &n[0]},
		{Type: ck.CKA_LABEL, Buf: make([]byte, 5), Len: &n[1]},
		{Type: ck.CKA_MODULUS, Len: &n[2]},
		{Type: ck.CKA_KEY_TYPE, Buf: make([]byte, 3), Len: &n[3]},
		{Type: ck.CKA_CLASS, Len: &n[4]},
	}
	err := u.m.GetAttributeValue(t.Context(), u.h, k, want)
	wants(t, "the first fault", err, ck.CKR_ATTRIBUTE_SENSITIVE)
	none := uint64(ck.CK_UNAVAILABLE_INFORMATION)
	if n != [5]uint64{none, 5, none, none, 8} || string(want[1].Buf) != "label" {
		t.Errorf("lengths %x, label %q", n, want[1].Buf)
	}
	wants(t, "not there", u.m.GetAttributeValue(t.Context(), u.h, k, want[2:3]), ck.CKR_ATTRIBUTE_TYPE_INVALID)
	wants(t, "short", u.m.GetAttributeValue(t.Context(), u.h, k, want[3:4]), ck.CKR_BUFFER_TOO_SMALL)
	wants(t, "no object", u.m.GetAttributeValue(t.Context(), u.h, 99999, want[4:]), ck.CKR_OBJECT_HANDLE_INVALID)
}

func TestFind(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	var made []ck.ObjectHandle
	for i := range 7 {
		made = append(made, u.create(data(fmt.Sprint("d", i%2), ck.Bool(ck.CKA_TOKEN, i < 4))))
	}
	_, template := certificate(t)
	cert := u.create(append(template, isToken))
	pub, key := u.ec(isToken, ck.Bytes(ck.CKA_ID, []byte{7}))
	point, _ := u.get(pub, ck.CKA_EC_POINT)
	class := func(c ck.ObjectClass) ck.Attribute { return ck.Ulong(ck.CKA_CLASS, c) }
	for _, c := range []struct {
		name string
		t    ck.Template
		want int
	}{
		{"an empty template finds all", nil, 10},
		{"by class", ck.Template{class(ck.CKO_DATA)}, 7},
		{"by label", ck.Template{ck.Bytes(ck.CKA_LABEL, []byte("d1"))}, 3},
		{"token objects", ck.Template{class(ck.CKO_DATA), isToken}, 4},
		{"session objects", ck.Template{ck.Bool(ck.CKA_TOKEN, false)}, 3},
		{"by id", ck.Template{ck.Bytes(ck.CKA_ID, []byte{7})}, 3},
		{"by class and id", ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Bytes(ck.CKA_ID, []byte{7})}, 1},
		{"for signing", ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Bytes(ck.CKA_ID, []byte{7}), ck.Bool(ck.CKA_SIGN, true)}, 1},
		{"by a default", ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Bool(ck.CKA_SENSITIVE, true)}, 1},
		{"by the other value", ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Bool(ck.CKA_SENSITIVE, false)}, 0},
		{"by a point in a string", ck.Template{ck.Bytes(ck.CKA_EC_POINT, point)}, 2},
		{"by a raw point", ck.Template{ck.Bytes(ck.CKA_EC_POINT, point[2:])}, 2},
		{"by subject", ck.Template{class(ck.CKO_CERTIFICATE), ck.Bytes(ck.CKA_SUBJECT, template.Bytes(ck.CKA_SUBJECT))}, 1},
		{"by issuer and serial number", ck.Template{ck.Bytes(ck.CKA_ISSUER, template.Bytes(ck.CKA_ISSUER)), ck.Bytes(ck.CKA_SERIAL_NUMBER, template.Bytes(ck.CKA_SERIAL_NUMBER))}, 1},
		{"by application", ck.Template{ck.Bytes(ck.CKA_APPLICATION, []byte("test"))}, 7},
		{"by value", ck.Template{ck.Bytes(ck.CKA_VALUE, []byte("value of d0"))}, 4},
		{"an attribute nobody knows", ck.Template{ck.Bytes(0x4321, []byte("x"))}, 0},
		{"profiles", ck.Template{class(ck.CKO_PROFILE)}, 3},
		{"nothing of the kind", ck.Template{class(ck.CKO_SECRET_KEY)}, 0},
	} {
		if got := u.find(c.t); len(got) != c.want {
			t.Errorf("%s: %d objects, want %d", c.name, len(got), c.want)
		}
	}
	if unique, err := u.get(cert, ck.CKA_UNIQUE_ID); err != nil || len(u.find(ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, unique)})) != 1 {
		t.Errorf("unique id %s, %v", unique, err)
	}
	_, err := u.m.FindObjects(ctx, u.h, 1)
	wants(t, "no search", err, ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "nothing to end", u.m.FindObjectsFinal(ctx, u.h), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "a search", u.m.FindObjectsInit(ctx, u.h, nil), nil)
	wants(t, "not two", u.m.FindObjectsInit(ctx, u.h, nil), ck.CKR_OPERATION_ACTIVE)
	wants(t, "logout", u.m.Logout(ctx, u.h), nil)
	if got := u.find(nil); len(got) != 2 {
		t.Errorf("%d objects without login, want the public key and the certificate", len(got))
	}
	_, err = u.get(key, ck.CKA_CLASS)
	wants(t, "the private key is not there", err, ck.CKR_OBJECT_HANDLE_INVALID)
	wants(t, "login", u.m.Login(ctx, u.h, ck.CKU_USER, ck.Secret(userPIN)), nil)
	_, err = u.get(key, ck.CKA_CLASS)
	wants(t, "its handle is good again", err, nil)
	wants(t, "destroy", u.m.DestroyObject(ctx, u.h, made[0]), nil)
	wants(t, "destroyed", u.m.DestroyObject(ctx, u.h, made[0]), ck.CKR_OBJECT_HANDLE_INVALID)
}

func TestChanges(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	set := func(o ck.ObjectHandle, a ...ck.Attribute) error { return u.m.SetAttributeValue(ctx, u.h, o, a) }
	for _, where := range []bool{true, false} {
		tok := ck.Bool(ck.CKA_TOKEN, where)
		pub, key := u.ec(tok)
		k := u.aes(tok, ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true))
		for _, c := range []struct {
			name string
			o    ck.ObjectHandle
			a    ck.Attribute
			want error
		}{
			{"a label", key, ck.Bytes(ck.CKA_LABEL, []byte("new")), nil},
			{"an id", key, ck.Bytes(ck.CKA_ID, []byte("new")), nil},
			{"a subject", key, ck.Bytes(ck.CKA_SUBJECT, []byte("new")), nil},
			{"a date", key, ck.Bytes(ck.CKA_START_DATE, []byte("20260101")), nil},
			{"no date", key, ck.Bytes(ck.CKA_START_DATE, []byte("2026")), ck.CKR_ATTRIBUTE_VALUE_INVALID},
			{"a right taken", key, ck.Bool(ck.CKA_SIGN, false), nil},
			{"a right given", pub, ck.Bool(ck.CKA_VERIFY, true), nil},
			{"a Boolean of 2 bytes", pub, ck.Bytes(ck.CKA_VERIFY, []byte{1, 1}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
			{"the class", key, ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"the token", key, ck.Bool(ck.CKA_TOKEN, !where), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"where it came from", key, ck.Bool(ck.CKA_LOCAL, false), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"the unique id", key, ck.Bytes(ck.CKA_UNIQUE_ID, []byte("x")), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"trust", pub, ck.Bool(ck.CKA_TRUSTED, true), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"sensitive stays", key, ck.Bool(ck.CKA_SENSITIVE, false), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"not extractable stays", key, ck.Bool(ck.CKA_EXTRACTABLE, true), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"sensitive from now on", k, ck.Bool(ck.CKA_SENSITIVE, true), nil},
			{"never back", k, ck.Bool(ck.CKA_SENSITIVE, false), ck.CKR_ATTRIBUTE_READ_ONLY},
			{"not extractable from now on", k, ck.Bool(ck.CKA_EXTRACTABLE, false), nil},
			{"an attribute of others", key, ck.Bytes(ck.CKA_APPLICATION, nil), ck.CKR_TEMPLATE_INCONSISTENT},
			{"an attribute of nobody", key, ck.Bytes(0x4321, nil), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		} {
			wants(t, fmt.Sprintf("%s, token %v", c.name, where), set(c.o, c.a), c.want)
		}
		if l, err := u.get(key, ck.CKA_LABEL); err != nil || string(l) != "new" {
			t.Errorf("label %q, %v", l, err)
		}
		if u.flag(key, ck.CKA_SIGN) || !u.flag(k, ck.CKA_SENSITIVE) || u.flag(k, ck.CKA_ALWAYS_SENSITIVE) || u.flag(k, ck.CKA_NEVER_EXTRACTABLE) {
			t.Errorf("flags after changes, token %v", where)
		}
		m := mechanism(ck.CKM_ECDSA)
		wants(t, "a key without the right", u.m.SignInit(ctx, u.h, &m, key), ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	fixed := u.create(data("fixed", isToken, ck.Bool(ck.CKA_MODIFIABLE, false), ck.Bool(ck.CKA_COPYABLE, false), ck.Bool(ck.CKA_DESTROYABLE, false)))
	wants(t, "not modifiable", set(fixed, ck.Bytes(ck.CKA_LABEL, nil)), ck.CKR_ACTION_PROHIBITED)
	_, err := u.m.CopyObject(ctx, u.h, fixed, nil)
	wants(t, "not copyable", err, ck.CKR_ACTION_PROHIBITED)
	wants(t, "not destroyable", u.m.DestroyObject(ctx, u.h, fixed), ck.CKR_ACTION_PROHIBITED)
}

func TestCopies(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	for _, from := range []bool{true, false} {
		for _, to := range []bool{true, false} {
			name := fmt.Sprintf("token %v to %v", from, to)
			pub, key := u.ec(ck.Bool(ck.CKA_TOKEN, from))
			d := u.create(data("d", ck.Bool(ck.CKA_TOKEN, from)))
			c, err := u.m.CopyObject(ctx, u.h, key, ck.Template{ck.Bool(ck.CKA_TOKEN, to), ck.Bytes(ck.CKA_LABEL, []byte("copy"))})
			wants(t, name, err, nil)
			if u.flag(c, ck.CKA_TOKEN) != to || !u.flag(c, ck.CKA_LOCAL) {
				t.Errorf("%s: flags of the copy", name)
			}
			if l, _ := u.get(c, ck.CKA_LABEL); string(l) != "copy" {
				t.Errorf("%s: label %q", name, l)
			}
			sig, err := u.sign(mechanism(ck.CKM_ECDSA), c, []byte("x"), 0)
			wants(t, name+": signature", err, nil)
			wants(t, name+": verified", u.verify(mechanism(ck.CKM_ECDSA), pub, []byte("x"), sig, 0), nil)
			e, err := u.m.CopyObject(ctx, u.h, d, ck.Template{ck.Bool(ck.CKA_TOKEN, to)})
			wants(t, name+": data", err, nil)
			if v, _ := u.get(e, ck.CKA_VALUE); string(v) != "value of d" {
				t.Errorf("%s: value %q", name, v)
			}
			_, err = u.m.CopyObject(ctx, u.h, key, ck.Template{ck.Bool(ck.CKA_SENSITIVE, false)})
			wants(t, name+": weaker", err, ck.CKR_ATTRIBUTE_READ_ONLY)
			_, err = u.m.CopyObject(ctx, u.h, key, ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, true)})
			wants(t, name+": extractable", err, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
	}
}

func TestTemplates(t *testing.T) {
	u := start(t)
	class := func(c ck.ObjectClass) ck.Attribute { return ck.Ulong(ck.CKA_CLASS, c) }
	kind := func(k ck.KeyType) ck.Attribute { return ck.Ulong(ck.CKA_KEY_TYPE, k) }
	value := ck.Bytes(ck.CKA_VALUE, make([]byte, 16))
	_, cert := certificate(t)
	for _, c := range []struct {
		name string
		t    ck.Template
		want error
	}{
		{"an AES key", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value}, nil},
		{"a length that agrees", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value, ck.Ulong(ck.CKA_VALUE_LEN, 16)}, nil},
		{"the same twice", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value, value}, nil},
		{"nothing", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no class", ck.Template{kind(ck.CKK_AES), value}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no type", ck.Template{class(ck.CKO_SECRET_KEY), value}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no value", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES)}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a length that does not agree", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value, ck.Ulong(ck.CKA_VALUE_LEN, 17)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"two labels", ck.Template{class(ck.CKO_DATA), ck.Bytes(ck.CKA_LABEL, []byte("a")), ck.Bytes(ck.CKA_LABEL, []byte("b"))}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"history in the template", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value, ck.Bool(ck.CKA_ALWAYS_SENSITIVE, true)}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a unique id in the template", data("x", ck.Bytes(ck.CKA_UNIQUE_ID, []byte("x"))), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a class of 4 bytes", ck.Template{ck.Bytes(ck.CKA_CLASS, []byte{0, 0, 0, 0})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a class nobody makes", ck.Template{class(ck.CKO_HW_FEATURE)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a modulus in an AES key", ck.Template{class(ck.CKO_SECRET_KEY), kind(ck.CKK_AES), value, ck.Bytes(ck.CKA_MODULUS, nil)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"an unknown attribute", data("x", ck.Bytes(0x4321, nil)), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"trust", append(cert, ck.Bool(ck.CKA_TRUSTED, true)), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a certificate without subject", cert.Without(ck.CKA_SUBJECT), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a certificate without type", cert.Without(ck.CKA_CERTIFICATE_TYPE), ck.CKR_TEMPLATE_INCOMPLETE},
		{"an RSA key without exponent", ck.Template{class(ck.CKO_PUBLIC_KEY), kind(ck.CKK_RSA), ck.Bytes(ck.CKA_MODULUS, make([]byte, 128))}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a private EC key without curve", ck.Template{class(ck.CKO_PRIVATE_KEY), kind(ck.CKK_EC), value}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"a public key that always authenticates", ck.Template{class(ck.CKO_PRIVATE_KEY), kind(ck.CKK_EC), value, ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_PRIVATE, false), ck.Bool(ck.CKA_ALWAYS_AUTHENTICATE, true)}, ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		_, err := u.m.CreateObject(t.Context(), u.h, c.t)
		wants(t, c.name, err, c.want)
	}
}

func TestSessionRights(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	public := open(t, m, rw)
	_, err := m.CreateObject(ctx, public.h, data("private", isPrivate))
	wants(t, "a private object without login", err, ck.CKR_USER_NOT_LOGGED_IN)
	_, err = m.GenerateKey(ctx, public.h, mechanism(ck.CKM_AES_KEY_GEN), ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), isToken})
	wants(t, "a token key without login is private by default", err, ck.CKR_USER_NOT_LOGGED_IN)
	k, err := m.GenerateKey(ctx, public.h, mechanism(ck.CKM_AES_KEY_GEN), ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)})
	wants(t, "a session key without login", err, nil)
	if v, err := public.get(k, ck.CKA_PRIVATE); err != nil || v[0] != 0 {
		t.Errorf("it has CKA_PRIVATE %x, %v", v, err)
	}
	_, err = m.CreateObject(ctx, public.h, data("public"))
	wants(t, "a public session object without login", err, nil)
	a := login(t, m)
	reader := open(t, m, ro)
	_, err = m.CreateObject(ctx, reader.h, data("token", isToken))
	wants(t, "a token object from a read-only session", err, ck.CKR_SESSION_READ_ONLY)
	_, err = m.CreateObject(ctx, reader.h, data("session"))
	wants(t, "a session object from there", err, nil)
	d := a.create(data("token", isToken, isPrivate))
	wants(t, "change from there", m.SetAttributeValue(ctx, reader.h, d, ck.Template{ck.Bytes(ck.CKA_LABEL, nil)}), ck.CKR_SESSION_READ_ONLY)
	wants(t, "destroy from there", m.DestroyObject(ctx, reader.h, d), ck.CKR_SESSION_READ_ONLY)
	wants(t, "a PIN from there", m.SetPIN(ctx, reader.h, ck.Secret(userPIN), ck.Secret(userPIN)), ck.CKR_SESSION_READ_ONLY)
	if _, err := reader.get(d, ck.CKA_LABEL); err != nil {
		t.Error(err)
	}
	own := a.create(data("of a session"))
	if _, err := reader.get(own, ck.CKA_LABEL); err != nil {
		t.Errorf("session objects are for all sessions: %v", err)
	}
	wants(t, "close", m.CloseSession(ctx, a.h), nil)
	_, err = reader.get(own, ck.CKA_LABEL)
	wants(t, "and end with theirs", err, ck.CKR_OBJECT_HANDLE_INVALID)
}

// Another module changes and destroys what this one has read.
func TestChangesElsewhere(t *testing.T) {
	s := newStack(t)
	a, b := login(t, s.module("")), login(t, s.module(""))
	ctx := t.Context()
	pub, key := a.ec(isToken, ck.Bytes(ck.CKA_LABEL, []byte("one")))
	_ = pub
	if l, err := b.get(key, ck.CKA_LABEL); err != nil || string(l) != "one" {
		t.Fatalf("handles are the same everywhere: %q, %v", l, err)
	}
	wants(t, "change", a.m.SetAttributeValue(ctx, a.h, key, ck.Template{ck.Bytes(ck.CKA_LABEL, []byte("two")), ck.Bool(ck.CKA_SIGN, false)}), nil)
	b.find(nil)
	if l, _ := b.get(key, ck.CKA_LABEL); string(l) != "two" {
		t.Errorf("a search shows %q", l)
	}
	wants(t, "change back", a.m.SetAttributeValue(ctx, a.h, key, ck.Template{ck.Bool(ck.CKA_SIGN, true)}), nil)
	m := mechanism(ck.CKM_ECDSA)
	time.Sleep(2100 * time.Millisecond)
	wants(t, "no refusal by old attributes", b.m.SignInit(ctx, b.h, &m, key), nil)
	wants(t, "destroy", a.m.DestroyObject(ctx, a.h, key), nil)
	var n uint64 = 64
	wants(t, "the service knows", b.m.Sign(ctx, b.h, []byte("x"), pkcs11.NewOutput(make([]byte, 64), &n)), ck.CKR_KEY_HANDLE_INVALID)
	_, err := b.get(key, ck.CKA_LABEL)
	wants(t, "and so does the module then", err, ck.CKR_OBJECT_HANDLE_INVALID)
}

func TestImports(t *testing.T) {
	u := start(t)
	key, err := gorsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, _ := ec.PublicKey.Bytes()
	scalar, _ := ec.Bytes()
	class := func(c ck.ObjectClass) ck.Attribute { return ck.Ulong(ck.CKA_CLASS, c) }
	big := func(at ck.AttributeType, n *big.Int) ck.Attribute { return ck.Bytes(at, n.Bytes()) }
	e := ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})
	for _, where := range []bool{true, false} {
		tok := ck.Bool(ck.CKA_TOKEN, where)
		rsaPub := u.create(ck.Template{class(ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA), tok, ck.Bool(ck.CKA_VERIFY, true), big(ck.CKA_MODULUS, key.N), e})
		rsaKey := u.create(ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA), tok, ck.Bool(ck.CKA_SIGN, true),
			big(ck.CKA_MODULUS, key.N), e, big(ck.CKA_PRIVATE_EXPONENT, key.D), big(ck.CKA_PRIME_1, key.Primes[0]), big(ck.CKA_PRIME_2, key.Primes[1]),
			big(ck.CKA_EXPONENT_1, key.Precomputed.Dp), big(ck.CKA_EXPONENT_2, key.Precomputed.Dq), big(ck.CKA_COEFFICIENT, key.Precomputed.Qinv)})
		ecKey := u.create(ck.Template{class(ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), tok, ck.Bool(ck.CKA_SIGN, true),
			ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_VALUE, scalar)})
		for form, p := range [][]byte{point, append([]byte{4, 65}, point...), append([]byte{3, 66, 0}, point...)} {
			ecPub := u.create(ck.Template{class(ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), tok, ck.Bool(ck.CKA_VERIFY, true),
				ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_EC_POINT, p)})
			sig, err := u.sign(mechanism(ck.CKM_ECDSA_SHA256), ecKey, []byte("x"), 0)
			wants(t, "EC signature", err, nil)
			wants(t, fmt.Sprintf("EC point in form %d", form), u.verify(mechanism(ck.CKM_ECDSA_SHA256), ecPub, []byte("x"), sig, 0), nil)
			if got, _ := u.get(ecPub, ck.CKA_EC_POINT); !bytes.Equal(got, append([]byte{4, 65}, point...)) {
				t.Errorf("point %x", got)
			}
		}
		if got, err := u.get(ecKey, ck.CKA_EC_POINT); err != nil || len(got) != 67 {
			t.Errorf("point of a private key: %x, %v", got, err)
		}
		sig, err := u.sign(mechanism(ck.CKM_SHA256_RSA_PKCS), rsaKey, []byte("x"), 0)
		wants(t, "RSA signature", err, nil)
		wants(t, "RSA verified", u.verify(mechanism(ck.CKM_SHA256_RSA_PKCS), rsaPub, []byte("x"), sig, 0), nil)
		if u.flag(rsaKey, ck.CKA_LOCAL) || u.flag(rsaKey, ck.CKA_NEVER_EXTRACTABLE) || u.flag(rsaKey, ck.CKA_ALWAYS_SENSITIVE) {
			t.Error("history of an imported key")
		}
		open := u.create(ck.Template{class(ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), tok,
			ck.Bytes(ck.CKA_VALUE, []byte("0123456789")), ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)})
		if v, err := u.get(open, ck.CKA_VALUE); err != nil || string(v) != "0123456789" {
			t.Errorf("value %q, %v", v, err)
		}
		if n, err := u.get(open, ck.CKA_VALUE_LEN); err != nil || n[0] != 10 {
			t.Errorf("length %x, %v", n, err)
		}
	}
}
