package unittest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/bits"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func testSecretGeneration(t *testing.T, k *kit) {
	aes, des, generic := ck.MechanismType(ck.CKM_AES_KEY_GEN), ck.MechanismType(ck.CKM_DES3_KEY_GEN), ck.MechanismType(ck.CKM_GENERIC_SECRET_KEY_GEN)
	length := func(n int) ck.Attribute { return ck.Ulong(ck.CKA_VALUE_LEN, n) }
	for _, c := range []struct {
		name string
		mech ck.MechanismType
		t    ck.Template
		want error
	}{
		{"AES of 16 bytes", aes, ck.Template{length(16)}, nil},
		{"AES of 28 bytes is no key", aes, ck.Template{length(28)}, ck.CKR_KEY_SIZE_RANGE},
		{"AES of 48 bytes is no key", aes, ck.Template{length(48)}, ck.CKR_KEY_SIZE_RANGE},
		{"AES needs a length", aes, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"AES of another type", aes, ck.Template{length(16), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DES3)}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"AES of another class", aes, ck.Template{length(16), ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"DES3 ignores a length", des, ck.Template{length(32)}, nil},
		{"a generic secret of a byte", generic, ck.Template{length(1)}, nil},
		{"a generic secret of nothing", generic, ck.Template{length(0)}, ck.CKR_KEY_SIZE_RANGE},
		{"a mangled Boolean", aes, ck.Template{length(16), ck.Bytes(ck.CKA_ENCRYPT, []byte{1, 2})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a mechanism that generates nothing", ck.CKM_AES_CBC, ck.Template{length(16)}, ck.CKR_MECHANISM_INVALID},
		{"a mechanism nobody knows", 0x7abcdef0, nil, ck.CKR_MECHANISM_INVALID},
		{"a pair's mechanism", ck.CKM_EC_KEY_PAIR_GEN, nil, ck.CKR_MECHANISM_INVALID},
	} {
		key, err := k.GenerateKey(ctx, mech.Mechanism{Type: c.mech}, c.t)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && len(key.CheckSum) != 3 {
			t.Errorf("%s: checksum %x", c.name, key.CheckSum)
		}
	}
	key := k.generate(t, des, ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SENSITIVE, false))
	for _, b := range k.value(t, key.Blob) {
		if bits.OnesCount8(b)%2 == 0 {
			t.Fatal("a DES key without odd parity")
		}
	}
}

func testPairGeneration(t *testing.T, k *kit) {
	rsaGen, ecGen := ck.MechanismType(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), ck.MechanismType(ck.CKM_EC_KEY_PAIR_GEN)
	size := func(n int) ck.Attribute { return ck.Ulong(ck.CKA_MODULUS_BITS, n) }
	exponent := func(b ...byte) ck.Attribute { return ck.Bytes(ck.CKA_PUBLIC_EXPONENT, b) }
	curve := func(b ...byte) ck.Attribute { return ck.Bytes(ck.CKA_EC_PARAMS, b) }
	for _, c := range []struct {
		name string
		mech ck.MechanismType
		pub  ck.Template
		priv ck.Template
		want error
	}{
		{"RSA with exponent 17", rsaGen, ck.Template{size(1024), exponent(17)}, nil, nil},
		{"RSA with exponent 131073, which is no prime", rsaGen, ck.Template{size(1024), exponent(2, 0, 1)}, nil, nil},
		{"RSA with an even exponent", rsaGen, ck.Template{size(1024), exponent(16)}, nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"RSA of 511 bits", rsaGen, ck.Template{size(511), exponent(1, 0, 1)}, nil, ck.CKR_KEY_SIZE_RANGE},
		{"RSA of 4097 bits", rsaGen, ck.Template{size(4097), exponent(1, 0, 1)}, nil, ck.CKR_KEY_SIZE_RANGE},
		{"RSA without a size", rsaGen, ck.Template{exponent(1, 0, 1)}, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"EC by OID", ecGen, ck.Template{curve(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7)}, nil, nil},
		{"EC by name", ecGen, ck.Template{curve([]byte("P-384")...)}, nil, nil},
		{"EC by a curve in the private template", ecGen, nil, ck.Template{curve([]byte("P-256")...)}, nil},
		{"EC without a curve", ecGen, nil, nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"EC on an unknown curve", ecGen, ck.Template{curve([]byte("P-257")...)}, nil, ck.CKR_CURVE_NOT_SUPPORTED},
		{"EC with RSA's type", ecGen, ck.Template{curve([]byte("P-256")...), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA)}, nil, ck.CKR_TEMPLATE_INCONSISTENT},
		{"private attributes in the public template", ecGen, ck.Template{curve([]byte("P-256")...), ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true)}, nil, nil},
		{"halves that differ in ATTRBOUND", ecGen, ck.Template{curve([]byte("P-256")...), ck.Bool(ck.CKA_IBM_ATTRBOUND, true)}, nil, ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		pub, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: c.mech}, c.pub, c.priv)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if _, err := x509.ParsePKIXPublicKey(pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO)); err != nil {
			t.Errorf("%s: PUBLIC_KEY_INFO: %v", c.name, err)
		}
	}
}

// export wraps a key and opens what came out with the same KEK.
func (k *kit) export(key unit.Blob) ([]byte, error) {
	w, err := k.WrapKey(ctx, cbcPad, key, k.kek, nil)
	if err != nil {
		return nil, err
	}
	return k.Single(ctx, mech.OpDecrypt, cbcPad, k.kek, unit.Input{Data: w})
}

func testExportImport(t *testing.T, k *kit) {
	extractable := ck.Bool(ck.CKA_EXTRACTABLE, true)
	_, ecPriv := k.ec(t, "P-256", extractable)
	_, rsaPriv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048)}, ck.Template{extractable})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []unit.Blob{ecPriv.Blob, rsaPriv.Blob} {
		der, err := k.export(b)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := parsed.(*rsa.PrivateKey); ok && r.Validate() != nil {
			t.Error("exported RSA key is not valid")
		}
		if e, ok := parsed.(*ecdsa.PrivateKey); ok {
			sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, b, text[:32])
			if err != nil || !verifyHalves(&e.PublicKey, text[:32], sig) {
				t.Errorf("the exported key is another one: %v", err)
			}
		}
	}
	aes := k.aes(t, extractable)
	w, err := k.WrapKey(ctx, cbcPad, aes.Blob, k.kek, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.UnwrapKey(ctx, cbcPad, w, k.kek, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)})
	if err != nil || !bytes.Equal(got.CheckSum, binary.BigEndian.AppendUint32(bytes.Clone(aes.CheckSum), 256)) {
		t.Errorf("checksum %x of a key unwrapped from one with %x, %v", got.CheckSum, aes.CheckSum, err)
	}
	testRSAWrap(t, k, aes)
}

func testRSAWrap(t *testing.T, k *kit, aes unit.Key) {
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN},
		allUses.Set(ck.Ulong(ck.CKA_MODULUS_BITS, 2048)), allUses)
	if err != nil {
		t.Fatal(err)
	}
	oaep := mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}}
	for _, m := range []mech.Mechanism{{Type: ck.CKM_RSA_PKCS}, oaep} {
		w, err := k.WrapKey(ctx, m, aes.Blob, pub.Blob, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, tmpl := range []ck.Template{{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}, {ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32)}} {
			got, err := k.UnwrapKey(ctx, m, w, priv.Blob, nil, tmpl)
			if err != nil || !bytes.Equal(got.CheckSum[:3], aes.CheckSum) {
				t.Errorf("%v: %x, %v", m.Type, got.CheckSum, err)
			}
		}
		w[7] ^= 1
		if _, err := k.UnwrapKey(ctx, m, w, priv.Blob, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("%v, altered: %v", m.Type, err)
		}
		if _, err := k.WrapKey(ctx, m, priv.Blob, pub.Blob, nil); !errors.Is(err, ck.CKR_KEY_NOT_WRAPPABLE) {
			t.Errorf("%v of a private key: %v", m.Type, err)
		}
	}
}
