package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKeysComeFromAnotherModule: what pkcs11-tool made in SoftHSM2 works here, and
// OpenSSL verifies it with the public keys from there.
func TestKeysComeFromAnotherModule(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	made, err := exec.Command("sh", "-ec", `cd `+dir+`
softhsm2-util --init-token --free --label old --so-pin 87654321 --pin 1234
tool() { pkcs11-tool --module `+softHSM+` --login --pin 1234 "$@"; }
tool --keypairgen --key-type rsa:2048 --label rsa --id 01 --extractable
tool --keypairgen --key-type EC:prime256v1 --label ec --id 02 --extractable
tool --keypairgen --key-type EC:secp384r1 --label stays --id 03
tool --keygen --key-type AES:32 --label aes --id 04 --extractable
tool --keygen --key-type GENERIC:20 --label hmac --id 05 --extractable
echo data >data
tool --write-object data --type data --label note --application-label app
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -days 10 -subj /CN=x -outform DER -out cert.der
tool --write-object cert.der --type cert --label cert --id 06
for id in 01 02; do tool --read-object --type pubkey --id $id -o pub.$id; done
head -c 32 /dev/zero >zeros; tool --encrypt -m AES-ECB --id 04 -i zeros -o there`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, made)
	}
	library, err := filepath.Abs("../../../build/out/libgrep11-pkcs11.so")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	here := []string{"key", "copy", "--config", s.vars["GREP11_PKCS11_CONFIG"], "--token", devToken, "--pin", devPIN, "--from-module"}
	copies := slices.Concat(here, []string{softHSM, "--from-token", "old", "--from-pin", "1234"})
	if out := output(t, 1, slices.Concat(copies, []string{"--dry-run"})...); strings.Count(out, wouldBe) != 9 || !strings.Contains(out, "1 of 10 objects") {
		t.Error(out)
	}
	results := func() map[string]int {
		out, found := output(t, 1, slices.Concat(copies, []string{"--json"})...), map[string]int{}
		var rows []copyRow
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&rows); err != nil {
			t.Fatal(err, out)
		}
		for _, r := range rows {
			found[strings.SplitN(r.Result, ":", 2)[0]]++
		}
		return found
	}
	if got := results(); got[isCopied] != 9 || got["stays"] != 1 {
		t.Error(got)
	}
	if got := results(); got[isThere] != 9 || got["stays"] != 1 {
		t.Error("again:", got)
	}
	namesakes, err := exec.Command("sh", "-ec", `cd `+dir+`
tool() { pkcs11-tool --module `+softHSM+` --login --pin 1234 "$@"; }
tool --keypairgen --key-type rsa:2048 --label rsa --id 01 --extractable
tool --keypairgen --key-type EC:prime256v1 --label ec --id 02 --extractable
tool --keygen --key-type AES:32 --label aes --id 04 --extractable`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, namesakes)
	}
	// An EC private key shows nothing that tells it from its namesake: it comes again.
	if got := results(); got[isCopied] != 6 || got[isThere] != 8 {
		t.Error("other keys of the same names:", got)
	}
	if got := results(); got[isThere] != 14 {
		t.Error("and again:", got)
	}
	used, err := exec.Command("sh", "-ec", `cd `+dir+`
export GREP11_PKCS11_CONFIG=`+s.vars["GREP11_PKCS11_CONFIG"]+`
tool() { pkcs11-tool --module `+library+` --token-label dev --login --pin `+devPIN+` "$@"; }
tool --sign -m SHA256-RSA-PKCS --id 01 -i data -o sig.01
tool --sign -m ECDSA-SHA256 --id 02 -i data -o sig.02 --signature-format openssl
for id in 01 02; do openssl dgst -sha256 -verify pub.$id -keyform DER -signature sig.$id data; done
tool --encrypt -m AES-ECB --id 04 -i zeros -o here; cmp here there
tool --read-object --type cert --id 06 -o cert.copy; cmp cert.copy cert.der
tool --read-object --type data --label note -o data.copy; cmp data.copy data`).CombinedOutput()
	if err != nil || strings.Count(string(used), "Verified OK") != 2 {
		t.Errorf("%v\n%s", err, used)
	}
	for _, row := range []struct {
		name, want string
		args       []string
	}{
		{"a module that is none", "no PKCS#11 module", slices.Concat(here, []string{conf})},
		{"a token that is not there", `no token "new", only "old"`, slices.Concat(here, []string{softHSM, "--from-token", "new"})},
		{"a wrong PIN there", "CKR_PIN_INCORRECT", slices.Concat(here, []string{softHSM, "--from-pin", "4321"})},
		{"a wrong PIN here", "CKR_PIN_INCORRECT", slices.Concat(copies, []string{"--pin", "4321"})},
		{"no such token here", "no such token", slices.Concat(copies, []string{"--token", "nowhere"})},
	} {
		if out := output(t, 1, row.args...); !strings.Contains(out, row.want) {
			t.Errorf("%s: %s", row.name, out)
		}
	}
}
