package pkcs11_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func TestOperationState(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	u := login(t, m)
	v := open(t, m, rw)
	ctx := t.Context()
	pub, sign := u.ec()
	key := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_SIGN, true))
	save := func() []byte {
		t.Helper()
		state, err := output(t, func(o *pkcs11.Output) error { return m.GetOperationState(ctx, u.h, o) })
		wants(t, "save", err, nil)
		return state
	}
	wants(t, "nothing to save", m.GetOperationState(ctx, u.h, pkcs11.NewOutput(nil, new(uint64))), ck.CKR_OPERATION_NOT_INITIALIZED)

	sha := mechanism(ck.CKM_SHA256)
	wants(t, "digest", m.DigestInit(ctx, u.h, &sha), nil)
	wants(t, "part", m.DigestUpdate(ctx, u.h, []byte("one ")), nil)
	state := save()
	wants(t, "a key nobody needs", m.SetOperationState(ctx, v.h, state, 0, key), ck.CKR_KEY_NOT_NEEDED)
	for _, w := range []*user{u, v} { // the original goes on, and so does the copy
		if w == v {
			wants(t, "restore", m.SetOperationState(ctx, v.h, state, 0, 0), nil)
		}
		wants(t, "part", m.DigestUpdate(ctx, w.h, []byte("two")), nil)
		got, err := output(t, func(o *pkcs11.Output) error { return m.DigestFinal(ctx, w.h, o) })
		if want := sha256.Sum256([]byte("one two")); err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("%x, %v", got, err)
		}
	}

	ecdsa, mac, cbc := mechanism(ck.CKM_ECDSA_SHA256), mechanism(ck.CKM_SHA256_HMAC), mechanism(ck.CKM_AES_CBC, mech.IV(make([]byte, 16)))
	wants(t, "sign", m.SignInit(ctx, u.h, &ecdsa, sign), nil)
	wants(t, "part", m.SignUpdate(ctx, u.h, []byte("one ")), nil)
	wants(t, "encrypt", encryption.init(u, &cbc, key), nil)
	text := bytes.Repeat([]byte("0123456789abcdef"), 3)
	first, err := output(t, func(o *pkcs11.Output) error { return encryption.update(u, text[:20], o) })
	wants(t, "part", err, nil)
	state = save()
	wants(t, "another key", m.SetOperationState(ctx, v.h, state, 0, key), ck.CKR_KEY_CHANGED)
	wants(t, "restore two", m.SetOperationState(ctx, v.h, state, key, sign), nil)
	wants(t, "part", m.SignUpdate(ctx, v.h, []byte("two")), nil)
	sig, err := output(t, func(o *pkcs11.Output) error { return m.SignFinal(ctx, v.h, o) })
	wants(t, "final", err, nil)
	wants(t, "verified", u.verify(ecdsa, pub, []byte("one two"), sig, 0), nil)
	rest, err := output(t, func(o *pkcs11.Output) error { return encryption.update(v, text[20:], o) })
	wants(t, "part", err, nil)
	wants(t, "cancel", m.SessionCancel(ctx, u.h, ck.CKF_ENCRYPT|ck.CKF_SIGN), nil)
	whole, err := encryption.run(u, cbc, key, text, 0)
	if err != nil || !bytes.Equal(append(first, rest...), whole) {
		t.Errorf("%x %x, want %x, %v", first, rest, whole, err)
	}

	wants(t, "MAC", m.SignInit(ctx, u.h, &mac, key), nil)
	wants(t, "much", m.SignUpdate(ctx, u.h, make([]byte, 100000)), nil)
	state = save()
	wants(t, "restore", m.SetOperationState(ctx, v.h, state, 0, 0), nil)
	a, err := output(t, func(o *pkcs11.Output) error { return m.SignFinal(ctx, u.h, o) })
	wants(t, "final", err, nil)
	b, err := output(t, func(o *pkcs11.Output) error { return m.SignFinal(ctx, v.h, o) })
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("MACs %x and %x, %v", a, b, err)
	}

	for name, bad := range map[string][]byte{"garbage": make([]byte, 100), "altered": append(bytes.Clone(state[:len(state)-1]), state[len(state)-1]^1)} {
		wants(t, name, m.SetOperationState(ctx, v.h, bad, 0, 0), ck.CKR_SAVED_STATE_INVALID)
	}
	wants(t, "no state", m.SetOperationState(ctx, v.h, nil, 0, 0), ck.CKR_ARGUMENTS_BAD)
	reader := open(t, m, ro)
	wants(t, "another session state", m.SetOperationState(ctx, reader.h, state, 0, 0), ck.CKR_SAVED_STATE_INVALID)
	wants(t, "another module", s.module("").SetOperationState(ctx, reader.h, state, 0, 0), ck.CKR_SESSION_HANDLE_INVALID)
}
