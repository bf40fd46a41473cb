package pkcs11_test

import (
	"bytes"
	"crypto/x509"
	"testing"

	"grep11/pkcs11/ck"
)

var (
	certificates = ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_CERTIFICATE))
	onToken      = ck.Bool(ck.CKA_TOKEN, true)
)

func TestSyntheticCertificates(t *testing.T) {
	s := newStack(t)
	u := login(t, s.module("synthetic_certificates = true"))
	named := func(label, id string) (ck.ObjectHandle, ck.ObjectHandle) {
		return u.ec(onToken, ck.Bytes(ck.CKA_LABEL, []byte(label)), ck.Bytes(ck.CKA_ID, []byte(id)))
	}
	public, _ := named("alone", "1")
	named("twin", "2")
	named("twin", "2")
	withID := func(id string) []ck.ObjectHandle {
		return u.find(ck.Template{certificates, ck.Bytes(ck.CKA_ID, []byte(id))})
	}

	found := u.find(ck.Template{certificates})
	if len(found) != 1 {
		t.Fatalf("%d certificates, want one, for the key whose id is its own", len(found))
	}
	info, _ := u.get(public, ck.CKA_PUBLIC_KEY_INFO)
	der, err := u.get(found[0], ck.CKA_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.RawSubjectPublicKeyInfo, info) || c.Subject.CommonName != "alone" {
		t.Errorf("certificate of %q, key %x, want %x", c.Subject, c.RawSubjectPublicKeyInfo, info)
	}
	for at, want := range map[ck.AttributeType][]byte{ck.CKA_SUBJECT: c.RawSubject, ck.CKA_ISSUER: c.RawIssuer, ck.CKA_ID: []byte("1"), ck.CKA_LABEL: []byte("alone")} {
		if got, err := u.get(found[0], at); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v is %x (%v), want %x", at, got, err, want)
		}
	}
	again := login(t, s.module("synthetic_certificates = true"))
	if other := again.find(ck.Template{certificates}); len(other) != 1 || other[0] != found[0] {
		t.Errorf("another process finds %#x, want %#x", other, found)
	} else if same, _ := again.get(other[0], ck.CKA_VALUE); !bytes.Equal(same, der) {
		t.Error("another process sees other bytes")
	}

	ctx := t.Context()
	wants(t, "change", u.m.SetAttributeValue(ctx, u.h, found[0], ck.Template{ck.Bytes(ck.CKA_LABEL, []byte("x"))}), ck.CKR_ACTION_PROHIBITED)
	_, err = u.m.CopyObject(ctx, u.h, found[0], nil)
	wants(t, "copy", err, ck.CKR_ACTION_PROHIBITED)
	wants(t, "destroy", u.m.DestroyObject(ctx, u.h, found[0]), nil)
	wants(t, "destroy again", u.m.DestroyObject(ctx, u.h, found[0]), ck.CKR_OBJECT_HANDLE_INVALID)
	if left := withID("1"); len(left) != 0 {
		t.Errorf("after its destruction %#x is found", left)
	}
	if len(u.find(ck.Template{ck.Bytes(ck.CKA_ID, []byte("1"))})) != 2 {
		t.Error("the pair went with the certificate")
	}

	real := ck.Template{certificates, onToken, ck.Ulong(ck.CKA_CERTIFICATE_TYPE, uint64(ck.CKC_X_509)), ck.Bytes(ck.CKA_ID, []byte("1")),
		ck.Bytes(ck.CKA_SUBJECT, c.RawSubject), ck.Bytes(ck.CKA_VALUE, der)}
	stored, err := u.m.CreateObject(ctx, u.h, real)
	if err != nil {
		t.Fatal(err)
	}
	if now := again.find(ck.Template{certificates}); len(now) != 1 || now[0] != stored {
		t.Errorf("beside a stored certificate %#x are found, want %#x", now, stored)
	}
}

func TestNoSyntheticCertificates(t *testing.T) {
	s := newStack(t)
	u := login(t, s.module(""))
	u.ec(onToken, ck.Bytes(ck.CKA_ID, []byte("1")))
	if found := u.find(ck.Template{certificates}); len(found) != 0 {
		t.Errorf("%d certificates without being asked for", len(found))
	}
	nobody := open(t, s.module("synthetic_certificates = true"), ro)
	if found := nobody.find(ck.Template{certificates}); len(found) != 0 {
		t.Errorf("%d certificates of keys that only a login shows", len(found))
	}
}
