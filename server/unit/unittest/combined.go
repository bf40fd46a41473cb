package unittest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
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

// hashAndMGF is the digest mechanism of a hash, with its mask generation function.
func hashAndMGF(h crypto.Hash) (m ck.MechanismType, mgf uint64) {
	for _, row := range mech.All() {
		if row.Use&ck.CKF_DIGEST == 0 || row.Hash != h {
			continue
		}
		for g := uint64(1); g < 16; g++ {
			if made, ok := mech.MGFHash(g); ok && made == h {
				return row.Type, g
			}
		}
	}
	return 0, 0
}

// testCombined signs with each mechanism that has a hash of its own and an RSA
// or EC key, and verifies with Go; and the reverse.
func testCombined(t *testing.T, k *kit) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPub, rsaPriv := k.software(t, ck.CKK_RSA, rsaKey)
	ecPub, ecPriv := k.software(t, ck.CKK_EC, ecKey)
	for m, row := range k.listed {
		if row.Hash == 0 || row.Use&ck.CKF_SIGN == 0 || isX931(m) {
			continue
		}
		h, d := row.Hash, sum(row.Hash, text)
		switch {
		case row.Allows(ck.CKK_RSA) && row.Param == mech.ParamPSS:
			hash, mgf := hashAndMGF(h)
			opts := &rsa.PSSOptions{SaltLength: 20, Hash: h}
			k.testSignature(t, mech.Mechanism{Type: m, Param: &mech.PSS{Hash: hash, MGF: mgf, SaltLen: 20}}, rsaPub, rsaPriv,
				func(sig []byte) error { return rsa.VerifyPSS(&rsaKey.PublicKey, h, d, sig, opts) },
				func() ([]byte, error) { return rsa.SignPSS(rand.Reader, rsaKey, h, d, opts) })
		case row.Allows(ck.CKK_RSA):
			k.testSignature(t, mech.Mechanism{Type: m}, rsaPub, rsaPriv,
				func(sig []byte) error { return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, h, d, sig) },
				func() ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, rsaKey, h, d) })
		case row.Allows(ck.CKK_EC):
			k.testSignature(t, mech.Mechanism{Type: m}, ecPub, ecPriv,
				func(sig []byte) error {
					if !verifyHalves(&ecKey.PublicKey, d, sig) {
						return errors.New("no")
					}
					return nil
				},
				func() ([]byte, error) {
					r, s, err := ecdsa.Sign(rand.Reader, ecKey, d)
					return append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...), err
				})
		}
	}
	testBareRSA(t, k, rsaKey, rsaPub, rsaPriv)
}

func isX931(m ck.MechanismType) bool { return m == ck.CKM_SHA1_RSA_X9_31 }

// testBareRSA: PSS over a digest, and RSA without padding.
func testBareRSA(t *testing.T, k *kit, key *rsa.PrivateKey, pub, priv unit.Blob) {
	if k.has(ck.CKM_RSA_PKCS_PSS) {
		d := sum(crypto.SHA256, text)
		m := mech.Mechanism{Type: ck.CKM_RSA_PKCS_PSS, Param: &mech.PSS{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, SaltLen: 32}}
		sig, err := k.sign(m, priv, d)
		if err != nil || rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, d, sig, &rsa.PSSOptions{SaltLength: 32}) != nil || k.verify(m, pub, d, sig) != nil {
			t.Errorf("PSS over a digest: %v", err)
		}
		if _, err := k.sign(m, priv, text); !errors.Is(err, ck.CKR_DATA_LEN_RANGE) {
			t.Errorf("PSS over no digest: %v", err)
		}
	}
	if !k.has(ck.CKM_RSA_X_509) {
		return
	}
	m := mech.Mechanism{Type: ck.CKM_RSA_X_509}
	e := big.NewInt(int64(key.E))
	sig, err := k.sign(m, priv, text)
	if err != nil || !bytes.Equal(new(big.Int).Exp(new(big.Int).SetBytes(sig), e, key.N).Bytes(), text) || k.verify(m, pub, text, sig) != nil {
		t.Errorf("RSA without padding, signed: %v", err)
	}
	c, err := k.Single(ctx, mech.OpEncrypt, m, pub, unit.Input{Data: text})
	if err != nil || new(big.Int).SetBytes(c).Cmp(new(big.Int).Exp(new(big.Int).SetBytes(text), e, key.N)) != 0 {
		t.Errorf("RSA without padding, encrypted: %v", err)
	}
	plain, err := k.Single(ctx, mech.OpDecrypt, m, priv, unit.Input{Data: c})
	if err != nil || !bytes.Equal(bytes.TrimLeft(plain, "\x00"), text) {
		t.Errorf("RSA without padding, decrypted: %v", err)
	}
}

// testKeyWraps: RFC 3394 4.6 and RFC 5649 6.
func testKeyWraps(t *testing.T, k *kit) {
	for _, c := range []struct {
		mech         ck.MechanismType
		kek, in, out string
	}{
		{ck.CKM_AES_KEY_WRAP, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
			"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
		{ck.CKM_AES_KEY_WRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		{ck.CKM_AES_KEY_WRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	} {
		if !k.has(c.mech) {
			continue
		}
		kek, err := k.secret(ck.CKK_AES, unhex(c.kek))
		if err != nil {
			t.Fatal(err)
		}
		k.testCipher(t, "key wrap", mech.Mechanism{Type: c.mech}, kek.Blob, unhex(c.in), unhex(c.out))
	}
}

// testNewKeys: what else makes keys makes good ones: of the right type and
// length, and, for pairs, two halves that belong together.
func testNewKeys(t *testing.T, k *kit) {
	for _, c := range []struct {
		mech   ck.MechanismType
		length int
		typ    ck.KeyType
	}{{ck.CKM_DES2_KEY_GEN, 0, ck.CKK_DES2}, {ck.CKM_HKDF_KEY_GEN, 32, ck.CKK_HKDF}, {ck.CKM_CHACHA20_KEY_GEN, 0, ck.CKK_CHACHA20}} {
		if !k.has(c.mech) {
			continue
		}
		tmpl := ck.Template{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}
		if c.length > 0 {
			tmpl = append(tmpl, ck.Ulong(ck.CKA_VALUE_LEN, c.length))
		}
		key := k.generate(t, c.mech, tmpl...)
		typ, _, _ := key.Attributes.Ulong(ck.CKA_KEY_TYPE)
		if v := k.value(t, key.Blob); ck.KeyType(typ) != c.typ || len(v) != max(c.length, 16) && len(v) != 32 || bytes.Equal(v, make([]byte, len(v))) {
			t.Errorf("%v: type %d, %d bytes", c.mech, typ, len(v))
		}
	}
	for _, c := range []struct {
		mech, use ck.MechanismType
		pub       ck.Attribute
	}{
		{ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.CKM_EDDSA, ck.Bytes(ck.CKA_EC_PARAMS, []byte("ed25519"))},
		{ck.CKM_RSA_X9_31_KEY_PAIR_GEN, ck.CKM_SHA256_RSA_PKCS, ck.Ulong(ck.CKA_MODULUS_BITS, 2048)},
		{ck.CKM_IBM_ML_DSA_KEY_PAIR_GEN, ck.CKM_IBM_ML_DSA, ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_44)},
	} {
		if !k.has(c.mech) {
			continue
		}
		pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: c.mech}, ck.Template{c.pub}, nil)
		if err != nil {
			t.Errorf("%v: %v", c.mech, err)
			continue
		}
		sig, err := k.sign(mech.Mechanism{Type: c.use}, priv.Blob, text)
		if err != nil || k.verify(mech.Mechanism{Type: c.use}, pub.Blob, text, sig) != nil {
			t.Errorf("%v: the halves do not fit: %v", c.mech, err)
		}
	}
	if k.has(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN) {
		params := ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte("curve25519"))}
		pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN}, params, allUses)
		if err != nil {
			t.Fatal(err)
		}
		der, err := k.export(priv.Blob)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := k.private(ck.CKK_EC_MONTGOMERY, der); err != nil || !bytes.Equal(back.Attributes.Bytes(ck.CKA_EC_POINT), pub.Attributes.Bytes(ck.CKA_EC_POINT)) {
			t.Errorf("an X25519 pair: the halves do not fit: %v", err)
		}
	}
}
