package unittest

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"github.com/cloudflare/circl/dh/x448"
	"github.com/cloudflare/circl/sign/ed448"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("unittest: " + err.Error())
	}
	return b
}

func testCMAC(t *testing.T, k *kit) {
	// RFC 4493 section 4, and SP 800-38B's examples for three-key TDEA.
	aes := unhex("2b7e151628aed2a6abf7158809cf4f3c")
	des := unhex("8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5")
	msg := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
	for _, c := range []struct {
		mech ck.MechanismType
		typ  ck.KeyType
		key  []byte
		n    int
		mac  string
	}{
		{ck.CKM_AES_CMAC, ck.CKK_AES, aes, 0, "bb1d6929e95937287fa37d129b756746"},
		{ck.CKM_AES_CMAC, ck.CKK_AES, aes, 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{ck.CKM_AES_CMAC, ck.CKK_AES, aes, 40, "dfa66747de9ae63030ca32611497c827"},
		{ck.CKM_IBM_CMAC, ck.CKK_AES, aes, 40, "dfa66747de9ae63030ca32611497c827"},
		{ck.CKM_DES3_CMAC, ck.CKK_DES3, des, 0, "b7a688e122ffaf95"},
		{ck.CKM_DES3_CMAC, ck.CKK_DES3, des, 8, "8e8f293136283797"},
		{ck.CKM_IBM_CMAC, ck.CKK_DES3, des, 20, "743ddbe0ce2dc2ed"},
	} {
		if !k.has(c.mech) {
			continue
		}
		key, err := k.secret(c.typ, c.key)
		if err != nil {
			t.Fatal(err)
		}
		m := mech.Mechanism{Type: c.mech}
		got, err := k.sign(m, key.Blob, msg[:c.n])
		if err != nil || !bytes.Equal(got, unhex(c.mac)) {
			t.Errorf("%v of %d bytes: %x, %v", c.mech, c.n, got, err)
		}
		got, err = k.inParts(mech.OpSign, m, key.Blob, msg[:c.n])
		if err != nil || !bytes.Equal(got, unhex(c.mac)) {
			t.Errorf("%v of %d bytes in parts: %x, %v", c.mech, c.n, got, err)
		}
	}
}

// testRawCurves: Ed448, X25519 and X448 against other libraries.
func testRawCurves(t *testing.T, k *kit) {
	if k.has(ck.CKM_IBM_ED448_SHA3) {
		pub, priv := k.ec(t, "ed448")
		point := pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:]
		for _, m := range []mech.Mechanism{{Type: ck.CKM_IBM_ED448_SHA3}, {Type: ck.CKM_EDDSA}, {Type: ck.CKM_EDDSA, Param: &mech.EdDSA{Context: []byte("c")}}} {
			ctx := ""
			if m.Param != nil {
				ctx = "c"
			}
			sig, err := k.sign(m, priv.Blob, text)
			if err != nil || len(sig) != 114 || !ed448.Verify(point, text, sig, ctx) {
				t.Errorf("%v: %d bytes, %v", m.Type, len(sig), err)
			}
			if err := k.verify(m, pub.Blob, text, sig); err != nil {
				t.Error(err)
			}
		}
		if _, err := k.sign(mech.Mechanism{Type: ck.CKM_IBM_ED25519_SHA512}, priv.Blob, text); !errors.Is(err, ck.CKR_KEY_TYPE_INCONSISTENT) {
			t.Errorf("Ed25519 with a key on Ed448: %v", err)
		}
	}
	if k.has(ck.CKM_IBM_EC_X448) {
		var secret, point, want x448.Key
		copy(secret[:], text)
		x448.KeyGen(&point, &secret)
		pub, priv := k.ec(t, "x448", allUses...)
		var peer x448.Key
		copy(peer[:], pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:])
		x448.Shared(&want, &secret, &peer)
		k.testAgreement(t, ck.CKM_IBM_EC_X448, priv.Blob, point[:], want[:])
		k.testAgreement(t, ck.CKM_ECDH1_DERIVE, priv.Blob, point[:], want[:])
	}
	if k.has(ck.CKM_IBM_EC_X25519) {
		own, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv := k.ec(t, "curve25519", allUses...)
		peer, err := ecdh.X25519().NewPublicKey(pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:])
		if err != nil {
			t.Fatal(err)
		}
		want, err := own.ECDH(peer)
		if err != nil {
			t.Fatal(err)
		}
		k.testAgreement(t, ck.CKM_IBM_EC_X25519, priv.Blob, own.PublicKey().Bytes(), want)
		k.testAgreement(t, ck.CKM_ECDH1_DERIVE, priv.Blob, octetString(own.PublicKey().Bytes()), want)
	}
}

// testAgreement derives the whole secret and a part of it.
func (k *kit) testAgreement(t *testing.T, m ck.MechanismType, priv unit.Blob, point, want []byte) {
	t.Helper()
	for _, n := range []int{len(want), 16} {
		z, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}}, priv, nil, readable(n))
		if err != nil || !bytes.Equal(k.value(t, z.Blob), want[len(want)-n:]) {
			t.Errorf("%v: %v", m, err)
		}
	}
	hybrid := mech.Mechanism{Type: m, Param: &mech.ECDH1{KDF: ck.CKD_IBM_HYBRID_NULL, Public: point}}
	if z, err := k.DeriveKey(ctx, hybrid, priv, nil, readable(len(want))); err != nil || !bytes.Equal(k.value(t, z.Blob), want) {
		t.Errorf("%v, hybrid: %v", m, err)
	}
	if _, err := k.DeriveKey(ctx, hybrid, priv, nil, readable(16)); !errors.Is(err, ck.CKR_TEMPLATE_INCONSISTENT) {
		t.Errorf("%v, hybrid cut: %v", m, err)
	}
	zero := make([]byte, len(point))
	if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: zero}}, priv, nil, readable(16)); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
		t.Errorf("%v, a point of small order: %v", m, err)
	}
}

func testFiniteFields(t *testing.T, k *kit) {
	if !k.has(ck.CKM_DSA) || !k.has(ck.CKM_DH_PKCS_DERIVE) {
		return
	}
	bits := ck.Ulong(ck.CKA_PRIME_BITS, 2048)
	dsa := k.generate(t, ck.CKM_DSA_PARAMETER_GEN, bits)
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_DSA_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, dsa.Blob)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	number := func(key unit.Key, a ck.AttributeType) *big.Int {
		return new(big.Int).SetBytes(key.Attributes.Bytes(a))
	}
	p, q, g, y := number(pub, ck.CKA_PRIME), number(pub, ck.CKA_SUBPRIME), number(pub, ck.CKA_BASE), number(pub, ck.CKA_VALUE)
	verify := func(h crypto.Hash) func([]byte) error {
		return func(sig []byte) error { // FIPS 186-4 4.7
			r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
			w := new(big.Int).ModInverse(s, q)
			z := new(big.Int).SetBytes(sum(h, text)[:min(h.Size(), (q.BitLen()+7)/8)])
			v := new(big.Int).Exp(g, z.Mul(z, w).Mod(z, q), p)
			v.Mul(v, new(big.Int).Exp(y, w.Mul(w, r).Mod(w, q), p)).Mod(v, p).Mod(v, q)
			if v.Cmp(r) != 0 {
				return errors.New("no")
			}
			return nil
		}
	}
	for m, row := range k.listed {
		if row.Allows(ck.CKK_DSA) && row.Hash != 0 {
			k.testSignature(t, mech.Mechanism{Type: m}, pub.Blob, priv.Blob, verify(row.Hash), func() ([]byte, error) { return nil, nil })
		}
	}
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_DSA}, priv.Blob, sum(crypto.SHA256, text))
	if err != nil || verify(crypto.SHA256)(sig) != nil || k.verify(mech.Mechanism{Type: ck.CKM_DSA}, pub.Blob, sum(crypto.SHA256, text), sig) != nil {
		t.Errorf("DSA over a digest: %v", err)
	}
	if _, err := k.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_DSA_PARAMETER_GEN}, ck.Template{ck.Ulong(ck.CKA_PRIME_BITS, 777)}); !errors.Is(err, ck.CKR_KEY_SIZE_RANGE) {
		t.Errorf("a size nobody has: %v", err)
	}
	bad := bytes.Clone(dsa.Blob)
	bad[len(bad)-5] ^= 1
	if _, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_DSA_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, bad)}, nil); !errors.Is(err, ck.CKR_DOMAIN_PARAMS_INVALID) {
		t.Errorf("altered parameters: %v", err)
	}
	testDH(t, k, k.generate(t, ck.CKM_DH_PKCS_PARAMETER_GEN, bits))
}

func testDH(t *testing.T, k *kit, params unit.Key) {
	pub := ck.Template{ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, params.Blob)}
	_, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_KEY_PAIR_GEN}, pub, allUses)
	if err != nil {
		t.Fatal(err)
	}
	pubB, privB, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_KEY_PAIR_GEN}, pub, allUses.Set(ck.Bool(ck.CKA_SENSITIVE, false)))
	if err != nil {
		t.Fatal(err)
	}
	_ = pubB
	x, err := k.Attributes(ctx, privB.Blob, []ck.AttributeType{ck.CKA_VALUE, ck.CKA_PRIME, ck.CKA_BASE})
	if err != nil {
		t.Fatal(err)
	}
	n := func(a ck.AttributeType) *big.Int { return new(big.Int).SetBytes(x.Bytes(a)) }
	y := new(big.Int).Exp(n(ck.CKA_BASE), n(ck.CKA_VALUE), n(ck.CKA_PRIME))
	z, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_DERIVE, Param: mech.Raw(append([]byte{0}, y.Bytes()...))}, priv.Blob, nil, readable(256))
	if err != nil {
		t.Fatal(err)
	}
	own, err := k.Attributes(ctx, priv.Blob, []ck.AttributeType{ck.CKA_IBM_MACED_PUBLIC_KEY_INFO})
	if err != nil {
		t.Fatal(err)
	}
	ownPub, err := k.Attributes(ctx, own.Bytes(ck.CKA_IBM_MACED_PUBLIC_KEY_INFO), []ck.AttributeType{ck.CKA_VALUE})
	if err != nil {
		t.Fatal(err)
	}
	want := new(big.Int).Exp(new(big.Int).SetBytes(ownPub.Bytes(ck.CKA_VALUE)), n(ck.CKA_VALUE), n(ck.CKA_PRIME)).FillBytes(make([]byte, 256))
	if !bytes.Equal(k.value(t, z.Blob), want) {
		t.Error("DH gives another secret")
	}
	for _, bad := range [][]byte{{0}, {1}, x.Bytes(ck.CKA_PRIME)} {
		if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_DH_PKCS_DERIVE, Param: mech.Raw(bad)}, priv.Blob, nil, readable(16)); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("peer value %x: %v", bad[:1], err)
		}
	}
}

func testSecretDerivation(t *testing.T, k *kit) {
	value := bytes.Repeat([]byte{0x42}, 32)
	base, err := k.secret(ck.CKK_AES, value)
	if err != nil {
		t.Fatal(err)
	}
	for m, row := range k.listed {
		if row.Use&ck.CKF_DERIVE == 0 || row.Hash == 0 {
			continue
		}
		for _, n := range []int{row.Hash.Size(), 16} {
			got, err := k.DeriveKey(ctx, mech.Mechanism{Type: m}, base.Blob, nil, readable(n))
			if err != nil || !bytes.Equal(k.value(t, got.Blob), sum(row.Hash, value)[:n]) {
				t.Errorf("%v of %d bytes: %v", m, n, err)
			}
		}
		if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: m}, base.Blob, nil, readable(row.Hash.Size()+1)); !errors.Is(err, ck.CKR_KEY_SIZE_RANGE) {
			t.Errorf("%v, more than there is: %v", m, err)
		}
	}
	if k.has(ck.CKM_AES_ECB_ENCRYPT_DATA) {
		want := make([]byte, 32)
		goECB(goBlock(t, ck.CKK_AES, value), want, text[:32])
		got, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Param: mech.Raw(text[:32])}, base.Blob, nil, readable(32))
		if err != nil || !bytes.Equal(k.value(t, got.Blob), want) {
			t.Errorf("AES_ECB_ENCRYPT_DATA: %v", err)
		}
	}
	if !k.has(ck.CKM_SHA256_KEY_DERIVATION) {
		return
	}
	noDerive := k.aes(t)
	if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_SHA256_KEY_DERIVATION}, noDerive.Blob, nil, readable(16)); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("a key without DERIVE: %v", err)
	}
}

// testMoreCurves: ECDSA on curves Go lacks, against itself and, by their shape,
// against the SPKI that OpenSSL wrote.
func testMoreCurves(t *testing.T, k *kit) {
	for _, name := range []string{"P-192", "SECP256K1", "BP-160R", "BP-160T", "BP-192R", "BP-192T", "BP-224R", "BP-224T",
		"BP-256R", "BP-256T", "BP-320R", "BP-320T", "BP-384R", "BP-384T", "BP-512R", "BP-512T"} {
		pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(name))}, ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, true)})
		if errors.Is(err, ck.CKR_CURVE_NOT_SUPPORTED) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, d := range [][]byte{text[:28], sum(crypto.SHA512, text)} {
			sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Blob, d)
			if err != nil || k.verify(mech.Mechanism{Type: ck.CKM_ECDSA}, pub.Blob, d, sig) != nil {
				t.Errorf("%s: %v", name, err)
			}
			sig[len(sig)-1] ^= 1
			if err := k.verify(mech.Mechanism{Type: ck.CKM_ECDSA}, pub.Blob, d, sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
				t.Errorf("%s, altered: %v", name, err)
			}
		}
		der, err := k.export(priv.Blob)
		if err != nil {
			t.Fatal(err)
		}
		back, err := k.private(ck.CKK_EC, der)
		if err != nil || !bytes.Equal(back.Attributes.Bytes(ck.CKA_EC_POINT), pub.Attributes.Bytes(ck.CKA_EC_POINT)) {
			t.Errorf("%s there and back: %v", name, err)
		}
	}
}
