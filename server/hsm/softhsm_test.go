package hsm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"grep11/pkcs11/ck"
)

// SoftHSM2 stands in for the HSM. It reads its configuration when the process
// initialises it: all tests share one folder, and make tokens of their own.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

const userPIN = "1234"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "softhsm")
	if err == nil {
		defer os.RemoveAll(dir)
		err = configure(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func configure(dir string) error {
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return err
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Setenv("SOFTHSM2_CONF", conf)
}

// newToken makes a token in a process of its own, as an HSM's operator would.
func newToken(t testing.TB, label string) {
	t.Helper()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", userPIN).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// testConfig is of a unit on a fresh token with a master key.
func testConfig(t testing.TB) Config {
	t.Helper()
	c := Config{Name: "test", Module: softHSM, Token: t.Name(), PIN: ck.Secret(userPIN), KeysInMemory: true}
	if len(c.Token) > 32 {
		c.Token = c.Token[:32]
	}
	newToken(t, c.Token)
	if err := Create(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func openUnit(t testing.TB, c Config) *Unit {
	t.Helper()
	u, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}
