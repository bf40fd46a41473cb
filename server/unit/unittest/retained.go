package unittest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testRetained: what the service keeps of a retained key does what the key did,
// and has no way out, not even for its owner.
func testRetained(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{Credits: 7}}
	if !k.has(m.Type) {
		t.Fatal("it is for every unit to offer")
	}
	out := ck.Bool(ck.CKA_EXTRACTABLE, true)
	pub, priv := k.ec(t, "P-256", out)
	kept, err := k.WrapKey(ctx, m, priv.Blob, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(text)
	if sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, kept, digest[:]); err != nil || !verifyHalves(public.(*ecdsa.PublicKey), digest[:], sig) {
		t.Errorf("it signs no more: %v", err)
	}
	secret := k.aes(t, out, ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_IBM_ATTRBOUND, true))
	keptSecret, err := k.WrapKey(ctx, m, secret.Blob, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []unit.Blob{kept, keptSecret} {
		testStays(t, k, b)
	}
	if on, err := priv.Attributes.Bool(ck.CKA_IBM_RETAINKEY, true); on || err != nil {
		t.Errorf("a key that was not retained: %v, %v", on, err)
	}
	for name, c := range map[string]struct {
		m    mech.Mechanism
		key  unit.Blob
		want ck.RV
	}{
		"a public key":           {m, pub.Blob, ck.CKR_KEY_NOT_WRAPPABLE},
		"no key":                 {m, nil, ck.CKR_KEY_HANDLE_INVALID},
		"what is no key":         {m, text, ck.CKR_IBM_BLOB_ERROR},
		"no parameter":           {mech.Mechanism{Type: m.Type}, priv.Blob, ck.CKR_MECHANISM_PARAM_INVALID},
		"another parameter":      {mech.Mechanism{Type: m.Type, Param: zeroIV}, priv.Blob, ck.CKR_MECHANISM_PARAM_INVALID},
		"credits without number": {mech.Mechanism{Type: m.Type, Param: &mech.Retain{Credits: math.MaxUint64}}, priv.Blob, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		if _, err := k.WrapKey(ctx, c.m, c.key, nil, nil); ck.RVOf(err) != c.want {
			t.Errorf("%s: %v instead of %v", name, err, c.want)
		}
	}
	if _, err := k.UnwrapKey(ctx, m, kept, k.kek, nil, nil); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
		t.Errorf("unwrapping: %v", err)
	}
}

// testStays: attributes, and the refusal of each way out.
func testStays(t *testing.T, k *kit, kept unit.Blob) {
	t.Helper()
	all, err := k.Attributes(ctx, kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[ck.AttributeType]bool{
		ck.CKA_IBM_RETAINKEY: true, ck.CKA_EXTRACTABLE: false, ck.CKA_SENSITIVE: true, ck.CKA_MODIFIABLE: false,
	} {
		if on, err := all.Bool(a, !want); on != want || err != nil {
			t.Errorf("%v is %v, %v", a, on, err)
		}
	}
	if _, err := k.WrapKey(ctx, cbcPad, kept, k.kek, nil); !errors.Is(err, ck.CKR_KEY_UNEXTRACTABLE) {
		t.Errorf("it is wrapped: %v", err)
	}
	if _, err := k.SetAttributes(ctx, kept, ck.Template{ck.Bool(ck.CKA_SIGN, false)}); !errors.Is(err, ck.CKR_ACTION_PROHIBITED) {
		t.Errorf("it is changed: %v", err)
	}
	if _, err := k.Attributes(ctx, kept, []ck.AttributeType{ck.CKA_VALUE}); !errors.Is(err, ck.CKR_ATTRIBUTE_SENSITIVE) {
		t.Errorf("it is read: %v", err)
	}
}
