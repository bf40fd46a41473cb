package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/soft"
	"grep11/server/unit"
)

// stateFolders makes units that share a master key, and a key file that is not theirs.
func stateFolders(t *testing.T, names ...string) []UnitConfig {
	t.Helper()
	dir := t.TempDir()
	key := make([]byte, 32)
	rand.Read(key)
	for file, b := range map[string][]byte{"key": key, "wrong": make([]byte, 32), "short": key[:8]} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	master := make(ck.Secret, unit.LenWrappingKey)
	rand.Read(master)
	var out []UnitConfig
	for _, name := range names {
		c := UnitConfig{Name: name, Kind: "soft", State: filepath.Join(dir, name), KeyFile: filepath.Join(dir, "key")}
		secret, err := c.Secret()
		if err != nil {
			t.Fatal(err)
		}
		if err := soft.Create(c.State, secret, master); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestAUnitThatStaysDownSaysWhy: not that it wants a master key, which would be made in vain.
func TestAUnitThatStaysDownSaysWhy(t *testing.T) {
	configs := stateFolders(t, "one", "two")
	if err := os.Truncate(filepath.Join(configs[1].State, "state"), 0); err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	members, err := openUnits(configs, log)
	if err != nil {
		t.Fatal(err)
	}
	b, err := balancer.New(members, balancer.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if s := b.Units(); !s[0].Healthy || s[1].Healthy || !strings.Contains(s[1].Detail, "restore it") {
		t.Errorf("%+v", s)
	}
	if said := out.take(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "restore it") {
		t.Errorf("not one line with the cause:\n%s", said)
	}
}

func TestAUnitThatCannotBeOpenedStaysDown(t *testing.T) {
	wrong := func(c *UnitConfig) { c.KeyFile = filepath.Join(filepath.Dir(c.KeyFile), "wrong") }
	for _, row := range []struct {
		name   string
		change func(c []UnitConfig)
		up     int
	}{
		{"all are good", func([]UnitConfig) {}, 2},
		{"one has the wrong secret", func(c []UnitConfig) { wrong(&c[1]) }, 1},
		{"one has a secret that is too short", func(c []UnitConfig) { c[0].KeyFile = filepath.Join(filepath.Dir(c[0].KeyFile), "short") }, 1},
		{"one has no secret", func(c []UnitConfig) { c[0].KeyFile = "" }, 1},
		{"one has no state", func(c []UnitConfig) { c[0].State += "x" }, 1},
		{"none can be opened", func(c []UnitConfig) { wrong(&c[0]); wrong(&c[1]) }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			configs := stateFolders(t, "one", "two")
			row.change(configs)
			members, err := openUnits(configs, slog.New(slog.DiscardHandler))
			if (err != nil) != (row.up == 0) {
				t.Fatal(err)
			}
			if err != nil && (!strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"two"`)) {
				t.Errorf("error %q does not name both units", err)
			}
			up := 0
			for _, m := range members {
				if _, err := m.WrappingKey(); err == nil {
					up++
				} else if !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) {
					t.Error(err)
				}
			}
			if up != row.up {
				t.Errorf("%d units are up, want %d", up, row.up)
			}
			if err := closeUnits(members); err != nil {
				t.Error(err)
			}
		})
	}
}
