package unittest

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func verifyHalves(pub *ecdsa.PublicKey, digest, sig []byte) bool {
	n := len(sig) / 2
	return ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:]))
}

// testRights: section 14 of grep11-wire, and codes of 5.2.
func testRights(t *testing.T, k *kit) {
	hmac := mech.Mechanism{Type: ck.CKM_SHA256_HMAC}
	ecdsa := mech.Mechanism{Type: ck.CKM_ECDSA}
	plain := k.aes(t)
	noRights := k.aes(t, ck.Bool(ck.CKA_ENCRYPT, false), ck.Bool(ck.CKA_SIGN, false), ck.Bool(ck.CKA_DECRYPT, false))
	bound := k.aes(t, ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_IBM_ATTRBOUND, true))
	careful := k.aes(t, ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true))
	free := k.aes(t, ck.Bool(ck.CKA_EXTRACTABLE, true))
	pub, priv := k.ec(t, "P-256")
	encrypt := func(key unit.Blob) error {
		_, err := k.Single(ctx, mech.OpEncrypt, cbcPad, key, unit.Input{Data: text})
		return err
	}
	sign := func(m mech.Mechanism, key unit.Blob) error { _, err := k.sign(m, key, text); return err }
	wrap := func(key, kek unit.Blob) error { _, err := k.WrapKey(ctx, cbcPad, key, kek, nil); return err }
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a key without flags encrypts", encrypt(plain.Blob), nil},
		{"an AES key without flags makes HMACs", sign(hmac, plain.Blob), nil},
		{"an explicit false is honoured for ENCRYPT", encrypt(noRights.Blob), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"an explicit false is honoured for SIGN", sign(hmac, noRights.Blob), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a private key without flags signs", sign(ecdsa, priv.Blob), nil},
		{"a public key does not sign", sign(ecdsa, pub.Blob), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"an AES key makes no ECDSA", sign(ecdsa, plain.Blob), ck.CKR_KEY_TYPE_INCONSISTENT},
		{"a key without EXTRACTABLE stays", wrap(plain.Blob, k.kek), ck.CKR_KEY_UNEXTRACTABLE},
		{"a key without WRAP does not wrap", wrap(free.Blob, plain.Blob), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"an extractable key leaves", wrap(free.Blob, k.kek), nil},
		{"WRAP_WITH_TRUSTED insists", wrap(careful.Blob, k.kek), ck.CKR_KEY_NOT_WRAPPABLE},
		{"an attribute-bound key does not leave unbound", wrap(bound.Blob, k.kek), ck.CKR_KEY_NOT_WRAPPABLE},
		{"a public key is not wrapped", wrap(pub.Blob, k.kek), ck.CKR_KEY_NOT_WRAPPABLE},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	w, err := k.WrapKey(ctx, cbcPad, free.Blob, k.kek, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.UnwrapKey(ctx, cbcPad, w, plain.Blob, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("a key without UNWRAP unwraps: %v", err)
	}
	got, err := k.UnwrapKey(ctx, cbcPad, w, k.kek, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)})
	if err != nil {
		t.Fatal(err)
	}
	if err := encrypt(got.Blob); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("an unwrapped key has rights its template does not name: %v", err)
	}
	if _, err := k.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Bool(ck.CKA_TRUSTED, true)}); !errors.Is(err, ck.CKR_ATTRIBUTE_READ_ONLY) {
		t.Errorf("anyone makes trusted keys: %v", err)
	}
}

func testAllowedMechanisms(t *testing.T, k *kit) {
	allowed := ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{ck.CKM_ECDSA_SHA256})
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte("P-256")), allowed}, ck.Template{allowed})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, priv.Blob, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.verify(mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pub.Blob, text, sig); err != nil {
		t.Error(err)
	}
	for _, m := range []ck.MechanismType{ck.CKM_ECDSA, ck.CKM_ECDSA_SHA384} {
		if _, err := k.sign(mech.Mechanism{Type: m}, priv.Blob, text); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
			t.Errorf("sign with %v: %v", m, err)
		}
		if err := k.verify(mech.Mechanism{Type: m}, pub.Blob, text, sig); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
			t.Errorf("verify with %v: %v", m, err)
		}
	}
	if got := priv.Attributes.Bytes(ck.CKA_ALLOWED_MECHANISMS); !bytes.Equal(got, allowed.Value) {
		t.Errorf("ALLOWED_MECHANISMS %x", got)
	}
}

func testAttributes(t *testing.T, k *kit) {
	type want map[ck.AttributeType]bool
	pub, priv := k.ec(t, "P-256", ck.Bool(ck.CKA_SIGN, true))
	for _, c := range []struct {
		name string
		key  unit.Key
		want want
	}{
		{"a generated secret key", k.aes(t), want{ck.CKA_LOCAL: true, ck.CKA_SENSITIVE: true, ck.CKA_ALWAYS_SENSITIVE: true, ck.CKA_NEVER_EXTRACTABLE: true,
			ck.CKA_EXTRACTABLE: false, ck.CKA_MODIFIABLE: true, ck.CKA_ENCRYPT: true, ck.CKA_WRAP: false, ck.CKA_DERIVE: false, ck.CKA_TRUSTED: false}},
		{"an extractable one", k.aes(t, ck.Bool(ck.CKA_EXTRACTABLE, true)), want{ck.CKA_EXTRACTABLE: true, ck.CKA_NEVER_EXTRACTABLE: false, ck.CKA_SENSITIVE: true}},
		{"one that is neither extractable nor sensitive", k.aes(t, ck.Bool(ck.CKA_SENSITIVE, false)), want{ck.CKA_EXTRACTABLE: false, ck.CKA_SENSITIVE: false,
			ck.CKA_NEVER_EXTRACTABLE: true, ck.CKA_ALWAYS_SENSITIVE: false}},
		{"a private key", priv, want{ck.CKA_SIGN: true, ck.CKA_DECRYPT: false, ck.CKA_DERIVE: false, ck.CKA_LOCAL: true, ck.CKA_NEVER_EXTRACTABLE: true}},
		{"a public key", pub, want{ck.CKA_VERIFY: true, ck.CKA_ENCRYPT: false, ck.CKA_WRAP: false, ck.CKA_LOCAL: true}},
	} {
		all, err := k.Attributes(ctx, c.key.Blob, nil)
		if err != nil {
			t.Fatal(err)
		}
		for a, v := range c.want {
			if got, err := all.Bool(a, !v); err != nil || got != v {
				t.Errorf("%s: %v is %v, %v", c.name, a, got, err)
			}
			if got, _ := c.key.Attributes.Bool(a, !v); got != v {
				t.Errorf("%s: answered %v as %v", c.name, a, got)
			}
		}
	}
	unread, err := k.Attributes(ctx, k.aes(t, ck.Bool(ck.CKA_SENSITIVE, false)).Blob, []ck.AttributeType{ck.CKA_VALUE})
	if !errors.Is(err, ck.CKR_ATTRIBUTE_SENSITIVE) || unread.Has(ck.CKA_VALUE) {
		t.Errorf("the value of a key that is not extractable: %v, %v", unread, err)
	}
	got, err := k.Attributes(ctx, priv.Blob, []ck.AttributeType{ck.CKA_VALUE, ck.CKA_KEY_TYPE, ck.CKA_LABEL, ck.CKA_IBM_MACED_PUBLIC_KEY_INFO})
	if !errors.Is(err, ck.CKR_ATTRIBUTE_SENSITIVE) || !errors.Is(err, ck.CKR_ATTRIBUTE_TYPE_INVALID) || !got.Has(ck.CKA_KEY_TYPE) || got.Has(ck.CKA_VALUE) {
		t.Errorf("%v, %v", got, err)
	}
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Blob, text)
	if err != nil || k.verify(mech.Mechanism{Type: ck.CKM_ECDSA}, got.Bytes(ck.CKA_IBM_MACED_PUBLIC_KEY_INFO), text, sig) != nil {
		t.Errorf("the public blob of a private key does not verify: %v", err)
	}
	if !bytes.Equal(pub.Attributes.Bytes(ck.CKA_EC_PARAMS), priv.Attributes.Bytes(ck.CKA_EC_PARAMS)) {
		t.Error("EC_PARAMS differ between the halves")
	}
}

func testSetAttributes(t *testing.T, k *kit) {
	no, yes := false, true
	for _, c := range []struct {
		name string
		key  ck.Template
		set  ck.Attribute
		want error
	}{
		{"a usage right is taken", nil, ck.Bool(ck.CKA_ENCRYPT, no), nil},
		{"a usage right is given", nil, ck.Bool(ck.CKA_WRAP, yes), nil},
		{"not to a restrictable key", ck.Template{ck.Bool(ck.CKA_IBM_RESTRICTABLE, yes)}, ck.Bool(ck.CKA_WRAP, yes), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"EXTRACTABLE is taken", ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, yes)}, ck.Bool(ck.CKA_EXTRACTABLE, no), nil},
		{"EXTRACTABLE is not given", nil, ck.Bool(ck.CKA_EXTRACTABLE, yes), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"SENSITIVE is given", ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, yes), ck.Bool(ck.CKA_SENSITIVE, no)}, ck.Bool(ck.CKA_SENSITIVE, yes), nil},
		{"SENSITIVE is not taken", ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, yes)}, ck.Bool(ck.CKA_SENSITIVE, no), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"WRAP_WITH_TRUSTED is given", nil, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, yes), nil},
		{"WRAP_WITH_TRUSTED is not taken", ck.Template{ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, yes)}, ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, no), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"LOCAL is history", nil, ck.Bool(ck.CKA_LOCAL, no), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"TRUSTED is not anyone's to give", nil, ck.Bool(ck.CKA_TRUSTED, yes), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a key that is not modifiable", ck.Template{ck.Bool(ck.CKA_MODIFIABLE, no)}, ck.Bool(ck.CKA_ENCRYPT, no), ck.CKR_ACTION_PROHIBITED},
		{"no Boolean", nil, ck.Bytes(ck.CKA_LABEL, []byte("x")), ck.CKR_ATTRIBUTE_TYPE_INVALID},
	} {
		key := k.aes(t, c.key...)
		got, err := k.SetAttributes(ctx, key.Blob, ck.Template{c.set})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && !bytes.Equal(got.Attributes.Bytes(c.set.Type), c.set.Value) {
			t.Errorf("%s: %v is not what was set", c.name, c.set.Type)
		}
	}
}

func testBadBlobs(t *testing.T, k *kit) {
	secret := k.aes(t)
	pub, _ := k.ec(t, "P-256")
	use := func(b unit.Blob) error { _, err := k.Attributes(ctx, b, nil); return err }
	for _, b := range []unit.Blob{secret.Blob, pub.Blob} {
		for i := range b {
			bad := bytes.Clone(b)
			bad[i] ^= 0x10
			if err := use(bad); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) && !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
				t.Errorf("bit of byte %d flipped: %v", i, err)
			}
			if err := use(b[:i]); err == nil {
				t.Errorf("cut to %d bytes: opened", i)
			}
		}
		if err := use(append(bytes.Clone(b), 0)); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) {
			t.Errorf("a byte more: %v", err)
		}
	}
	if err := use(nil); !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
		t.Errorf("no blob: %v", err)
	}
	if err := use(make([]byte, unit.MaxBlob+1)); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) {
		t.Errorf("a huge blob: %v", err)
	}
}
