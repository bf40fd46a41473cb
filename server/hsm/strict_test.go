package hsm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// strictUnit is one whose keys never pass the memory.
func strictUnit(t *testing.T) *Unit {
	t.Helper()
	c := testConfig(t)
	c.KeysInMemory = false
	return openUnit(t, c)
}

func TestKeysStayInTheHSM(t *testing.T) {
	u := strictUnit(t)
	has := map[ck.MechanismType]ck.Flags{}
	for _, row := range u.Mechanisms() {
		has[row.Type] = row.Use
	}
	for _, row := range []struct {
		name  string
		mech  ck.MechanismType
		flags ck.Flags
		want  bool
	}{
		{"SoftHSM2 wraps and unwraps by RFC 5649", ck.CKM_AES_KEY_WRAP_KWP, wraps, true},
		{"and does not unwrap by CBC", ck.CKM_AES_CBC_PAD, ck.CKF_UNWRAP, false},
		{"but encrypts", ck.CKM_AES_CBC_PAD, ck.CKF_ENCRYPT | ck.CKF_DECRYPT, true},
		{"it has no ML-DSA", ck.CKM_ML_DSA, ck.CKF_SIGN, false},
		{"it does not wrap the Edwards keys it makes", ck.CKM_EDDSA, ck.CKF_SIGN, false},
	} {
		if got := has[row.mech]&row.flags == row.flags; got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	wrapsAndUnwraps := rights(true, ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_ENCRYPT, ck.CKA_EXTRACTABLE)
	aes := func(more ck.Template) unit.Key {
		t.Helper()
		k, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, more.Set(ck.Ulong(ck.CKA_VALUE_LEN, 32)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	kek, key := aes(wrapsAndUnwraps), aes(wrapsAndUnwraps)
	kwp := mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}
	w, err := u.WrapKey(ctx, kwp, key.Blob, kek.Blob, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := u.UnwrapKey(ctx, kwp, w, kek.Blob, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)})
	if err != nil || !bytes.Equal(back.CheckSum[:3], key.CheckSum) {
		t.Errorf("another key came back: %x, %v", back.CheckSum, err)
	}
	w[3] ^= 1
	if _, err := u.UnwrapKey(ctx, kwp, w, kek.Blob, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
		t.Errorf("altered: %v", err)
	}
	cbc := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: make(mech.IV, 16)}
	if _, err := u.WrapKey(ctx, cbc, key.Blob, kek.Blob, nil); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
		t.Errorf("wrapped through the memory: %v", err)
	}
	if _, err := u.UnwrapKey(ctx, cbc, make([]byte, 48), kek.Blob, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
		t.Errorf("unwrapped through the memory: %v", err)
	}
	sha, err := u.Init(ctx, mech.OpDigest, mech.Mechanism{Type: ck.CKM_SHA256}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.DigestKey(ctx, sha, key.Blob); !errors.Is(err, ck.CKR_KEY_INDIGESTIBLE) {
		t.Errorf("digested in memory: %v", err)
	}
	open := aes(ck.Template{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)})
	if a, err := u.Attributes(ctx, open.Blob, []ck.AttributeType{ck.CKA_VALUE}); err != nil || len(a.Bytes(ck.CKA_VALUE)) != 32 {
		t.Errorf("a value that its maker may read: %v", err)
	}
}

// TestPaddingsOfAnHSM: without the bare RSA function the HSM's own mechanisms
// are used.
func TestPaddingsOfAnHSM(t *testing.T) {
	u := strictUnit(t)
	delete(u.pool.last.Load().uses, ck.CKM_RSA_X_509)
	pub, priv, err := u.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKIXPublicKey(pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO))
	if err != nil {
		t.Fatal(err)
	}
	key, digest := parsed.(*rsa.PublicKey), sha256.Sum256(text)
	sign := func(m mech.Mechanism) []byte {
		t.Helper()
		sig, err := u.Single(ctx, mech.OpSign, m, priv.Blob, unit.Input{Data: text})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sign(mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS})); err != nil {
		t.Error(err)
	}
	pss := mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS_PSS, Param: &mech.PSS{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, SaltLen: 32}}
	if err := rsa.VerifyPSS(key, crypto.SHA256, digest[:], sign(pss), nil); err != nil {
		t.Error(err)
	}
	for _, m := range []mech.Mechanism{{Type: ck.CKM_RSA_PKCS}, {Type: ck.CKM_RSA_PKCS_OAEP, Param: &mech.OAEP{Hash: ck.CKM_SHA_1, MGF: ck.CKG_MGF1_SHA1}}} {
		c, err := u.Single(ctx, mech.OpEncrypt, m, pub.Blob, unit.Input{Data: text})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := u.Single(ctx, mech.OpDecrypt, m, priv.Blob, unit.Input{Data: c}); err != nil || !bytes.Equal(p, text) {
			t.Errorf("%v: %x, %v", m.Type, p, err)
		}
	}
	for _, row := range u.Mechanisms() {
		if row.Type == ck.CKM_RSA_X_509 {
			t.Error("the bare function is offered")
		}
	}
}
