package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Everything but the units is lost; after the restore each key signs as before.
func TestALostKeyStoreIsRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "service")
	s := start(t, "--dir", dir)
	f, err := grep11client.LoadConfig(s.vars["GREP11_PKCS11_CONFIG"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := grep11client.New(f.Slots[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	token, key := storedKey(t, c)
	file := filepath.Join(t.TempDir(), "backup")
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--server-config", filepath.Join(dir, "server.toml"), "--passphrase-file", pass, file}
	output(t, 0, append([]string{"key", "export"}, flags...)...) // while it serves
	output(t, 1, append([]string{"key", "export"}, flags...)...) // the file is there
	if got := output(t, 1, append([]string{"key", "import"}, flags...)...); !strings.Contains(got, "in use by another server") {
		t.Error(got)
	}
	s.stop(t)
	lost, err := filepath.Glob(filepath.Join(dir, "keystore.db*"))
	if err != nil || len(lost) == 0 {
		t.Fatal(lost, err)
	}
	for _, path := range lost {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := output(t, 0, append([]string{"key", "import"}, flags...)...); !strings.Contains(got, "1 tokens, 2 objects and 0 retained keys are new") {
		t.Error(got)
	}
	start(t, "--dir", dir)
	if err := token.Login(t.Context(), ck.CKU_USER, ck.Secret(s.vars["GREP11_PIN"])); err != nil {
		t.Fatal(err)
	}
	if _, err := token.Single(t.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, key, []byte("data"), nil, false); err != nil {
		t.Error(err)
	}
}

func TestExportAndImportRefuse(t *testing.T) {
	dir := t.TempDir()
	s := start(t, "--dir", filepath.Join(dir, "service"))
	config := filepath.Join(s.vars["GREP11_DIR"], "server.toml")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("another file, longer than the head of an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"no passphrase", []string{"key", "export", "--server-config", config, other + "1"}, "passphrase"},
		{"a short passphrase", []string{"key", "export", "--server-config", config, "--passphrase", "short", other + "2"}, "at least 8"},
		{"no configuration", []string{"key", "export", "--server-config", other + "3", other + "4"}, "other3"},
		{"a file that is no archive", []string{"key", "import", "--server-config", config, "--passphrase", "passphrase", other}, "no archive"},
		{"a file that is not there", []string{"key", "import", "--server-config", config, "--passphrase", "passphrase", other + "5"}, "no such file"},
		{"a folder that is not there", []string{"key", "export", "--server-config", config, "--passphrase", "passphrase", filepath.Join(dir, "nothing", "x")}, "no such file"},
	} {
		if got := output(t, 1, row.args...); !strings.Contains(got, row.want) {
			t.Errorf("%s: %q does not name %q", row.name, got, row.want)
		}
	}
	if left, _ := filepath.Glob(other + "*"); len(left) != 1 {
		t.Error("left over:", left)
	}
}
