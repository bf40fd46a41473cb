package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func TestDualFunctions(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	key := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true))
	cbc, sha, mac := mechanism(ck.CKM_AES_CBC, mech.IV(make([]byte, 16))), mechanism(ck.CKM_SHA256), mechanism(ck.CKM_SHA256_HMAC)
	text := bytes.Repeat([]byte("0123456789abcdef"), 64)
	sum := sha256.Sum256(text)
	run := func(update func(context.Context, ck.SessionHandle, []byte, *pkcs11.Output) error, final func(*user, *pkcs11.Output) error, data []byte) []byte {
		var all []byte
		for len(data) > 0 {
			out, err := output(t, func(o *pkcs11.Output) error { return update(ctx, u.h, data[:128], o) })
			wants(t, "update", err, nil)
			all, data = append(all, out...), data[128:]
		}
		out, err := output(t, func(o *pkcs11.Output) error { return final(u, o) })
		wants(t, "final", err, nil)
		return append(all, out...)
	}
	digest := func() {
		t.Helper()
		got, err := output(t, func(o *pkcs11.Output) error { return u.m.DigestFinal(ctx, u.h, o) })
		if err != nil || !bytes.Equal(got, sum[:]) {
			t.Errorf("digest %x, %v", got, err)
		}
	}
	wants(t, "nothing is active", u.m.DigestEncryptUpdate(ctx, u.h, text, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "digest", u.m.DigestInit(ctx, u.h, &sha), nil)
	wants(t, "one is not enough", u.m.DigestEncryptUpdate(ctx, u.h, text, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "encryption", encryption.init(u, &cbc, key), nil)
	sealed := run(u.m.DigestEncryptUpdate, encryption.final, text)
	digest()
	wants(t, "digest", u.m.DigestInit(ctx, u.h, &sha), nil)
	wants(t, "decryption", decryption.init(u, &cbc, key), nil)
	if got := run(u.m.DecryptDigestUpdate, decryption.final, sealed); !bytes.Equal(got, text) {
		t.Error("plaintext differs")
	}
	digest()
	wants(t, "signature", u.m.SignInit(ctx, u.h, &mac, key), nil)
	wants(t, "encryption", encryption.init(u, &cbc, key), nil)
	if again := run(u.m.SignEncryptUpdate, encryption.final, text); !bytes.Equal(again, sealed) {
		t.Error("ciphertext differs")
	}
	tag, err := output(t, func(o *pkcs11.Output) error { return u.m.SignFinal(ctx, u.h, o) })
	wants(t, "tag", err, nil)
	wants(t, "verification", u.m.VerifyInit(ctx, u.h, &mac, key), nil)
	wants(t, "decryption", decryption.init(u, &cbc, key), nil)
	run(u.m.DecryptVerifyUpdate, decryption.final, sealed)
	wants(t, "verified", u.m.VerifyFinal(ctx, u.h, tag), nil)
}

func TestDigestKey(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	value := ck.Bytes(ck.CKA_VALUE, []byte("0123456789abcdef"))
	class, kind := ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)
	closed := u.create(ck.Template{class, kind, value})
	open := u.create(ck.Template{class, kind, value, ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)})
	pub, _ := u.ec()
	want := sha256.Sum256([]byte("before0123456789abcdefafter"))
	sha := mechanism(ck.CKM_SHA256)
	for name, key := range map[string]ck.ObjectHandle{"a sensitive key": closed, "a readable key": open} {
		wants(t, name, u.m.DigestInit(ctx, u.h, &sha), nil)
		wants(t, name, u.m.DigestUpdate(ctx, u.h, []byte("before")), nil)
		wants(t, name, u.m.DigestKey(ctx, u.h, key), nil)
		wants(t, name, u.m.DigestUpdate(ctx, u.h, []byte("after")), nil)
		got, err := output(t, func(o *pkcs11.Output) error { return u.m.DigestFinal(ctx, u.h, o) })
		if err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	wants(t, "init", u.m.DigestInit(ctx, u.h, &sha), nil)
	wants(t, "a public key", u.m.DigestKey(ctx, u.h, pub), ck.CKR_KEY_INDIGESTIBLE)
	wants(t, "that ended it", u.m.DigestKey(ctx, u.h, open), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "init", u.m.DigestInit(ctx, u.h, &sha), nil)
	wants(t, "no key", u.m.DigestKey(ctx, u.h, 4711), ck.CKR_KEY_HANDLE_INVALID)
}

func TestRecovery(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, key, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_RSA_PKCS_KEY_PAIR_GEN),
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048), ck.Bool(ck.CKA_VERIFY_RECOVER, true)},
		ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_SIGN_RECOVER, true)})
	wants(t, "pair", err, nil)
	text := []byte("data in its signature")
	for _, m := range []mech.Mechanism{mechanism(ck.CKM_RSA_PKCS), mechanism(ck.CKM_RSA_X_509)} {
		want := text
		if m.Type == ck.CKM_RSA_X_509 {
			want = append(make([]byte, 256-len(text)), text...)
		}
		wants(t, "init", u.m.SignRecoverInit(ctx, u.h, &m, key), nil)
		sig, err := output(t, func(o *pkcs11.Output) error { return u.m.SignRecover(ctx, u.h, text, o) })
		wants(t, "sign", err, nil)
		wants(t, "init", u.m.VerifyRecoverInit(ctx, u.h, &m, pub), nil)
		got, err := output(t, func(o *pkcs11.Output) error { return u.m.VerifyRecover(ctx, u.h, sig, o) })
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %x, %v", m, got, err)
		}
		wants(t, "init", u.m.VerifyRecoverInit(ctx, u.h, &m, pub), nil)
		wants(t, "cut", u.m.VerifyRecover(ctx, u.h, sig[1:], pkcs11.NewOutput(nil, new(uint64))), ck.CKR_SIGNATURE_LEN_RANGE)
		wants(t, "that ended it", u.m.VerifyRecover(ctx, u.h, sig, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	m := mechanism(ck.CKM_SHA256_RSA_PKCS)
	wants(t, "a hash is no message", u.m.SignRecoverInit(ctx, u.h, &m, key), ck.CKR_MECHANISM_INVALID)
	info, err := u.m.GetMechanismInfo(ctx, 0, ck.CKM_RSA_PKCS)
	if err != nil || info.Flags&ck.CKF_SIGN_RECOVER == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestVerifySignature(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, key := u.ec()
	m := mechanism(ck.CKM_ECDSA_SHA256)
	sig, err := u.sign(m, key, []byte("data"), 0)
	wants(t, "signature", err, nil)
	wants(t, "init", u.m.VerifySignatureInit(ctx, u.h, &m, pub, sig), nil)
	wants(t, "at once", u.m.VerifySignature(ctx, u.h, []byte("data")), nil)
	wants(t, "init", u.m.VerifySignatureInit(ctx, u.h, &m, pub, sig), nil)
	wants(t, "part", u.m.VerifySignatureUpdate(ctx, u.h, []byte("da")), nil)
	wants(t, "part", u.m.VerifySignatureUpdate(ctx, u.h, []byte("ta")), nil)
	wants(t, "in parts", u.m.VerifySignatureFinal(ctx, u.h), nil)
	wants(t, "init", u.m.VerifySignatureInit(ctx, u.h, &m, pub, sig), nil)
	wants(t, "other data", u.m.VerifySignature(ctx, u.h, []byte("date")), ck.CKR_SIGNATURE_INVALID)
	wants(t, "ended", u.m.VerifySignature(ctx, u.h, []byte("data")), ck.CKR_OPERATION_NOT_INITIALIZED)
}

func TestSlotEvents(t *testing.T) {
	s := newStack(t)
	m, other := s.module(""), s.module("")
	ctx := t.Context()
	_, err := m.WaitForSlotEvent(ctx, true)
	wants(t, "nothing yet", err, ck.CKR_NO_EVENT)
	wants(t, "a token", other.InitToken(ctx, 1, ck.Secret("so-pin-1"), "new"), nil)
	id, err := m.WaitForSlotEvent(ctx, true)
	if err != nil || id != 1 {
		t.Errorf("slot %d, %v", id, err)
	}
	_, err = m.WaitForSlotEvent(ctx, true)
	wants(t, "once", err, ck.CKR_NO_EVENT)
	woken := make(chan error)
	go func() {
		_, err := m.WaitForSlotEvent(ctx, false)
		woken <- err
	}()
	time.Sleep(50 * time.Millisecond)
	wants(t, "finalize", m.Finalize(ctx), nil)
	select {
	case err := <-woken:
		wants(t, "woken", err, ck.CKR_CRYPTOKI_NOT_INITIALIZED)
	case <-time.After(2 * time.Second):
		t.Error("still waiting")
	}
}
