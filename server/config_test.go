package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		{"a level that is none", goodConfig + "[audit]\nlevel = \"loud\"\n", []string{"audit.level"}},
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
