package pkcs11_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// family is the four functions of encryption, or of decryption.
type family struct {
	init   func(*user, *mech.Mechanism, ck.ObjectHandle) error
	whole  func(*user, []byte, *pkcs11.Output) error
	update func(*user, []byte, *pkcs11.Output) error
	final  func(*user, *pkcs11.Output) error
}

var (
	encryption = family{
		func(u *user, m *mech.Mechanism, k ck.ObjectHandle) error {
			return u.m.EncryptInit(u.t.Context(), u.h, m, k)
		},
		func(u *user, d []byte, o *pkcs11.Output) error { return u.m.Encrypt(u.t.Context(), u.h, d, o) },
		func(u *user, d []byte, o *pkcs11.Output) error { return u.m.EncryptUpdate(u.t.Context(), u.h, d, o) },
		func(u *user, o *pkcs11.Output) error { return u.m.EncryptFinal(u.t.Context(), u.h, o) },
	}
	decryption = family{
		func(u *user, m *mech.Mechanism, k ck.ObjectHandle) error {
			return u.m.DecryptInit(u.t.Context(), u.h, m, k)
		},
		func(u *user, d []byte, o *pkcs11.Output) error { return u.m.Decrypt(u.t.Context(), u.h, d, o) },
		func(u *user, d []byte, o *pkcs11.Output) error { return u.m.DecryptUpdate(u.t.Context(), u.h, d, o) },
		func(u *user, o *pkcs11.Output) error { return u.m.DecryptFinal(u.t.Context(), u.h, o) },
	}
)

// run does a whole operation, at once or in parts of so many bytes.
func (f family) run(u *user, m mech.Mechanism, k ck.ObjectHandle, data []byte, parts int) ([]byte, error) {
	if err := f.init(u, &m, k); err != nil {
		return nil, err
	}
	if parts == 0 {
		return output(u.t, func(o *pkcs11.Output) error { return f.whole(u, data, o) })
	}
	var all []byte
	for len(data) > 0 {
		n := min(parts, len(data))
		out, err := output(u.t, func(o *pkcs11.Output) error { return f.update(u, data[:n], o) })
		if err != nil {
			return nil, err
		}
		all, data = append(all, out...), data[n:]
	}
	out, err := output(u.t, func(o *pkcs11.Output) error { return f.final(u, o) })
	return append(all, out...), err
}

func TestCiphers(t *testing.T) {
	u := start(t)
	both := []ck.Attribute{ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true)}
	key := u.aes(both...)
	des, err := u.m.GenerateKey(t.Context(), u.h, mechanism(ck.CKM_DES3_KEY_GEN), both)
	wants(t, "DES3 key", err, nil)
	rsaPub, rsaKey, err := u.m.GenerateKeyPair(t.Context(), u.h, mechanism(ck.CKM_RSA_PKCS_KEY_PAIR_GEN),
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048), both[0]}, ck.Template{both[1]})
	wants(t, "RSA pair", err, nil)
	iv, iv8 := mech.IV("0123456789abcdef"), mech.IV("01234567")
	gcm := &mech.GCM{IV: []byte("0123456789ab"), AAD: []byte("more"), TagBits: 128}
	ctr := &mech.CTR{Bits: 128}
	oaep := &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}
	text := bytes.Repeat([]byte("sixteen bytes..."), 100)
	for _, c := range []struct {
		m        mech.Mechanism
		enc, dec ck.ObjectHandle
		data     []byte
		length   int
	}{
		{mechanism(ck.CKM_AES_ECB), key, key, text, 1600},
		{mechanism(ck.CKM_AES_CBC, iv), key, key, text, 1600},
		{mechanism(ck.CKM_AES_CBC_PAD, iv), key, key, text, 1616},
		{mechanism(ck.CKM_AES_CBC_PAD, iv), key, key, text[:77], 80},
		{mechanism(ck.CKM_AES_CBC_PAD, iv), key, key, nil, 16},
		{mechanism(ck.CKM_AES_CTR, ctr), key, key, text[:77], 77},
		{mechanism(ck.CKM_AES_GCM, gcm), key, key, text, 1616},
		{mechanism(ck.CKM_AES_GCM, gcm), key, key, nil, 16},
		{mechanism(ck.CKM_AES_KEY_WRAP), key, key, text[:32], 40},
		{mechanism(ck.CKM_AES_KEY_WRAP_KWP), key, key, text[:33], 48},
		{mechanism(ck.CKM_DES3_ECB), des, des, text, 1600},
		{mechanism(ck.CKM_DES3_CBC, iv8), des, des, text, 1600},
		{mechanism(ck.CKM_DES3_CBC_PAD, iv8), des, des, text, 1608},
		{mechanism(ck.CKM_RSA_PKCS), rsaPub, rsaKey, text[:40], 256},
		{mechanism(ck.CKM_RSA_PKCS_OAEP, oaep), rsaPub, rsaKey, text[:40], 256},
	} {
		for _, parts := range []int{0, 16, 37, 5000} {
			name := fmt.Sprintf("%v, %d bytes in parts of %d", c.m, len(c.data), parts)
			out, err := encryption.run(u, c.m, c.enc, c.data, parts)
			if err != nil || len(out) != c.length {
				t.Errorf("%s: %d bytes, %v", name, len(out), err)
				continue
			}
			back, err := decryption.run(u, c.m, c.dec, out, parts)
			if err != nil || !bytes.Equal(back, c.data) {
				t.Errorf("%s: comes back as %d bytes, %v", name, len(back), err)
			}
		}
	}
}

func TestCiphersAgainstGo(t *testing.T) {
	u := start(t)
	value := []byte("an AES key of 32 bytes, or so...")
	key := u.create(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES),
		ck.Bytes(ck.CKA_VALUE, value), ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true)})
	block, err := aes.NewCipher(value)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("data"), 33)
	m := mechanism(ck.CKM_AES_GCM, &mech.GCM{IV: make([]byte, 12), AAD: []byte("aad"), TagBits: 128})
	want := gcm.Seal(nil, make([]byte, 12), text, []byte("aad"))
	for _, parts := range []int{0, 10} {
		got, err := encryption.run(u, m, key, text, parts)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("GCM in parts of %d: %x, %v", parts, got, err)
		}
		want[len(want)-1] ^= 1
		_, err = decryption.run(u, m, key, want, parts)
		wants(t, "a wrong tag", err, ck.CKR_ENCRYPTED_DATA_INVALID)
		want[len(want)-1] ^= 1
	}
	got, err := encryption.run(u, mechanism(ck.CKM_AES_CTR, &mech.CTR{Bits: 128, Block: [16]byte{15: 9}}), key, text, 10)
	ctr := make([]byte, len(text))
	cipher.NewCTR(block, []byte{15: 9}).XORKeyStream(ctr, text)
	if err != nil || !bytes.Equal(got, ctr) {
		t.Errorf("CTR: %x, %v", got, err)
	}
}

func TestCipherRules(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	key := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true))
	only := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, false))
	cbc := mechanism(ck.CKM_AES_CBC, mech.IV(make([]byte, 16)))
	pad := mechanism(ck.CKM_AES_CBC_PAD, mech.IV(make([]byte, 16)))
	_, err := encryption.run(u, cbc, key, []byte("short"), 0)
	wants(t, "half a block", err, ck.CKR_DATA_LEN_RANGE)
	_, err = encryption.run(u, cbc, key, []byte("short"), 2)
	wants(t, "half a block in parts", err, ck.CKR_DATA_LEN_RANGE)
	_, err = decryption.run(u, cbc, key, []byte("short"), 0)
	wants(t, "half a block decrypted", err, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	_, err = decryption.run(u, cbc, only, nil, 0)
	wants(t, "a key that may not decrypt", err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	wants(t, "nothing is active", encryption.final(u, new(pkcs11.Output)), ck.CKR_OPERATION_NOT_INITIALIZED)

	// Room for the plaintext but not for its padding is enough.
	sealed, err := encryption.run(u, pad, key, []byte("11 bytes..."), 0)
	wants(t, "encrypted", err, nil)
	wants(t, "init", decryption.init(u, &pad, key), nil)
	n := uint64(10)
	wants(t, "10 are too few", decryption.whole(u, sealed, pkcs11.NewOutput(make([]byte, 10), &n)), ck.CKR_BUFFER_TOO_SMALL)
	if n != 11 {
		t.Errorf("length %d", n)
	}
	buf := make([]byte, 11)
	wants(t, "11 will do", decryption.whole(u, sealed, pkcs11.NewOutput(buf, &n)), nil)
	if string(buf) != "11 bytes..." || n != 11 {
		t.Errorf("%q, %d", buf, n)
	}
	wants(t, "that ended it", decryption.whole(u, sealed, pkcs11.NewOutput(buf, &n)), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "cancel", u.m.SessionCancel(ctx, u.h, ck.CKF_ENCRYPT), nil)
}

func TestDigests(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	m := mechanism(ck.CKM_SHA256)
	text := bytes.Repeat([]byte("x"), 1000)
	want := sha256.Sum256(text)
	wants(t, "init", u.m.DigestInit(ctx, u.h, &m), nil)
	got, err := output(t, func(o *pkcs11.Output) error { return u.m.Digest(ctx, u.h, text, o) })
	if err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("%x, %v", got, err)
	}
	wants(t, "init", u.m.DigestInit(ctx, u.h, &m), nil)
	wants(t, "again", u.m.DigestInit(ctx, u.h, &m), ck.CKR_OPERATION_ACTIVE)
	for i := 0; i < 1000; i += 100 {
		wants(t, "update", u.m.DigestUpdate(ctx, u.h, text[i:i+100]), nil)
	}
	got, err = output(t, func(o *pkcs11.Output) error { return u.m.DigestFinal(ctx, u.h, o) })
	if err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("%x, %v", got, err)
	}
	wants(t, "ended", u.m.DigestUpdate(ctx, u.h, nil), ck.CKR_OPERATION_NOT_INITIALIZED)
	aes := mechanism(ck.CKM_AES_ECB)
	wants(t, "no digest", u.m.DigestInit(ctx, u.h, &aes), ck.CKR_MECHANISM_INVALID)
}

func TestRandom(t *testing.T) {
	u := start(t)
	a, b := make([]byte, 100000), make([]byte, 100000)
	wants(t, "random", u.m.GenerateRandom(t.Context(), u.h, a), nil)
	wants(t, "random", u.m.GenerateRandom(t.Context(), u.h, b), nil)
	if bytes.Equal(a, b) || bytes.Count(a, []byte{0}) > 1000 {
		t.Error("not random")
	}
	wants(t, "nothing", u.m.GenerateRandom(t.Context(), u.h, nil), nil)
	wants(t, "seed", u.m.SeedRandom(t.Context(), u.h, a), ck.CKR_RANDOM_SEED_NOT_SUPPORTED)
}
