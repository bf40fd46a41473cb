package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASecretThatEverybodyMayReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := Config{TLS: TLS{Key: file("server.key", 0o640)}, Units: []UnitConfig{
		{Name: "one", KeyFile: file("unit.key", 0o644)}, {Name: "two", KeyFile: filepath.Join(dir, "unit.key")},
		{Name: "three", PassphraseFile: file("three.pass", 0o600)}, {Name: "four", KeyFile: filepath.Join(dir, "not there")},
	}}
	var out lockedBuffer
	warnOfReaders(c, slog.New(slog.NewTextHandler(&out, nil)))
	got := out.take()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, `unit \"one\" key_file`) || !strings.Contains(got, "unit.key") {
		t.Errorf("not one line about unit.key:\n%s", got)
	}
}
