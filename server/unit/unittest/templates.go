package unittest

import (
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func nested(t ck.AttributeType, sub ...ck.Attribute) ck.Attribute {
	return ck.Attribute{Type: t, Sub: sub}
}

// testTemplates: a key's own templates bind whoever holds its blob. PKCS#11 v3.2
// §4.9 to §4.11, §5.18.3, §5.18.4, §5.18.5.
func testTemplates(t *testing.T, k *kit) {
	leaves := ck.Bool(ck.CKA_EXTRACTABLE, true)
	aes := ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)
	hidden := []ck.Attribute{ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, false)}
	kek := k.aes(t, ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true),
		nested(ck.CKA_WRAP_TEMPLATE, ck.Bool(ck.CKA_SIGN, false), ck.Bytes(ck.CKA_LABEL, []byte("beside the blob")), aes),
		nested(ck.CKA_UNWRAP_TEMPLATE, append(hidden, ck.Bool(ck.CKA_ENCRYPT, true))...))
	wrap := func(key, kek unit.Blob) ([]byte, error) { return k.WrapKey(ctx, cbcPad, key, kek, nil) }
	good := k.aes(t, leaves, ck.Bool(ck.CKA_SIGN, false))
	wrapped, err := wrap(good.Blob, kek.Blob)
	if err != nil {
		t.Fatal("a key that the template fits:", err)
	}
	_, priv := k.ec(t, "P-256", leaves)
	for name, bad := range map[string]unit.Blob{
		"a key with another right": k.aes(t, leaves).Blob,
		"a key of another kind":    priv.Blob,
	} {
		if _, err := wrap(bad, kek.Blob); !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
			t.Errorf("%s is wrapped: %v", name, err)
		}
	}
	unwrap := func(a ...ck.Attribute) (unit.Key, error) {
		return k.UnwrapKey(ctx, cbcPad, wrapped, kek.Blob, nil, append(ck.Template{aes}, a...))
	}
	if _, err := unwrap(leaves); !errors.Is(err, ck.CKR_TEMPLATE_INCONSISTENT) {
		t.Error("a key is unwrapped against the template:", err)
	}
	back, err := unwrap()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrap(back.Blob, k.kek); !errors.Is(err, ck.CKR_KEY_UNEXTRACTABLE) {
		t.Error("what came in leaves again:", err)
	}
	if _, err := k.Single(ctx, mech.OpEncrypt, cbcPad, back.Blob, unit.Input{Data: text}); err != nil {
		t.Error("a right that the template gives:", err)
	}

	shown, err := k.Attributes(ctx, kek.Blob, []ck.AttributeType{ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE})
	if err != nil || len(shown) != 2 || len(shown[0].Sub) != 3 || len(shown[1].Sub) != 3 {
		t.Errorf("the templates are shown as %v, %v", shown, err)
	}
	changed, err := k.SetAttributes(ctx, kek.Blob, ck.Template{ck.Bool(ck.CKA_ENCRYPT, false)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrap(k.aes(t, leaves).Blob, changed.Blob); !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
		t.Error("a changed key has lost its template:", err)
	}
	for name, a := range map[string]ck.Attribute{
		"a template in a template": nested(ck.CKA_WRAP_TEMPLATE, nested(ck.CKA_WRAP_TEMPLATE)),
		"a template of 9 kB":       nested(ck.CKA_WRAP_TEMPLATE, ck.Bytes(ck.CKA_LABEL, make([]byte, 9<<10))),
		"a Boolean of 2 bytes":     nested(ck.CKA_WRAP_TEMPLATE, ck.Bytes(ck.CKA_SIGN, make([]byte, 2))),
	} {
		if _, err := k.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), a}); !errors.Is(err, ck.CKR_ATTRIBUTE_VALUE_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// testDeriveTemplates: the same for derivations.
func testDeriveTemplates(t *testing.T, k *kit) {
	pub, _ := k.ec(t, "P-256")
	_, base := k.ec(t, "P-256", ck.Bool(ck.CKA_DERIVE, true), nested(ck.CKA_DERIVE_TEMPLATE,
		ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, false), ck.Bool(ck.CKA_ENCRYPT, false)))
	ecdh := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: pub.Attributes.Bytes(ck.CKA_EC_POINT)}}
	derive := func(a ...ck.Attribute) (unit.Key, error) {
		return k.DeriveKey(ctx, ecdh, base.Blob, nil, append(ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32)}, a...))
	}
	if _, err := derive(ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)); !errors.Is(err, ck.CKR_TEMPLATE_INCONSISTENT) {
		t.Error("a key is derived against the template:", err)
	}
	d, err := derive()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Single(ctx, mech.OpEncrypt, cbcPad, d.Blob, unit.Input{Data: text}); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Error("a right that the template takes:", err)
	}
	if k.has(ck.CKM_IBM_ECDH1_DERIVE_RAW) {
		raw := mech.Mechanism{Type: ck.CKM_IBM_ECDH1_DERIVE_RAW, Param: ecdh.Param}
		if _, err := k.DeriveKey(ctx, raw, base.Blob, k.kek, nil); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
			t.Error("the shared value leaves wrapped:", err)
		}
	}
	k.testDataTemplate(t)
	k.testDecapsulateTemplate(t)
}

// testDataTemplate: what is derived as data is not secret.
func (k *kit) testDataTemplate(t *testing.T) {
	if !k.has(ck.CKM_HKDF_DATA) {
		return
	}
	m := mech.Mechanism{Type: ck.CKM_HKDF_DATA, Param: &mech.HKDF{Extract: true, Hash: ck.CKM_SHA256, SaltType: uint64(ck.CKF_HKDF_SALT_NULL)}}
	for _, c := range []struct {
		name string
		rule ck.Attribute
		want error
	}{
		{"data from a key for data", ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), nil},
		{"data from a key for keys", ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.CKR_TEMPLATE_INCONSISTENT},
		{"data from a key for sensitive keys", ck.Bool(ck.CKA_SENSITIVE, true), ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		base := k.generate(t, ck.CKM_HKDF_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_DERIVE, true), nested(ck.CKA_DERIVE_TEMPLATE, c.rule))
		if _, err := k.DeriveKey(ctx, m, base.Blob, nil, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func (k *kit) testDecapsulateTemplate(t *testing.T) {
	if !k.has(ck.CKM_ML_KEM) {
		return
	}
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, uint64(ck.CKP_ML_KEM_768))},
		ck.Template{nested(ck.CKA_DECAPSULATE_TEMPLATE, ck.Bool(ck.CKA_EXTRACTABLE, false))})
	if err != nil {
		t.Fatal(err)
	}
	key := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32)}
	open := append(key, ck.Bool(ck.CKA_EXTRACTABLE, true))
	sent, err := k.DeriveKey(ctx, kem(ck.CKM_ML_KEM, ck.CK_IBM_KEM_ENCAPSULATE, nil), pub.Blob, nil, open)
	if err != nil {
		t.Fatal(err)
	}
	m := kem(ck.CKM_ML_KEM, ck.CK_IBM_KEM_DECAPSULATE, sent.CheckSum[7:])
	if _, err := k.DeriveKey(ctx, m, priv.Blob, nil, open); !errors.Is(err, ck.CKR_TEMPLATE_INCONSISTENT) {
		t.Error("a key is decapsulated against the template:", err)
	}
	if _, err := k.DeriveKey(ctx, m, priv.Blob, nil, key); err != nil {
		t.Error(err)
	}
}
