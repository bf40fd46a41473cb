package hsm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var (
	ctx   = context.Background()
	text  = []byte("what is signed")
	ecdsa = mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}
)

func newKey(t testing.TB, u *Unit) (pub, priv unit.Blob) {
	t.Helper()
	a, b, err := u.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte("P-256"))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.Blob, b.Blob
}

// signs makes a signature on one unit and verifies it on another.
func signs(u, other *Unit, pub, priv unit.Blob) error {
	sig, err := u.Single(ctx, mech.OpSign, ecdsa, priv, unit.Input{Data: text})
	if err != nil {
		return err
	}
	_, err = other.Single(ctx, mech.OpVerify, ecdsa, pub, unit.Input{Data: text, Signature: sig})
	return err
}

func TestSessionsThatTheHSMClosed(t *testing.T) {
	u := openUnit(t, testConfig(t))
	pub, priv := newKey(t, u)
	for range 3 {
		if err := signs(u, u, pub, priv); err != nil {
			t.Fatal(err)
		}
		c := u.pool.last.Load()
		if err := c.CloseAllSessions(c.slot); err != nil { // logs out, too
			t.Fatal(err)
		}
	}
	if err := u.Check(ctx); err != nil {
		t.Error(err)
	}
}

// A module that is finalised with calls inside it may do anything; SoftHSM2 crashes.
func TestClosingWithCallsInside(t *testing.T) {
	c := testConfig(t)
	for range 10 {
		u, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv := newKey(t, u)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for signs(u, u, pub, priv) == nil {
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		if err := u.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}

func TestKeysOutliveARestart(t *testing.T) {
	c := testConfig(t)
	first, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := newKey(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	u := openUnit(t, c)
	if err := signs(u, u, pub, priv); err != nil {
		t.Error(err)
	}
}

// removable builds the module whose token can be taken out, and gives what sets
// its state.
func removable(t *testing.T, c *Config) func(state string) {
	t.Helper()
	dir := t.TempDir()
	c.Module = filepath.Join(dir, "removable.so")
	out, err := exec.Command("cc", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
		"-shared", "-fPIC", "-I", "../../c", "-o", c.Module, "testdata/removable.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(dir, "state")
	t.Setenv("REMOVABLE", file)
	set := func(state string) {
		if err := os.WriteFile(file+".new", []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	set("in")
	return set
}

func TestTokenTakenOutAndPutBack(t *testing.T) {
	c := testConfig(t)
	set := removable(t, &c)
	u := openUnit(t, c)
	pub, priv := newKey(t, u)
	for range 2 {
		if err := signs(u, u, pub, priv); err != nil {
			t.Fatal(err)
		}
		set("out")
		for range 3 {
			if err := signs(u, u, pub, priv); !unit.Faulty(err) {
				t.Fatalf("without the token: %v", err)
			}
		}
		if err := u.Check(ctx); !unit.Faulty(err) {
			t.Fatalf("check without the token: %v", err)
		}
		set("in")
		if err := u.Check(ctx); err != nil {
			t.Fatalf("check with the token put back: %v", err)
		}
	}
}

func TestAnHSMThatHangsHoldsUpNobody(t *testing.T) {
	c := testConfig(t)
	set := removable(t, &c)
	c.Sessions = 4
	u := openUnit(t, c)
	pub, priv := newKey(t, u)
	patience := u.pool.config.Timeout
	u.pool.config.Timeout = 300 * time.Millisecond
	set("hang")
	for range 6 { // more than there are sessions
		start := time.Now()
		if err := signs(u, u, pub, priv); !unit.Faulty(err) {
			t.Fatalf("while it hangs: %v", err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Fatalf("an answer after %v", d)
		}
	}
	u.pool.config.Timeout = patience
	set("in")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := signs(u, u, pub, priv)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestAWrongPINIsNotTriedAgain(t *testing.T) {
	c := testConfig(t)
	wrong := c
	wrong.PIN = ck.Secret("4321")
	u, err := Open(wrong)
	if !errors.Is(err, ck.CKR_PIN_INCORRECT) || strings.Contains(err.Error(), "4321") {
		t.Fatal(err)
	}
	defer u.Close()
	u.pool.config.PIN = c.PIN // a second try would succeed
	if err := u.Check(ctx); !errors.Is(err, ck.CKR_PIN_INCORRECT) {
		t.Errorf("the HSM was asked again: %v", err)
	}
	if _, err := u.WrappingKey(); !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) {
		t.Error(err)
	}
	openUnit(t, c)
}

func TestUnitsThatCannotBeOpened(t *testing.T) {
	good := testConfig(t)
	for _, row := range []struct {
		name   string
		change func(c *Config)
		want   error
		text   string
	}{
		{"there is no such module", func(c *Config) { c.Module = "/nonexistent.so" }, ck.CKR_ARGUMENTS_BAD, "/nonexistent.so"},
		{"the module is no PKCS#11 module", func(c *Config) { c.Module = "/lib/x86_64-linux-gnu/libc.so.6" }, nil, "libc"},
		{"there is no such token", func(c *Config) { c.Token = "nobody" }, ck.CKR_TOKEN_NOT_PRESENT, good.Token},
		{"there is no token in the slot", func(c *Config) { c.Token, c.Slot = "", 77 }, ck.CKR_TOKEN_NOT_PRESENT, "slot 77"},
		{"there is no such master key", func(c *Config) { c.MasterKey = "other" }, ck.CKR_IBM_WK_NOT_INITIALIZED, "unit create"},
	} {
		c := good
		row.change(&c)
		u, err := Open(c)
		if err == nil || row.want != nil && !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v", row.name, err)
		}
		if err := u.Close(); err != nil {
			t.Errorf("%s: close: %v", row.name, err)
		}
	}
}

// putMaster puts a master key of known values into a token.
func putMaster(t *testing.T, c Config, aes, mac byte, extractable bool) {
	t.Helper()
	p := newPool(c.withDefaults())
	defer p.close()
	p.mu.Lock()
	conn, err := p.login()
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for typ, k := range map[ck.KeyType]struct {
		fill   byte
		rights ck.Template
	}{ck.CKK_AES: {aes, rights(true, ck.CKA_WRAP, ck.CKA_UNWRAP)}, ck.CKK_GENERIC_SECRET: {mac, rights(true, ck.CKA_SIGN, ck.CKA_VERIFY)}} {
		value := make([]byte, 32)
		value[0] = k.fill
		object := append(attributes(k.rights.With(ck.Template{
			ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, typ), ck.Bool(ck.CKA_TOKEN, true),
			ck.Bool(ck.CKA_PRIVATE, true), ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, extractable), ck.Bytes(ck.CKA_VALUE, value)})),
			labelled(DefaultMasterKey))
		if _, err := conn.CreateObject(conn.control, object); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.CloseSession(conn.control)
}

func TestHSMsWithOneMasterKeyShareBlobs(t *testing.T) {
	tokens := map[string]Config{}
	for _, k := range []struct {
		label       string
		aes, mac    byte
		extractable bool
	}{{"first", 1, 2, false}, {"second", 1, 2, false}, {"other AES key", 9, 2, false}, {"other MAC key", 1, 9, false}, {"weak", 1, 2, true}} {
		c := Config{Name: k.label, Module: softHSM, Token: k.label, PIN: ck.Secret(userPIN)}
		newToken(t, k.label)
		putMaster(t, c, k.aes, k.mac, k.extractable)
		tokens[k.label] = c
	}
	a, b := openUnit(t, tokens["first"]), openUnit(t, tokens["second"])
	pub, priv := newKey(t, a)
	if err := signs(b, a, pub, priv); err != nil {
		t.Errorf("the same keys in another HSM: %v", err)
	}
	for _, label := range []string{"other AES key", "other MAC key"} {
		u := openUnit(t, tokens[label])
		if err := signs(u, u, pub, priv); !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
			t.Errorf("%s: %v", label, err)
		}
	}
	u, err := Open(tokens["weak"])
	if !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) || !strings.Contains(err.Error(), "extractable") {
		t.Errorf("a master key that can leave: %v", err)
	}
	_ = u.Close()
}
