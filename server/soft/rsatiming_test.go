package soft

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// badPaddings alter a good PKCS #1 v1.5 block of a message of 32 bytes.
var badPaddings = []struct {
	name  string
	alter func(em []byte)
}{
	{"good", func([]byte) {}},
	{"first-byte", func(em []byte) { em[0] = 1 }},
	{"second-byte", func(em []byte) { em[1] = 1 }},
	{"no-zero", func(em []byte) { copy(em[len(em)-33:], bytes.Repeat([]byte{7}, 33)) }},
	{"short-filler", func(em []byte) { em[5] = 0 }},
	{"no-message", func(em []byte) { copy(em[2:], bytes.Repeat([]byte{7}, len(em)-3)); em[len(em)-1] = 0 }},
}

// BenchmarkBadPadding decrypts RSA blocks whose padding is good and not, in
// turn, and gives the tenth of the times that are shortest for each: they must be
// alike, or time would tell an attacker what the error does not.
func BenchmarkBadPadding(b *testing.B) {
	u := newTestUnit(b)
	_, priv, err := u.GenerateKeyPair(b.Context(), mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048)},
		ck.Template{ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_UNWRAP, true)})
	if err != nil {
		b.Fatal(err)
	}
	k, err := u.openKey(priv.Blob)
	if err != nil {
		b.Fatal(err)
	}
	defer k.release()
	r, err := open(k, openRSA)
	if err != nil {
		b.Fatal(err)
	}
	good, err := padPKCS1Encrypt(bytes.Repeat([]byte{1}, 32), r.size)
	if err != nil {
		b.Fatal(err)
	}
	blocks := map[string][]byte{}
	for _, c := range badPaddings {
		em := bytes.Clone(good)
		c.alter(em)
		if blocks[c.name], err = r.public(em); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("PKCS1", inTurn(blocks, func(ct []byte) {
		_, _ = u.Single(b.Context(), mech.OpDecrypt, mech.Mechanism{Type: ck.CKM_RSA_PKCS}, priv.Blob, unit.Input{Data: ct})
	}))
	aes := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32)}
	b.Run("unwrap", inTurn(blocks, func(ct []byte) {
		_, _ = u.UnwrapKey(b.Context(), mech.Mechanism{Type: ck.CKM_RSA_PKCS}, ct, priv.Blob, nil, aes)
	}))
	oaep, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &rsa.PublicKey{N: r.n, E: int(r.e.Int64())}, make([]byte, 32), nil)
	if err != nil {
		b.Fatal(err)
	}
	m := mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}}
	b.Run("OAEP", inTurn(map[string][]byte{"good": oaep, "no-padding": blocks["good"], "first-byte": blocks["first-byte"]}, func(ct []byte) {
		_, _ = u.Single(b.Context(), mech.OpDecrypt, m, priv.Blob, unit.Input{Data: ct})
	}))
}

// inTurn runs all blocks each time, so that a busy machine slows all alike.
func inTurn(blocks map[string][]byte, do func([]byte)) func(*testing.B) {
	return func(b *testing.B) {
		times := map[string][]time.Duration{}
		for b.Loop() {
			for name, ct := range blocks {
				start := time.Now()
				do(ct)
				times[name] = append(times[name], time.Since(start))
			}
		}
		for name, t := range times {
			slices.Sort(t)
			b.ReportMetric(float64(t[len(t)/10].Nanoseconds()), name+"-ns")
		}
	}
}
