package server

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/keystore/pgtest"
	"grep11/server/soft"
	"grep11/server/unit"
)

// twoServers gives guests of two servers with one store and one master key.
// Both are nobody, of the same token.
func twoServers(t *testing.T) (a, b *guest) {
	t.Helper()
	address := pgtest.Schema(t, pgtest.Start(t), t.Name())
	master := make([]byte, unit.LenWrappingKey)
	rand.Read(master)
	serve := func() *Server {
		store, err := keystore.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		u, err := soft.New(soft.Config{Name: "unit", MasterKey: master})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Defaults(), store, []balancer.Member{{Unit: u, Kind: "soft"}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a = guestOf(t, inMemory(t, serve()))
	b = guestOf(t, inMemory(t, serve())) // its own token is not used
	b.ctx, b.token = a.ctx, a.token
	return a, b
}

// soon gives what a call answers in the end; announcements take a moment.
func soon(t *testing.T, what string, want ck.RV, call func() error) {
	t.Helper()
	start := time.Now()
	var got ck.RV
	for time.Since(start) < 3*time.Second {
		if got = ck.RV(detail(t, call()).Code); got == want {
			t.Logf("%s: %v after %v", what, got, time.Since(start))
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%s: %v, want %v", what, got, want)
}

func TestTwoServersAreOneService(t *testing.T) {
	a, b := twoServers(t)
	user := a.user()
	onB := *b // with the credential of the other server
	onB.ctx = user.ctx
	request := newID()
	made, err := user.makePair(request, ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	again, err := onB.makePair(request, ck.Template{isTrue(ck.CKA_TOKEN)}, ck.Template{isTrue(ck.CKA_TOKEN), isTrue(ck.CKA_PRIVATE)})
	wantRV(t, err, ck.CKR_OK)
	if again[1].Handle != made[1].Handle {
		t.Error("a repeat on the other server made another pair")
	}
	wantRV(t, onB.sign(made[1]), ck.CKR_OK)
	_, err = user.set(made[1], isFalse(ck.CKA_SIGN))
	wantRV(t, err, ck.CKR_OK)
	soon(t, "a right was taken", ck.CKR_KEY_FUNCTION_NOT_PERMITTED, func() error { return onB.sign(made[1]) })
	wantRV(t, user.destroy(made[1]), ck.CKR_OK)
	soon(t, "a key was destroyed", ck.CKR_KEY_HANDLE_INVALID, func() error { return onB.sign(made[1]) })
	for range 10 {
		_, err := a.tokens.OpenLogin(a.ctx, &extpb.OpenLoginRequest{Token: a.token, User: uint64(ck.CKU_USER), Pin: []byte("wrong")})
		wantRV(t, err, ck.CKR_PIN_INCORRECT)
	}
	_, err = b.tokens.OpenLogin(b.ctx, &extpb.OpenLoginRequest{Token: b.token, User: uint64(ck.CKU_USER), Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_PIN_LOCKED)
	so := b.as(ck.CKU_SO, testSOPIN)
	_, err = so.tokens.InitPin(so.ctx, &extpb.InitPinRequest{Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_OK)
	soon(t, "the SO changed the PIN", ck.CKR_USER_NOT_LOGGED_IN, func() error {
		_, err := user.create(data(), nil)
		return err
	})
	a.user()
}
