package server

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grep11/server/soft"
	"grep11/server/unit"
)

const goodConfig = `
[listen]
tls = ["127.0.0.1:9876"]
request_timeout = "5s"

[tls]
cert = "server.pem"
key = "/etc/grep11/server.key"

[[unit]]
name = "one"
kind = "test"
state = "units/one"
`

func loadText(t *testing.T, text string) (Config, error) {
	t.Helper()
	unitKinds["test"] = func(UnitConfig, *slog.Logger) (unit.Unit, error) { return nil, nil }
	t.Cleanup(func() { delete(unitKinds, "test") })
	path := filepath.Join(t.TempDir(), "server.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(path)
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c, err := loadText(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.TLS.Cert) || filepath.Base(c.TLS.Cert) != "server.pem" || !filepath.IsAbs(c.Units[0].State) {
		t.Errorf("paths %q, %q", c.TLS.Cert, c.Units[0].State)
	}
	if c.TLS.Key != "/etc/grep11/server.key" {
		t.Errorf("absolute path became %q", c.TLS.Key)
	}
	if c.Listen.RequestTimeout.Duration != 5*time.Second || c.TLS.ClientAuth != "require" || c.Audit.Level != "info" {
		t.Errorf("values and defaults: %+v", c)
	}
}

func TestWrongConfigurationsAreNamed(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"an unknown key", goodConfig + "colour = 1\n", []string{"line 14", "unit.colour"}},
		{"an unknown section", goodConfig + "[party]\nx = 1\n", []string{"line 14", "party"}},
		{"an unknown key in a section", strings.Replace(goodConfig, "request_timeout", "request_timeuot", 1), []string{"line 4", "listen.request_timeuot"}},
		{"no TOML", "[listen\n", []string{"line 2"}},
		{"a value of the wrong type", strings.Replace(goodConfig, `"5s"`, "5", 1), []string{"line 4", "request_timeout"}},
		{"a duration that is none", strings.Replace(goodConfig, `"5s"`, `"5 s"`, 1), []string{"request_timeout"}},
		{"a negative duration", strings.Replace(goodConfig, `"5s"`, `"-5s"`, 1), []string{"request_timeout"}},
		{"no listener", strings.Replace(goodConfig, `tls = ["127.0.0.1:9876"]`, "", 1), []string{"listen.tls"}},
		{"TLS without a certificate", strings.Replace(goodConfig, `cert = "server.pem"`, "", 1), []string{"tls.cert"}},
		{"plaintext for the whole network", strings.Replace(goodConfig, "[tls]", "plaintext = [\"0.0.0.0:1\"]\n[tls]", 1), []string{"listen.plaintext", "loopback"}},
		{"client_auth that is neither", strings.Replace(goodConfig, "[tls]", "[tls]\nclient_auth = \"maybe\"", 1), []string{"tls.client_auth", "line 7"}},
		{"a bearer token instead of its hash", goodConfig + "[auth]\nbearer_sha256 = [\"secret\"]\n", []string{"auth.bearer_sha256"}},
		{"bearer required but none known", goodConfig + "[auth]\nrequire_bearer = true\n", []string{"auth.require_bearer"}},
		{"an unknown kind of unit", strings.Replace(goodConfig, `"test"`, `"magic"`, 1), []string{`unit "one"`, "kind", "magic"}},
		{"a unit without name", strings.Replace(goodConfig, `name = "one"`, "", 1), []string{"unit 1", "name"}},
		{"two units of one name", goodConfig + "[[unit]]\nname = \"one\"\nkind = \"test\"\n", []string{"twice"}},
		{"no unit", goodConfig[:strings.Index(goodConfig, "[[unit]]")], []string{"[[unit]]"}},
		{"a PostgreSQL address that is none", goodConfig + "[keystore]\npostgres = \"db.example.com\"\n", []string{"keystore.postgres", "line 15"}},
		{"a level that is none", goodConfig + "[audit]\nlevel = \"loud\"\n", []string{"audit.level", "line 15"}},
		{"a level beyond all", goodConfig + "[audit]\nlevel = \"info+99\"\n", []string{"audit.level", "line 15"}},
		{"a duration that is no time at all", strings.Replace(goodConfig, `"5s"`, `"1ns"`, 1), []string{"request_timeout", "line 4"}},
		{"a port out of range", strings.Replace(goodConfig, "9876", "70000", 1), []string{"listen.tls", "line 3", "70000", "port"}},
		{"an address without port", strings.Replace(goodConfig, ":9876", "", 1), []string{"listen.tls", "line 3", "HOST:PORT"}},
		{"an address that is empty", strings.Replace(goodConfig, "127.0.0.1:9876", "", 1), []string{"listen.tls", "line 3", "HOST:PORT"}},
		{"an address of metrics without port", goodConfig + "[metrics]\nlisten = \"127.0.0.1\"\n", []string{"metrics.listen", "line 15", "HOST:PORT"}},
		{"a socket's path as clients write it", strings.Replace(goodConfig, "[tls]", "unix = \"unix:/run/s\"\n[tls]", 1), []string{"listen.unix", "line 6", "path alone"}},
		{"one address in place of a list", strings.Replace(goodConfig, `["127.0.0.1:9876"]`, `"127.0.0.1:9876"`, 1), []string{"line 3", "listen.tls", "is a text, not a list"}},
		{"a unit in place of a list", strings.Replace(goodConfig, "[[unit]]", "[unit]", 1), []string{"line 10", "unit", "is a table, not a list"}},
		{"no connections", strings.Replace(goodConfig, "[tls]", "connections = 0\n[tls]", 1), []string{"listen.connections", "line 6", "less than 1"}},
		{"no streams", strings.Replace(goodConfig, "[tls]", "streams = 0\n[tls]", 1), []string{"listen.streams", "line 6", "less than 1"}},
		{"negative memory", strings.Replace(goodConfig, "[tls]", "memory = -1\n[tls]", 1), []string{"listen.memory", "line 6", "negative"}},
		{"memory for no request", strings.Replace(goodConfig, "[tls]", "memory = 1000\n[tls]", 1), []string{"listen.memory", "line 6", "one request"}},
		{"no tokens", goodConfig + "[keystore]\ntokens = 0\n", []string{"keystore.tokens", "line 15"}},
		{"no key store", goodConfig + "[keystore]\npath = \"\"\n", []string{"keystore.path", "line 15"}},
		{"certificates demanded of nobody", strings.Replace(goodConfig, "[tls]", "[tls]\nclient_auth = \"require\"", 1), []string{"tls.client_auth", "line 7", "tls.client_ca"}},
		{"a second unit without kind", goodConfig + "[[unit]]\nname = \"two\"\n", []string{`unit "two"`, "line 14", "kind"}},
		{"a second unit of another kind", goodConfig + "[[unit]]\nname = \"two\"\nkind = \"soft\"\nstate = \"x\"\nkey_file = \"y\"\n", []string{`unit "two"`, "line 16", "kind"}},
		{"a unit in nobody's hands", strings.Replace(goodConfig, `"test"`, `"soft"`, 1), []string{`unit "one"`, "line 10", "key_file", "passphrase_file"}},
		{"a unit without folder", strings.Replace(goodConfig, "kind = \"test\"\nstate = \"units/one\"", "kind = \"soft\"\nkey_file = \"y\"", 1), []string{`unit "one"`, "line 10", "state", "grep11 unit create"}},
		{"a unit for less than nothing", goodConfig + "concurrency = -1\n", []string{`unit "one"`, "line 14", "concurrency"}},
		{"a negative slot", strings.Replace(goodConfig, `"test"`, "\"pkcs11\"\nmodule = \"/m.so\"\nslot = -1\npin_env = \"P\"", 1), []string{`unit "one"`, "line 14", "slot", "negative"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := loadText(t, row.text)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range append(row.want, "server.toml") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not name %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q shows a secret", err)
			}
		})
	}
}

func FuzzLoadConfig(f *testing.F) {
	f.Add(goodConfig)
	f.Add("[[unit]]\n[unit.x]\ny=1")
	f.Add("\"]\" = 1\n[a.\"b c\"]\nd=1")
	f.Fuzz(func(t *testing.T, text string) { _, _ = loadText(t, text) })
}

// TestWhatCannotBeOpenedIsNamed: keys whose files and addresses show to be wrong at
// the start.
func TestWhatCannotBeOpenedIsNamed(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	a.issue(t, "server", "server", a)
	good := fmt.Sprintf(`[listen]
tls = ["127.0.0.1:0"]
[tls]
cert = %q
key = %q
[keystore]
path = %q
[[unit]]
name = "one"
kind = "soft"
state = %q
key_file = "unit.key"
`, a.path("server.pem"), a.path("server.key"), filepath.Join(dir, "keystore.db"), newUnitFolder(t, dir))
	for _, row := range []struct {
		name, old, new string
		want           []string
	}{
		{"a certificate that is not there", "server.pem", "other.pem", []string{"line 4", "tls.cert", "other.pem"}},
		{"a CA that is not there", "[keystore]", "client_ca = \"other.pem\"\n[keystore]", []string{"line 6", "tls.client_ca", "other.pem"}},
		{"a folder for a database", "keystore.db", "", []string{"line 7", "keystore.path"}},
		{"a unit that is not there", "units/one", "units/two", []string{"line 9", `unit "one"`}},
		{"a path too long for a socket", "[tls]", "unix = \"/tmp/" + strings.Repeat("x", 107) + "\"\n[tls]", []string{"line 3", "listen.unix", "107"}},
		{"a socket in no folder", "[tls]", "unix = \"/nowhere/x\"\n[tls]", []string{"line 3", "listen.unix"}},
		{"an address of another machine", "127.0.0.1:0", "192.0.2.1:1", []string{"line 2", "listen.tls"}},
		{"an address of metrics of another machine", "[keystore]", "[metrics]\nlisten = \"192.0.2.1:1\"\n[keystore]", []string{"line 7", "metrics.listen"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(dir, "server.toml")
			if err := os.WriteFile(path, []byte(strings.Replace(good, row.old, row.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := LoadConfig(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
			if err == nil {
				_ = s.Close()
				t.Fatal("no error")
			}
			for _, w := range append(row.want, "server.toml") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not name %q", err, w)
				}
			}
		})
	}
}

// newUnitFolder makes an emulated unit in dir/units/one, under dir/unit.key.
func newUnitFolder(t *testing.T, dir string) string {
	t.Helper()
	state := filepath.Join(dir, "units", "one")
	key := make([]byte, 32)
	if err := os.WriteFile(filepath.Join(dir, "unit.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := soft.Create(state, soft.Secret{Key: key}, make([]byte, unit.LenWrappingKey)); err != nil {
		t.Fatal(err)
	}
	return state
}
