package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// TestAServiceOnAnHSM: an application's calls through our library, over our
// server, into SoftHSM2; and again after a restart.
func TestAServiceOnAnHSM(t *testing.T) {
	library, err := filepath.Abs("../../../build/out/libgrep11-pkcs11.so")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "service")
	tool := `tool() { pkcs11-tool --module ` + library + ` --token-label dev --login --pin $GREP11_PIN "$@" || exit 3; }
cd $GREP11_DIR; `
	for _, row := range []struct{ name, script, want string }{
		{"keys are made and sign", `tool --keypairgen --key-type EC:prime256v1 --label ec --id 01; tool --keypairgen --key-type rsa:2048 --label rsa --id 02
tool --keygen --key-type AES:32 --label aes --id 03; echo data >data
tool --sign -m ECDSA-SHA256 --id 01 -i data -o sig --signature-format openssl; tool --read-object --type pubkey --id 01 -o pub.der
openssl dgst -sha256 -verify pub.der -keyform DER -signature sig data`, "Verified OK"},
		{"they are there after a restart", `tool --sign -m SHA256-RSA-PKCS --id 02 -i data -o sig; tool --read-object --type pubkey --id 02 -o pub.der
openssl dgst -sha256 -verify pub.der -keyform DER -signature sig data; $SELF unit list`, "Verified OK"},
		{"the units are on the HSM", "$SELF doctor && $SELF unit list", "pkcs11"},
		{"the master key is not made twice", "$SELF unit create --module " + softHSM + " --token grep11-dev --pin-file hsm.pin && $SELF token list", "dev"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := output(t, 0, "dev", "--dir", dir, "--hsm", softHSM, "--", "sh", "-c", tool+row.script); !strings.Contains(got, row.want) {
				t.Errorf("output %q lacks %q", got, row.want)
			}
		})
	}
}

// TestUnitsThatDoNotMix: one service has one kind of unit and one master key.
func TestUnitsThatDoNotMix(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", write("softhsm2.conf", "directories.tokendir = "+filepath.Join(dir, "tokens")+"\n"))
	pin := write("pin", "1234\n")
	for _, label := range []string{"one", "two"} {
		if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", "1234").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		output(t, 0, "unit", "create", "--module", softHSM, "--token", label, "--pin-file", pin)
	}
	unit := func(name, more string) string {
		return "[[unit]]\nname = \"" + name + "\"\nkind = \"pkcs11\"\nmodule = \"" + softHSM + "\"\n" + more
	}
	const listen = "[listen]\nunix = \"socket\"\n"
	for _, row := range []struct{ name, text, want string }{
		{"emulated and real units", unit("a", "token = \"one\"\npin_file = \"pin\"\n") + "[[unit]]\nname = \"b\"\nkind = \"soft\"\nstate = \"b\"\nkey_file = \"pin\"\n", "neither kind opens"},
		{"HSMs with master keys of their own", unit("a", "token = \"one\"\npin_file = \"pin\"\n") + unit("b", "token = \"two\"\npin_file = \"pin\"\n"), "patterns"},
		{"no PIN", unit("a", "token = \"one\"\n"), "pin_file"},
		{"two PINs", unit("a", "token = \"one\"\npin_file = \"pin\"\npin_env = \"PIN\"\n"), "pin_file"},
		{"neither token nor slot", unit("a", "pin_file = \"pin\"\n"), "token and slot"},
		{"a PIN that is not set", unit("a", "token = \"one\"\npin_env = \"NO_SUCH_PIN\"\n"), "NO_SUCH_PIN"},
		{"a token that is not there", unit("a", "token = \"three\"\npin_file = \"pin\"\n"), `no token "three"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := output(t, 1, "serve", "--config", write("server.toml", listen+row.text)); !strings.Contains(got, row.want) {
				t.Errorf("output %q lacks %q", got, row.want)
			}
		})
	}
}
