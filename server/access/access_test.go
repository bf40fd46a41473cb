package access

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

const (
	soPIN   = "87654321"
	userPIN = "12345678"
)

var ctx = context.Background()

func secret(s string) ck.Secret { return ck.Secret(s) }

func request(token keystore.ID) keystore.Request {
	return keystore.Request{ID: keystore.NewID(), Method: "test", Token: token}
}

// newControl gives a Control with one token that has both PINs.
func newControl(t testing.TB) (*Control, keystore.ID) {
	t.Helper()
	store, err := keystore.Open(ctx, filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := New(store)
	token, err := c.InitToken(ctx, request(keystore.ID{}), "a token", secret(soPIN))
	if err != nil {
		t.Fatal(err)
	}
	_, so := login(t, c, token, ck.CKU_SO, soPIN)
	if err := c.InitPIN(ctx, so, secret(userPIN)); err != nil {
		t.Fatal(err)
	}
	return c, token
}

func login(t testing.TB, c *Control, token keystore.ID, u ck.UserType, pin string) ([]byte, Caller) {
	t.Helper()
	cred, err := c.OpenLogin(ctx, Caller{}, token, u, secret(pin))
	if err != nil {
		t.Fatal(err)
	}
	caller, err := c.Check(ctx, cred)
	if err != nil {
		t.Fatal(err)
	}
	return cred, caller
}

func want(t testing.TB, what string, err error, rv ck.RV) {
	t.Helper()
	if rv == ck.CKR_OK && err != nil || rv != ck.CKR_OK && !errors.Is(err, rv) {
		t.Errorf("%s: %v, want %v", what, err, rv)
	}
}

func TestOpenLogin(t *testing.T) {
	c, token := newControl(t)
	_, so := login(t, c, token, ck.CKU_SO, soPIN)
	_, user := login(t, c, token, ck.CKU_USER, userPIN)
	empty, err := c.InitToken(ctx, request(keystore.ID{}), "empty", secret(soPIN))
	want(t, "second token", err, ck.CKR_OK)
	for _, test := range []struct {
		name   string
		caller Caller
		token  keystore.ID
		user   ck.UserType
		pin    string
		rv     ck.RV
	}{
		{"the user's PIN fits", Caller{}, token, ck.CKU_USER, userPIN, ck.CKR_OK},
		{"the SO's PIN fits", Caller{}, token, ck.CKU_SO, soPIN, ck.CKR_OK},
		{"the SO's PIN is not the user's", Caller{}, token, ck.CKU_USER, soPIN, ck.CKR_PIN_INCORRECT},
		{"no PIN at all", Caller{}, token, ck.CKU_USER, "", ck.CKR_PIN_INCORRECT},
		{"a PIN longer than any can be", Caller{}, token, ck.CKU_USER, strings.Repeat("1", 256), ck.CKR_PIN_INCORRECT},
		{"a PIN with a byte more", Caller{}, token, ck.CKU_USER, userPIN + "9", ck.CKR_PIN_INCORRECT},
		{"an unknown token", Caller{}, keystore.NewID(), ck.CKU_USER, userPIN, ck.CKR_TOKEN_NOT_RECOGNIZED},
		{"a token without user PIN", Caller{}, empty, ck.CKU_USER, userPIN, ck.CKR_USER_PIN_NOT_INITIALIZED},
		{"an unknown user type", Caller{}, token, 77, userPIN, ck.CKR_USER_TYPE_INVALID},
		{"context login of the user", user, token, ck.CKU_CONTEXT_SPECIFIC, userPIN, ck.CKR_OK},
		{"context login with a wrong PIN", user, token, ck.CKU_CONTEXT_SPECIFIC, soPIN, ck.CKR_PIN_INCORRECT},
		{"context login of the SO", so, token, ck.CKU_CONTEXT_SPECIFIC, soPIN, ck.CKR_OK},
		{"context login without login", Caller{}, token, ck.CKU_CONTEXT_SPECIFIC, userPIN, ck.CKR_USER_NOT_LOGGED_IN},
		{"context login to another token", user, empty, ck.CKU_CONTEXT_SPECIFIC, soPIN, ck.CKR_USER_NOT_LOGGED_IN},
		{"the user's PIN again", Caller{}, token, ck.CKU_USER, userPIN, ck.CKR_OK},
	} {
		_, err := c.OpenLogin(ctx, test.caller, test.token, test.user, secret(test.pin))
		want(t, test.name, err, test.rv)
	}
}

func TestPINLocksAfterTenFailuresAndSOUnlocksIt(t *testing.T) {
	c, token := newControl(t)
	for i := range MaxFailures {
		tok, err := c.store.Token(ctx, token)
		want(t, "token", err, ck.CKR_OK)
		if low, final := Flags(tok)&ck.CKF_USER_PIN_COUNT_LOW != 0, Flags(tok)&ck.CKF_USER_PIN_FINAL_TRY != 0; low != (i > 0) || final != (i == 9) {
			t.Errorf("after %d failures: low %v, final %v", i, low, final)
		}
		_, err = c.OpenLogin(ctx, Caller{}, token, ck.CKU_USER, secret("wrong"))
		want(t, "wrong PIN", err, ck.CKR_PIN_INCORRECT)
	}
	_, err := c.OpenLogin(ctx, Caller{}, token, ck.CKU_USER, secret(userPIN))
	want(t, "right PIN on a locked token", err, ck.CKR_PIN_LOCKED)
	_, err = c.SetPIN(ctx, Caller{}, token, ck.CKU_USER, secret(userPIN), secret("another"))
	want(t, "change of a locked PIN", err, ck.CKR_PIN_LOCKED)
	tok, _ := c.store.Token(ctx, token)
	if Flags(tok)&ck.CKF_USER_PIN_LOCKED == 0 {
		t.Error("CKF_USER_PIN_LOCKED is not set")
	}
	_, so := login(t, c, token, ck.CKU_SO, soPIN)
	want(t, "SO sets the PIN", c.InitPIN(ctx, so, secret("new user PIN")), ck.CKR_OK)
	login(t, c, token, ck.CKU_USER, "new user PIN")
}

func TestSuccessForgetsFailures(t *testing.T) {
	c, token := newControl(t)
	for range 3 {
		for range MaxFailures - 1 {
			_, err := c.OpenLogin(ctx, Caller{}, token, ck.CKU_SO, secret("wrong"))
			want(t, "wrong PIN", err, ck.CKR_PIN_INCORRECT)
		}
		login(t, c, token, ck.CKU_SO, soPIN)
	}
}

func TestManyRightLoginsAtOnceLockNothing(t *testing.T) {
	c, token := newControl(t)
	var wg sync.WaitGroup
	for range 3 * MaxFailures {
		wg.Go(func() {
			_, err := c.OpenLogin(ctx, Caller{}, token, ck.CKU_USER, secret(userPIN))
			want(t, "login", err, ck.CKR_OK)
		})
	}
	wg.Wait()
	if len(c.queues) != 0 {
		t.Error("queues are left over")
	}
}

func TestWrongPINsAtOnceAreAllCounted(t *testing.T) {
	c, token := newControl(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[ck.RV]int{}
	for range 2 * MaxFailures {
		wg.Go(func() {
			_, err := c.OpenLogin(ctx, Caller{}, token, ck.CKU_USER, secret("wrong"))
			mu.Lock()
			defer mu.Unlock()
			seen[ck.RVOf(err)]++
		})
	}
	wg.Wait()
	if seen[ck.CKR_PIN_INCORRECT] != MaxFailures || seen[ck.CKR_PIN_LOCKED] != MaxFailures {
		t.Error(seen)
	}
}

func TestWhatEndsALogin(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *Control, cred []byte, user Caller) error
		ends bool
	}{
		{"closing it", func(c *Control, cred []byte, _ Caller) error { return c.CloseLogin(ctx, cred) }, true},
		{"closing it twice", func(c *Control, cred []byte, _ Caller) error {
			return errors.Join(c.CloseLogin(ctx, cred), c.CloseLogin(ctx, cred))
		}, true},
		{"changing the user's PIN", func(c *Control, _ []byte, user Caller) error {
			_, err := c.SetPIN(ctx, Caller{}, user.Token, ck.CKU_USER, secret(userPIN), secret("other PIN"))
			return err
		}, true},
		{"changing the SO's PIN does not", func(c *Control, _ []byte, user Caller) error {
			_, err := c.SetPIN(ctx, Caller{}, user.Token, ck.CKU_SO, secret(soPIN), secret("other PIN"))
			return err
		}, false},
		{"the SO setting the user's PIN", func(c *Control, _ []byte, user Caller) error {
			return c.InitPIN(ctx, Caller{Token: user.Token, User: ck.CKU_SO, LoggedIn: true}, secret(userPIN))
		}, true},
		{"emptying the token", func(c *Control, _ []byte, user Caller) error {
			_, err := c.InitToken(ctx, request(user.Token), "again", secret(soPIN))
			return err
		}, true},
		{"deleting the token", func(c *Control, _ []byte, user Caller) error {
			return c.store.DeleteToken(ctx, request(user.Token))
		}, true},
		{"another login ending does not", func(c *Control, _ []byte, user Caller) error {
			cred, err := c.OpenLogin(ctx, Caller{}, user.Token, ck.CKU_USER, secret(userPIN))
			return errors.Join(err, c.CloseLogin(ctx, cred))
		}, false},
	} {
		c, token := newControl(t)
		cred, user := login(t, c, token, ck.CKU_USER, userPIN)
		want(t, test.name, test.end(c, cred, user), ck.CKR_OK)
		rv := ck.CKR_OK
		if test.ends {
			rv = ck.CKR_USER_NOT_LOGGED_IN
		}
		_, err := c.Check(ctx, cred)
		want(t, test.name+", then using the credential", err, rv)
		if wire.IsTransient(err) {
			t.Errorf("%s: a void credential is called renewable", test.name)
		}
		_, err = c.Renew(ctx, cred)
		want(t, test.name+", then renewing the credential", err, rv)
	}
}

func TestSetPINKeepsTheCallersLogin(t *testing.T) {
	c, token := newControl(t)
	old, user := login(t, c, token, ck.CKU_USER, userPIN)
	cred, err := c.SetPIN(ctx, user, token, ck.CKU_USER, secret(userPIN), secret("a new PIN"))
	want(t, "SetPIN", err, ck.CKR_OK)
	caller, err := c.Check(ctx, cred)
	want(t, "new credential", err, ck.CKR_OK)
	if !caller.UserOf(token) {
		t.Error("new credential is not the user's")
	}
	_, err = c.Check(ctx, old)
	want(t, "old credential", err, ck.CKR_USER_NOT_LOGGED_IN)
	_, err = c.OpenLogin(ctx, Caller{}, token, ck.CKU_USER, secret(userPIN))
	want(t, "old PIN", err, ck.CKR_PIN_INCORRECT)
}

func TestSetAndInitRefuse(t *testing.T) {
	c, token := newControl(t)
	_, user := login(t, c, token, ck.CKU_USER, userPIN)
	_, so := login(t, c, token, ck.CKU_SO, soPIN)
	for _, test := range []struct {
		name string
		call func() error
		rv   ck.RV
	}{
		{"InitPIN by the user", func() error { return c.InitPIN(ctx, user, secret("12345")) }, ck.CKR_USER_NOT_LOGGED_IN},
		{"InitPIN by nobody", func() error { return c.InitPIN(ctx, Caller{}, secret("12345")) }, ck.CKR_USER_NOT_LOGGED_IN},
		{"InitPIN with 3 bytes", func() error { return c.InitPIN(ctx, so, secret("123")) }, ck.CKR_PIN_LEN_RANGE},
		{"InitPIN with 256 bytes", func() error { return c.InitPIN(ctx, so, secret(strings.Repeat("x", 256))) }, ck.CKR_PIN_LEN_RANGE},
		{"SetPIN to 3 bytes", func() error {
			_, err := c.SetPIN(ctx, user, token, ck.CKU_USER, secret(userPIN), secret("123"))
			return err
		}, ck.CKR_PIN_LEN_RANGE},
		{"SetPIN with a wrong old PIN", func() error {
			_, err := c.SetPIN(ctx, user, token, ck.CKU_USER, secret("wrong"), secret("12345"))
			return err
		}, ck.CKR_PIN_INCORRECT},
		{"SetPIN of nobody", func() error {
			_, err := c.SetPIN(ctx, user, token, 9, secret("wrong"), secret("12345"))
			return err
		}, ck.CKR_USER_TYPE_INVALID},
		{"InitToken with a short PIN", func() error {
			_, err := c.InitToken(ctx, request(keystore.ID{}), "x", secret("123"))
			return err
		}, ck.CKR_PIN_LEN_RANGE},
		{"InitToken with a long label", func() error {
			_, err := c.InitToken(ctx, request(keystore.ID{}), strings.Repeat("x", 33), secret(soPIN))
			return err
		}, ck.CKR_ARGUMENTS_BAD},
		{"InitToken of an existing token with a wrong PIN", func() error {
			_, err := c.InitToken(ctx, request(token), "x", secret("wrong"))
			return err
		}, ck.CKR_PIN_INCORRECT},
		{"InitToken of an unknown token", func() error {
			_, err := c.InitToken(ctx, request(keystore.NewID()), "x", secret(soPIN))
			return err
		}, ck.CKR_TOKEN_NOT_RECOGNIZED},
	} {
		want(t, test.name, test.call(), test.rv)
	}
	if _, err := c.Check(ctx, nil); err != nil {
		t.Error("no credential:", err)
	}
}

func TestInitTokenIsDoneOncePerRequest(t *testing.T) {
	c, _ := newControl(t)
	r := request(keystore.ID{})
	first, err := c.InitToken(ctx, r, "new", secret(soPIN))
	want(t, "first", err, ck.CKR_OK)
	second, err := c.InitToken(ctx, r, "new", secret(soPIN))
	want(t, "second", err, ck.CKR_OK)
	if first != second {
		t.Error("a repeat made another token")
	}
}

func TestExpiredCredentialIsRenewable(t *testing.T) {
	c, token := newControl(t)
	_, user := login(t, c, token, ck.CKU_USER, userPIN)
	old := c.issueUntil(user.Login, time.Now().Add(-time.Hour))
	_, err := c.Check(ctx, old)
	want(t, "old credential", err, ck.CKR_USER_NOT_LOGGED_IN)
	if !wire.IsTransient(err) {
		t.Error("an old credential is not called renewable")
	}
	cred, err := c.Renew(ctx, old)
	want(t, "renewal", err, ck.CKR_OK)
	_, err = c.Check(ctx, cred)
	want(t, "renewed credential", err, ck.CKR_OK)
}

func FuzzCredential(f *testing.F) {
	c, token := newControl(f)
	cred, _ := login(f, c, token, ck.CKU_USER, userPIN)
	f.Add([]byte(nil))
	f.Add(cred)
	f.Add(cred[:len(cred)-1])
	f.Add(append(cred[:len(cred):len(cred)], 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		caller, err := c.Check(ctx, b)
		if len(b) == 0 || string(b) == string(cred) {
			want(t, "good credential", err, ck.CKR_OK)
			return
		}
		want(t, "forged credential", err, ck.CKR_USER_NOT_LOGGED_IN)
		if caller.LoggedIn {
			t.Error("forged credential is a login")
		}
	})
}

func TestDamagedHashesAreErrors(t *testing.T) {
	c, _ := newControl(t)
	good, err := c.hash(ctx, secret(userPIN))
	want(t, "hash", err, ck.CKR_OK)
	for _, h := range []string{"", "$argon2id$", strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "t=2", "t=0", 1),
		strings.Replace(good, "m=19456", "m=99999999", 1), good[:len(good)-4], strings.Replace(good, "argon2id", "argon2i", 1)} {
		_, err := c.verify(ctx, h, secret(userPIN))
		want(t, h, err, ck.CKR_DEVICE_ERROR)
	}
}

func BenchmarkLogin(b *testing.B) {
	c, token := newControl(b)
	for range b.N {
		login(b, c, token, ck.CKU_USER, userPIN)
	}
}

func BenchmarkCheck(b *testing.B) {
	c, token := newControl(b)
	cred, _ := login(b, c, token, ck.CKU_USER, userPIN)
	for range b.N {
		if _, err := c.Check(ctx, cred); err != nil {
			b.Fatal(err)
		}
	}
}
