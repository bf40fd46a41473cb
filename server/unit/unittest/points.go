package unittest

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testRawAgreements: secrets that leave wrapped, against Go's key agreement.
func testRawAgreements(t *testing.T, k *kit) {
	kek, err := k.secret(ck.CKK_AES, countUp(3, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mech  ck.MechanismType
		name  string
		curve ecdh.Curve
	}{
		{ck.CKM_IBM_ECDH1_DERIVE_RAW, "P-256", ecdh.P256()},
		{ck.CKM_IBM_ECDH1_DERIVE_RAW, "P-521", ecdh.P521()},
		{ck.CKM_IBM_EC_X25519_RAW, "curve25519", ecdh.X25519()},
	} {
		if !k.has(c.mech) {
			continue
		}
		own, err := c.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv := k.ec(t, c.name, allUses...)
		point := pub.Attributes.Bytes(ck.CKA_EC_POINT)
		peer, err := c.curve.NewPublicKey(point[len(point)-len(own.PublicKey().Bytes()):])
		if err != nil {
			t.Fatal(err)
		}
		want, err := own.ECDH(peer)
		if err != nil {
			t.Fatal(err)
		}
		k.testRaw(t, mech.Mechanism{Type: c.mech, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: own.PublicKey().Bytes()}}, priv.Blob, kek.Blob, want)
	}
	k.testRawByItself(t, kek.Blob)
	k.testCofactor(t)
}

// testRaw undoes the wrapping with the key that did it.
func (k *kit) testRaw(t *testing.T, m mech.Mechanism, priv, kek unit.Blob, want []byte) {
	t.Helper()
	got, err := k.DeriveKey(ctx, m, priv, kek, nil)
	if err != nil {
		t.Errorf("%v: %v", m, err)
		return
	}
	z, err := k.Single(ctx, mech.OpDecrypt, mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, kek, unit.Input{Data: got.Blob})
	if err != nil || !bytes.Equal(z, want) {
		t.Errorf("%v: %x, %v", m, z, err)
	}
	if _, err := k.DeriveKey(ctx, m, priv, nil, nil); !errors.Is(err, ck.CKR_ARGUMENTS_BAD) {
		t.Errorf("%v without a key to wrap with: %v", m, err)
	}
	mayNot := k.aes(t, ck.Bool(ck.CKA_WRAP, false))
	if _, err := k.DeriveKey(ctx, m, priv, mayNot.Blob, nil); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("%v with a key that may not wrap: %v", m, err)
	}
}

// testRawByItself: what Go has no agreement for gives what the form that makes a
// key gives, which other tests compare.
func (k *kit) testRawByItself(t *testing.T, kek unit.Blob) {
	if k.has(ck.CKM_IBM_EC_X448_RAW) {
		pub, priv := k.ec(t, "x448", allUses...)
		p := &mech.ECDH1{KDF: ck.CKD_NULL, Public: pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:]}
		z, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_EC_X448, Param: p}, priv.Blob, nil, readable(56))
		if err != nil {
			t.Fatal(err)
		}
		k.testRaw(t, mech.Mechanism{Type: ck.CKM_IBM_EC_X448_RAW, Param: p}, priv.Blob, kek, k.value(t, z.Blob))
	}
	if k.has(ck.CKM_IBM_DH_PKCS_DERIVE_RAW) {
		params := k.generate(t, ck.CKM_DH_PKCS_PARAMETER_GEN, ck.Ulong(ck.CKA_PRIME_BITS, 2048))
		pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, params.Blob)}, allUses)
		if err != nil {
			t.Fatal(err)
		}
		peer := mech.Raw(pub.Attributes.Bytes(ck.CKA_VALUE))
		z, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_DERIVE, Param: peer}, priv.Blob, nil, readable(256))
		if err != nil {
			t.Fatal(err)
		}
		k.testRaw(t, mech.Mechanism{Type: ck.CKM_IBM_DH_PKCS_DERIVE_RAW, Param: peer}, priv.Blob, kek, k.value(t, z.Blob))
	}
}

// testCofactor: with a cofactor of 1 both forms are one.
func (k *kit) testCofactor(t *testing.T) {
	if !k.has(ck.CKM_ECDH1_COFACTOR_DERIVE) {
		return
	}
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.ec(t, "P-256", allUses...)
	peer, err := ecdh.P256().NewPublicKey(pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:])
	if err != nil {
		t.Fatal(err)
	}
	want, err := own.ECDH(peer)
	if err != nil {
		t.Fatal(err)
	}
	k.testAgreement(t, ck.CKM_ECDH1_COFACTOR_DERIVE, priv.Blob, own.PublicKey().Bytes(), want)
}

// testMultiply: multiples of points, as Go computes them.
func testMultiply(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_IBM_EC_MULTIPLY}
	if !k.has(m.Type) {
		return
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P521()} {
		name := curve.Params().Name
		pub, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN},
			ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(name)), ck.Bool(ck.CKA_ENCRYPT, true)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		size := (curve.Params().BitSize + 7) / 8
		point := pub.Attributes.Bytes(ck.CKA_EC_POINT)
		point = point[len(point)-1-2*size:]
		x, y := new(big.Int).SetBytes(point[1:1+size]), new(big.Int).SetBytes(point[1+size:])
		number := text[:20]
		wx, wy := curve.ScalarMult(x, y, number)
		want := append(append([]byte{4}, wx.FillBytes(make([]byte, size))...), wy.FillBytes(make([]byte, size))...)
		got, err := k.Single(ctx, mech.OpEncrypt, m, pub.Blob, unit.Input{Data: number})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		for _, c := range []struct {
			name string
			data []byte
			want error
		}{
			{"zero", make([]byte, size), ck.CKR_DATA_INVALID},
			{"the order", curve.Params().N.Bytes(), ck.CKR_DATA_INVALID},
			{"too long a number", make([]byte, size+1), ck.CKR_DATA_LEN_RANGE},
		} {
			if _, err := k.Single(ctx, mech.OpEncrypt, m, pub.Blob, unit.Input{Data: c.data}); !errors.Is(err, c.want) {
				t.Errorf("%s times a point: %v", c.name, err)
			}
		}
	}
	plain, _ := k.ec(t, "P-256")
	if _, err := k.Single(ctx, mech.OpEncrypt, m, plain.Blob, unit.Input{Data: text[:20]}); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("with a key that may not: %v", err)
	}
}

// testRSAAES: the wrapped key opens with Go's RSA and the unit's key wrap, which
// other tests compare, and what was put together so is unwrapped.
func testRSAAES(t *testing.T, k *kit) {
	if !k.has(ck.CKM_RSA_AES_KEY_WRAP) {
		return
	}
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.software(t, ck.CKK_RSA, own)
	secret, err := k.secret(ck.CKK_GENERIC_SECRET, text[:77])
	if err != nil {
		t.Fatal(err)
	}
	_, ec := k.ec(t, "P-256", ck.Bool(ck.CKA_EXTRACTABLE, true))
	der, err := k.export(ec.Blob)
	if err != nil {
		t.Fatal(err)
	}
	m := mech.Mechanism{Type: ck.CKM_RSA_AES_KEY_WRAP, Param: &mech.RSAAES{Bits: 256, OAEP: mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, Source: ck.CKZ_DATA_SPECIFIED}}}
	for _, c := range []struct {
		key  unit.Blob
		want []byte
		tmpl ck.Template
	}{
		{secret.Blob, text[:77], ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)}},
		{ec.Blob, der, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC)}},
	} {
		w, err := k.WrapKey(ctx, m, c.key, pub, nil)
		if err != nil {
			t.Fatal(err)
		}
		value, err := rsa.DecryptOAEP(crypto.SHA256.New(), nil, own, w[:256], nil)
		if err != nil || len(value) != 32 {
			t.Fatalf("%d bytes, %v", len(value), err)
		}
		aes, err := k.secret(ck.CKK_AES, value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Single(ctx, mech.OpDecrypt, mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, aes.Blob, unit.Input{Data: w[256:]})
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%x, %v", got, err)
		}
		if _, err := k.UnwrapKey(ctx, m, w, priv, nil, c.tmpl); err != nil {
			t.Errorf("there and back: %v", err)
		}
		w[0] ^= 1
		if _, err := k.UnwrapKey(ctx, m, w, priv, nil, c.tmpl); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("altered: %v", err)
		}
	}
	if _, err := k.UnwrapKey(ctx, m, text[:20], priv, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}); !errors.Is(err, ck.CKR_WRAPPED_KEY_LEN_RANGE) {
		t.Errorf("too short: %v", err)
	}
}
