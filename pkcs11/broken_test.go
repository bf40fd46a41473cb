package pkcs11_test

import (
	"context"
	"sync/atomic"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// broken is a crypto unit whose results have the wrong length.
type broken struct {
	unit.Unit
	by *atomic.Int64 // so many bytes more, or less
}

func (b broken) changed(out []byte) []byte {
	by := int(b.by.Load())
	if by < 0 {
		return out[:max(0, len(out)+by)]
	}
	return append(out, make([]byte, by)...)
}

func (b broken) Single(ctx context.Context, op mech.Op, m mech.Mechanism, key unit.Blob, in unit.Input) ([]byte, error) {
	out, err := b.Unit.Single(ctx, op, m, key, in)
	return b.changed(out), err
}

func (b broken) Update(ctx context.Context, op mech.Op, s unit.State, data []byte) ([]byte, unit.State, error) {
	out, next, err := b.Unit.Update(ctx, op, s, data)
	return b.changed(out), next, err
}

func (b broken) Finish(ctx context.Context, op mech.Op, s unit.State, in unit.Input, whole bool) ([]byte, error) {
	out, err := b.Unit.Finish(ctx, op, s, in, whole)
	return b.changed(out), err
}

// TestResultsOfTheWrongLengthAreRefused: an empty signature was CKR_OK, and a long
// one CKR_BUFFER_TOO_SMALL or a panic.
func TestResultsOfTheWrongLengthAreRefused(t *testing.T) {
	var changed atomic.Int64
	s := newStackOf(t, func(u unit.Unit) unit.Unit { return broken{u, &changed} })
	u := login(t, s.module(""))
	_, priv := u.ec()
	key := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true))
	ctx, cbc := t.Context(), mechanism(ck.CKM_AES_CBC_PAD, mech.IV(make([]byte, 16)))
	wants(t, "C_EncryptInit", u.m.EncryptInit(ctx, u.h, &cbc, key), nil)
	sealed, err := output(t, func(o *pkcs11.Output) error { return u.m.Encrypt(ctx, u.h, make([]byte, 32), o) })
	wants(t, "C_Encrypt", err, nil)
	ecdsa := mechanism(ck.CKM_ECDSA_SHA256)
	for _, row := range []struct {
		what  string
		begin func() error
		end   func(*pkcs11.Output) error
	}{
		{"C_Sign", func() error { return u.m.SignInit(ctx, u.h, &ecdsa, priv) },
			func(o *pkcs11.Output) error { return u.m.Sign(ctx, u.h, make([]byte, 32), o) }},
		{"C_SignMessage", func() error { return u.m.MessageSignInit(ctx, u.h, &ecdsa, priv) },
			func(o *pkcs11.Output) error { return u.m.SignMessage(ctx, u.h, make([]byte, 32), o) }},
		{"C_Encrypt", func() error { return u.m.EncryptInit(ctx, u.h, &cbc, key) },
			func(o *pkcs11.Output) error { return u.m.Encrypt(ctx, u.h, make([]byte, 32), o) }},
		{"C_Decrypt", func() error { return u.m.DecryptInit(ctx, u.h, &cbc, key) },
			func(o *pkcs11.Output) error { return u.m.Decrypt(ctx, u.h, sealed, o) }},
		{"C_EncryptUpdate", func() error { return u.m.EncryptInit(ctx, u.h, &cbc, key) },
			func(o *pkcs11.Output) error { return u.m.EncryptUpdate(ctx, u.h, make([]byte, 4096), o) }},
	} {
		for _, by := range []int{100, 100_000, -1, -100_000} {
			if by < 0 && (row.what == "C_EncryptUpdate" || row.what == "C_Decrypt") {
				continue // a shorter one may be right
			}
			changed.Store(int64(by))
			wants(t, row.what, row.begin(), nil)
			n := uint64(8192)
			wants(t, row.what, row.end(pkcs11.NewOutput(make([]byte, n), &n)), ck.CKR_DEVICE_ERROR)
			if row.what != "C_SignMessage" {
				wants(t, row.what+" again", row.end(pkcs11.NewOutput(make([]byte, n), &n)), ck.CKR_OPERATION_NOT_INITIALIZED)
			} else {
				wants(t, "C_MessageSignFinal", u.m.MessageSignFinal(ctx, u.h), nil)
			}
		}
	}
}
