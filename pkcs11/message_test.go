package pkcs11_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func TestMessageEncryption(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	value := bytes.Repeat([]byte("k"), 32)
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
	m := mechanism(ck.CKM_AES_GCM)
	param := func() *pkcs11.GCMMessage {
		return &pkcs11.GCMMessage{IV: []byte("0123456789ab"), Tag: make([]byte, 16), TagBits: 128}
	}
	text, aad := bytes.Repeat([]byte("message "), 50), []byte("more")
	wants(t, "no process", u.m.EncryptMessage(ctx, u.h, param(), aad, text, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "init", u.m.MessageEncryptInit(ctx, u.h, &m, key), nil)
	wants(t, "again", u.m.MessageEncryptInit(ctx, u.h, &m, key), ck.CKR_OPERATION_ACTIVE)
	wants(t, "decryption, too", u.m.MessageDecryptInit(ctx, u.h, &m, key), nil)
	seen := map[string]bool{}
	for _, generator := range []uint64{ck.CKG_NO_GENERATE, ck.CKG_GENERATE, ck.CKG_GENERATE_RANDOM, ck.CKG_GENERATE_COUNTER, ck.CKG_GENERATE_COUNTER, ck.CKG_GENERATE_COUNTER_XOR} {
		p := param()
		p.Generator, p.FixedBits = generator, 32
		sealed, err := output(t, func(o *pkcs11.Output) error { return u.m.EncryptMessage(ctx, u.h, p, aad, text, o) })
		if err != nil || seen[string(p.IV)] || string(p.IV[:4]) != "0123" {
			t.Errorf("generator %d: IV %x, %v", generator, p.IV, err)
			continue
		}
		seen[string(p.IV)] = true
		if got, err := gcm.Open(nil, p.IV, append(bytes.Clone(sealed), p.Tag...), aad); err != nil || !bytes.Equal(got, text) {
			t.Errorf("generator %d: Go says %v", generator, err)
		}
		back, err := output(t, func(o *pkcs11.Output) error { return u.m.DecryptMessage(ctx, u.h, p, aad, sealed, o) })
		if err != nil || !bytes.Equal(back, text) {
			t.Errorf("generator %d: back %v", generator, err)
		}
		p.Tag[0] ^= 1
		n := uint64(1000)
		wants(t, "a wrong tag", u.m.DecryptMessage(ctx, u.h, p, aad, sealed, pkcs11.NewOutput(make([]byte, n), &n)), ck.CKR_AEAD_DECRYPT_FAILED)
	}

	p := param()
	var sealed []byte
	wants(t, "begin", u.m.EncryptMessageBegin(ctx, u.h, p, aad), nil)
	wants(t, "a message is under way", u.m.EncryptMessage(ctx, u.h, p, aad, text, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_ACTIVE)
	for i := 0; i < 400; i += 100 {
		out, err := output(t, func(o *pkcs11.Output) error { return u.m.EncryptMessageNext(ctx, u.h, p, text[i:i+100], i == 300, o) })
		wants(t, fmt.Sprint("part ", i), err, nil)
		sealed = append(sealed, out...)
	}
	if want := gcm.Seal(nil, p.IV, text, aad); !bytes.Equal(want, append(bytes.Clone(sealed), p.Tag...)) {
		t.Error("parts differ from Go's")
	}
	wants(t, "begin", u.m.DecryptMessageBegin(ctx, u.h, p, aad), nil)
	n := uint64(0)
	wants(t, "no plaintext early", u.m.DecryptMessageNext(ctx, u.h, p, sealed[:300], false, pkcs11.NewOutput([]byte{}, &n)), nil)
	back, err := output(t, func(o *pkcs11.Output) error { return u.m.DecryptMessageNext(ctx, u.h, p, sealed[300:], true, o) })
	if err != nil || !bytes.Equal(back, text) {
		t.Errorf("parts come back changed, %v", err)
	}
	wants(t, "no message", u.m.DecryptMessageNext(ctx, u.h, p, nil, true, pkcs11.NewOutput([]byte{}, &n)), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "bad parameter", u.m.EncryptMessage(ctx, u.h, &pkcs11.GCMMessage{TagBits: 128}, aad, nil, pkcs11.NewOutput([]byte{}, &n)), ck.CKR_MECHANISM_PARAM_INVALID)
	wants(t, "final", u.m.MessageEncryptFinal(ctx, u.h), nil)
	wants(t, "final", u.m.MessageDecryptFinal(ctx, u.h), nil)
	wants(t, "ended", u.m.MessageDecryptFinal(ctx, u.h), ck.CKR_OPERATION_NOT_INITIALIZED)
	cbc := mechanism(ck.CKM_AES_CBC)
	wants(t, "CBC has no messages", u.m.MessageEncryptInit(ctx, u.h, &cbc, key), ck.CKR_MECHANISM_INVALID)
}

func TestMessageSignatures(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, key := u.ec()
	mac := u.aes(ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true))
	for _, c := range []struct {
		m         mech.Mechanism
		pub, priv ck.ObjectHandle
	}{{mechanism(ck.CKM_ECDSA_SHA256), pub, key}, {mechanism(ck.CKM_SHA256_HMAC), mac, mac}} {
		wants(t, "sign", u.m.MessageSignInit(ctx, u.h, &c.m, c.priv), nil)
		wants(t, "verify", u.m.MessageVerifyInit(ctx, u.h, &c.m, c.pub), nil)
		for _, text := range []string{"one", "two", ""} {
			sig, err := output(t, func(o *pkcs11.Output) error { return u.m.SignMessage(ctx, u.h, []byte(text), o) })
			wants(t, text, err, nil)
			wants(t, text, u.m.VerifyMessage(ctx, u.h, []byte(text), sig), nil)
			wants(t, text, u.m.VerifyMessage(ctx, u.h, []byte("three"), sig), ck.CKR_SIGNATURE_INVALID)
		}
		wants(t, "begin", u.m.SignMessageBegin(ctx, u.h), nil)
		wants(t, "part", u.m.SignMessageNext(ctx, u.h, []byte("on"), nil), nil)
		sig, err := output(t, func(o *pkcs11.Output) error { return u.m.SignMessageNext(ctx, u.h, []byte("e"), o) })
		wants(t, "last part", err, nil)
		wants(t, "begin", u.m.VerifyMessageBegin(ctx, u.h), nil)
		wants(t, "part", u.m.VerifyMessageNext(ctx, u.h, []byte("o"), nil, false), nil)
		wants(t, "last part", u.m.VerifyMessageNext(ctx, u.h, []byte("ne"), sig, true), nil)
		wants(t, "final", u.m.MessageSignFinal(ctx, u.h), nil)
		wants(t, "final", u.m.MessageVerifyFinal(ctx, u.h), nil)
	}
}
