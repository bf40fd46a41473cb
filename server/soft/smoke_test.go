package soft

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func newTestUnit(t testing.TB) *Unit {
	t.Helper()
	master := make(ck.Secret, 32)
	rand.Read(master)
	u, err := New(Config{Name: "test", MasterKey: master})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func TestSmoke(t *testing.T) {
	u := newTestUnit(t)
	ctx := context.Background()
	if err := u.Check(ctx); err != nil {
		t.Fatal(err)
	}
	k, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		t.Fatal(err)
	}
	iv := make(mech.IV, 16)
	m := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: iv}
	ct, err := u.Single(ctx, mech.OpEncrypt, m, k.Blob, unit.Input{Data: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	pt, err := u.Single(ctx, mech.OpDecrypt, m, k.Blob, unit.Input{Data: ct})
	if err != nil || !bytes.Equal(pt, []byte("hello")) {
		t.Fatal(err, pt)
	}
	pub, priv, err := u.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 1024)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ m ck.MechanismType }{{ck.CKM_SHA256_RSA_PKCS}, {ck.CKM_RSA_PKCS}} {
		sig, err := u.Single(ctx, mech.OpSign, mech.Mechanism{Type: c.m}, priv.Blob, unit.Input{Data: []byte("hello")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Single(ctx, mech.OpVerify, mech.Mechanism{Type: c.m}, pub.Blob, unit.Input{Data: []byte("hello"), Signature: sig}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"P-192", "P-224", "P-256", "P-384", "P-521", "SECP256K1", "BP-256T", "BP-512R"} {
		pub, priv, err := u.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(name))}, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		m := mech.Mechanism{Type: ck.CKM_ECDSA}
		sig, err := u.Single(ctx, mech.OpSign, m, priv.Blob, unit.Input{Data: []byte("hello")})
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := u.Single(ctx, mech.OpVerify, m, pub.Blob, unit.Input{Data: []byte("hello"), Signature: sig}); err != nil {
			t.Fatal(name, err)
		}
	}
	t.Log(priv.Attributes)
}
