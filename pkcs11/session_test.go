package pkcs11_test

import (
	"testing"
	"time"

	"grep11/pkcs11/ck"
)

func TestSlots(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	ids, err := m.GetSlotList(ctx, false)
	if err != nil || len(ids) != 2 || ids[0] != 0 || ids[1] != 1 {
		t.Fatalf("slots %v, %v", ids, err)
	}
	info, err := m.GetTokenInfo(ctx, 0)
	if err != nil || info.Label != "dev" || info.SerialNumber == "" {
		t.Errorf("token %+v, %v", info, err)
	}
	want := ck.CKF_TOKEN_INITIALIZED | ck.CKF_USER_PIN_INITIALIZED | ck.CKF_LOGIN_REQUIRED | ck.CKF_RNG
	if info.Flags&want != want || info.Flags&ck.CKF_PROTECTED_AUTHENTICATION_PATH != 0 {
		t.Errorf("flags %#x", info.Flags)
	}
	if info, err := m.GetTokenInfo(ctx, 1); err != nil || info.Flags&ck.CKF_TOKEN_INITIALIZED != 0 {
		t.Errorf("new token %+v, %v", info, err)
	}
	_, err = m.OpenSession(ctx, 1, rw)
	wants(t, "no session with a token that is not initialised", err, ck.CKR_TOKEN_NOT_RECOGNIZED)
	_, err = m.GetSlotInfo(ctx, 7)
	wants(t, "an unknown slot", err, ck.CKR_SLOT_ID_INVALID)
	list, err := m.GetMechanismList(ctx, 0)
	if err != nil || len(list) < 40 || list[0] != ck.CKM_RSA_PKCS {
		t.Errorf("mechanisms %v, %v", list, err)
	}
	if info, err := m.GetMechanismInfo(ctx, 0, ck.CKM_ECDSA); err != nil || info.Flags&ck.CKF_SIGN == 0 {
		t.Errorf("ECDSA %+v, %v", info, err)
	}
	_, err = m.GetMechanismInfo(ctx, 0, 0x7fffffff)
	wants(t, "an unknown mechanism", err, ck.CKR_MECHANISM_INVALID)
}

func TestInitToken(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	wants(t, "a new token", m.InitToken(ctx, 1, ck.Secret("so-pin-1"), "second token                    "), nil)
	if ids, _ := m.GetSlotList(ctx, true); len(ids) != 3 {
		t.Errorf("slots %v", ids)
	}
	if info, err := m.GetTokenInfo(ctx, 1); err != nil || info.Label != "second token" || info.Flags&ck.CKF_USER_PIN_INITIALIZED != 0 {
		t.Errorf("token %+v, %v", info, err)
	}
	h, err := m.OpenSession(ctx, 1, rw)
	wants(t, "a session with it", err, nil)
	wants(t, "nobody empties a token in use", m.InitToken(ctx, 1, ck.Secret("so-pin-1"), "x"), ck.CKR_SESSION_EXISTS)
	wants(t, "its user has no PIN yet", m.Login(ctx, h, ck.CKU_USER, ck.Secret(userPIN)), ck.CKR_USER_PIN_NOT_INITIALIZED)
	wants(t, "only the SO gives one", m.InitPIN(ctx, h, ck.Secret(userPIN)), ck.CKR_USER_NOT_LOGGED_IN)
	wants(t, "the SO logs in", m.Login(ctx, h, ck.CKU_SO, ck.Secret("so-pin-1")), nil)
	wants(t, "a PIN that is too short", m.InitPIN(ctx, h, ck.Secret("123")), ck.CKR_PIN_LEN_RANGE)
	wants(t, "a PIN", m.InitPIN(ctx, h, ck.Secret("first pin")), nil)
	wants(t, "the SO leaves", m.Logout(ctx, h), nil)
	wants(t, "the user comes", m.Login(ctx, h, ck.CKU_USER, ck.Secret("first pin")), nil)
	wants(t, "a wrong old PIN", m.SetPIN(ctx, h, ck.Secret("wrong pin"), ck.Secret("next pin")), ck.CKR_PIN_INCORRECT)
	wants(t, "another PIN", m.SetPIN(ctx, h, ck.Secret("first pin"), ck.Secret("next pin")), nil)
	u := &user{t, m, h}
	u.aes(ck.Bool(ck.CKA_TOKEN, true))
	wants(t, "close", m.CloseSession(ctx, h), nil)
	wants(t, "not with a wrong SO PIN", m.InitToken(ctx, 1, ck.Secret("wrong pin"), "x"), ck.CKR_PIN_INCORRECT)
	wants(t, "emptied", m.InitToken(ctx, 1, ck.Secret("so-pin-1"), "third"), nil)
	if info, err := m.GetTokenInfo(ctx, 1); err != nil || info.Label != "third" {
		t.Errorf("token %+v, %v", info, err)
	}
}

func TestLoginRules(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	ctx := t.Context()
	a := open(t, m, ro)
	wants(t, "a wrong PIN", m.Login(ctx, a.h, ck.CKU_USER, ck.Secret("00000000")), ck.CKR_PIN_INCORRECT)
	wants(t, "an unknown user", m.Login(ctx, a.h, 9, ck.Secret(userPIN)), ck.CKR_USER_TYPE_INVALID)
	wants(t, "no SO beside read-only sessions", m.Login(ctx, a.h, ck.CKU_SO, ck.Secret(soPIN)), ck.CKR_SESSION_READ_ONLY_EXISTS)
	wants(t, "context login without an operation", m.Login(ctx, a.h, ck.CKU_CONTEXT_SPECIFIC, ck.Secret(userPIN)), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "nobody to log out", m.Logout(ctx, a.h), ck.CKR_USER_NOT_LOGGED_IN)
	wants(t, "user", m.Login(ctx, a.h, ck.CKU_USER, ck.Secret(userPIN)), nil)
	b := open(t, m, rw)
	wants(t, "once is enough", m.Login(ctx, b.h, ck.CKU_USER, ck.Secret(userPIN)), ck.CKR_USER_ALREADY_LOGGED_IN)
	wants(t, "not both", m.Login(ctx, b.h, ck.CKU_SO, ck.Secret(soPIN)), ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
	for _, c := range []struct {
		u    *user
		want ck.State
	}{{a, ck.CKS_RO_USER_FUNCTIONS}, {b, ck.CKS_RW_USER_FUNCTIONS}} {
		if info, err := m.GetSessionInfo(ctx, c.u.h); err != nil || info.State != c.want {
			t.Errorf("state %+v, %v", info, err)
		}
	}
	wants(t, "close", m.CloseSession(ctx, a.h), nil)
	wants(t, "closed", m.CloseSession(ctx, a.h), ck.CKR_SESSION_HANDLE_INVALID)
	wants(t, "logout", m.Logout(ctx, b.h), nil)
	wants(t, "SO", m.Login(ctx, b.h, ck.CKU_SO, ck.Secret(soPIN)), nil)
	_, err := m.OpenSession(ctx, 0, ro)
	wants(t, "no read-only session beside the SO", err, ck.CKR_SESSION_READ_WRITE_SO_EXISTS)
	if info, _ := m.GetSessionInfo(ctx, b.h); info.State != ck.CKS_RW_SO_FUNCTIONS {
		t.Errorf("state %+v", info)
	}
	wants(t, "close all", m.CloseAllSessions(ctx, 0), nil)
	c := open(t, m, ro)
	if info, _ := m.GetSessionInfo(ctx, c.h); info.State != ck.CKS_RO_PUBLIC_SESSION {
		t.Errorf("the login outlived the last session: %+v", info)
	}
	_, err = m.OpenSession(ctx, 0, ck.CKF_RW_SESSION)
	wants(t, "no parallel sessions", err, ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED)
}

func TestPINLocks(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	u := open(t, m, rw)
	var err error
	for range 10 {
		err = m.Login(t.Context(), u.h, ck.CKU_USER, ck.Secret("00000000"))
	}
	wants(t, "the last attempt", err, ck.CKR_PIN_INCORRECT)
	wants(t, "locked", m.Login(t.Context(), u.h, ck.CKU_USER, ck.Secret(userPIN)), ck.CKR_PIN_LOCKED)
	if info, err := m.GetTokenInfo(t.Context(), 0); err != nil || info.Flags&ck.CKF_USER_PIN_LOCKED == 0 {
		t.Errorf("flags %#x, %v", info.Flags, err)
	}
}

// The first session of a process meets a service that is about to be back.
func TestFirstSessionAwaitsTheService(t *testing.T) {
	s := newStack(t)
	s.stop()
	for _, row := range []struct {
		what string
		more string
		want error
	}{
		{"a service that comes back", "", nil},
		{"one that stays away", "[timeouts]\nunreachable = \"300ms\"", ck.CKR_TOKEN_NOT_PRESENT},
	} {
		m := s.module(row.more)
		back := make(chan struct{})
		if row.want == nil {
			time.AfterFunc(1200*time.Millisecond, func() { s.start(); close(back) })
		} else {
			s.stop()
			close(back)
		}
		_, err := m.OpenSession(t.Context(), 0, rw)
		wants(t, row.what, err, row.want)
		<-back
	}
}
