package soft

import (
	"context"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func BenchmarkSingle(b *testing.B) {
	ctx := context.Background()
	u := newTestUnit(b)
	aes, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		b.Fatal(err)
	}
	pair := func(m ck.MechanismType, pub ...ck.Attribute) unit.Blob {
		_, k, err := u.GenerateKeyPair(ctx, mech.Mechanism{Type: m}, pub, nil)
		if err != nil {
			b.Fatal(err)
		}
		return k.Blob
	}
	curve := func(c string) unit.Blob {
		return pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, []byte(c)))
	}
	data := make([]byte, 32)
	for _, c := range []struct {
		name string
		op   mech.Op
		m    mech.Mechanism
		key  unit.Blob
		data []byte
	}{
		{"RSA-2048", mech.OpSign, mech.Mechanism{Type: ck.CKM_RSA_PKCS}, pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Ulong(ck.CKA_MODULUS_BITS, 2048)), data},
		{"P-256", mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, curve("P-256"), data},
		{"P-384", mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, curve("P-384"), data},
		{"Ed25519", mech.OpSign, mech.Mechanism{Type: ck.CKM_EDDSA}, curve("ed25519"), data},
		{"AES-CBC-4k", mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CBC, Param: make(mech.IV, 16)}, aes.Blob, make([]byte, 4096)},
		{"AES-GCM-4k", mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: make([]byte, 12), TagBits: 128}}, aes.Blob, make([]byte, 4096)},
		{"SHA-256", mech.OpDigest, mech.Mechanism{Type: ck.CKM_SHA256}, nil, data},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := u.Single(ctx, c.op, c.m, c.key, unit.Input{Data: c.data}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("GenerateKey", func(b *testing.B) {
		for b.Loop() {
			if _, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GenerateP256", func(b *testing.B) {
		for b.Loop() {
			curve("P-256")
		}
	})
	b.Run("DigestUpdate", func(b *testing.B) {
		s, err := u.Init(ctx, mech.OpDigest, mech.Mechanism{Type: ck.CKM_SHA256}, nil)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, _, err := u.Update(ctx, mech.OpDigest, s, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
