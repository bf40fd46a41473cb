package pkcs11_test

import (
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// A call whose arguments cannot be read tells of the session first, and ends
// the operation it was meant for, no other.
func TestRefusedCalls(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	m := mechanism(ck.CKM_SHA256)
	hmac := mechanism(ck.CKM_SHA256_HMAC)
	key := u.aes(ck.Bool(ck.CKA_SIGN, true))
	begin := func() {
		wants(t, "digest", u.m.DigestInit(ctx, u.h, &m), nil)
		wants(t, "sign", u.m.SignInit(ctx, u.h, &hmac, key), nil)
	}
	begin()
	wants(t, "no session", u.m.Refuse(999, "C_Digest", ck.CKR_ARGUMENTS_BAD), ck.CKR_SESSION_HANDLE_INVALID)
	wants(t, "still there", u.m.DigestUpdate(ctx, u.h, nil), nil)
	wants(t, "a call that is no part of an operation", u.m.Refuse(u.h, "C_GetAttributeValue", ck.CKR_ARGUMENTS_BAD), ck.CKR_ARGUMENTS_BAD)
	wants(t, "still there", u.m.DigestUpdate(ctx, u.h, nil), nil)
	wants(t, "a part of it", u.m.Refuse(u.h, "C_DigestUpdate", ck.CKR_ARGUMENTS_BAD), ck.CKR_ARGUMENTS_BAD)
	wants(t, "over", u.m.DigestUpdate(ctx, u.h, nil), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "the other is not", u.m.SignUpdate(ctx, u.h, nil), nil)
}

// What was begun with all data at once, by asking for its length, does not go
// on in parts, and the reverse.
func TestWholeOrInParts(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	m := mechanism(ck.CKM_SHA256)
	query := func() *pkcs11.Output { return pkcs11.NewOutput(nil, new(uint64)) }
	for name, next := range map[string]func() error{
		"an update": func() error { return u.m.DigestUpdate(ctx, u.h, nil) },
		"the end":   func() error { return u.m.DigestFinal(ctx, u.h, query()) },
	} {
		wants(t, "digest", u.m.DigestInit(ctx, u.h, &m), nil)
		wants(t, "its length", u.m.Digest(ctx, u.h, []byte("x"), query()), nil)
		wants(t, name, next(), ck.CKR_OPERATION_ACTIVE)
		wants(t, "over", u.m.DigestUpdate(ctx, u.h, nil), ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	wants(t, "digest", u.m.DigestInit(ctx, u.h, &m), nil)
	wants(t, "its length", u.m.Digest(ctx, u.h, []byte("x"), query()), nil)
	if d, err := output(t, func(o *pkcs11.Output) error { return u.m.Digest(ctx, u.h, []byte("x"), o) }); err != nil || len(d) != 32 {
		t.Errorf("%x, %v", d, err)
	}
}
