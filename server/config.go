package server

import (
	_ "embed" // example.toml
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Config is server.toml. Paths are relative to the file's folder.
type Config struct {
	Listen   Listen       `toml:"listen"`
	TLS      TLS          `toml:"tls"`
	Auth     Auth         `toml:"auth"`
	Keystore Keystore     `toml:"keystore"`
	Audit    Audit        `toml:"audit"`
	Metrics  Metrics      `toml:"metrics"`
	Units    []UnitConfig `toml:"unit"`

	path, text string // of the file, for errors
}

// Listen says where the service answers, and its limits.
type Listen struct {
	TLS       []string `toml:"tls"`       // host:port
	Unix      string   `toml:"unix"`      // path of a socket; its file mode guards it
	Plaintext []string `toml:"plaintext"` // host:port, loopback only
	Zone      string   `toml:"zone"`      // of this server; units of the same zone are preferred
	// RequestTimeout bounds a call whose caller gave no deadline, or a later one.
	RequestTimeout Duration `toml:"request_timeout"`
	// Drain is how long calls may go on after a signal to stop.
	Drain       Duration `toml:"drain"`
	Connections int      `toml:"connections"` // at a time
	Streams     uint32   `toml:"streams"`     // of one connection at a time
	// Memory in bytes, above which new requests are refused; 0: half of the machine's.
	Memory uint64 `toml:"memory"`
}

// TLS names PEM files; they are read again when they change.
type TLS struct {
	Cert     string `toml:"cert"`
	Key      string `toml:"key"`
	ClientCA string `toml:"client_ca"`
	// ClientAuth: "require" (default with client_ca) or "optional".
	ClientAuth string `toml:"client_auth"`
}

// Auth says who may call beside holders of a client certificate.
type Auth struct {
	// Bearer are SHA-256 hashes, in hex, of the tokens GREP11 clients may send
	// as "authorization: Bearer". Where there are any, a caller over TLS needs
	// one of them or a client certificate.
	Bearer []string `toml:"bearer_sha256"`
	// APIKeys are SHA-256 hashes, in hex, of the API keys that the endpoint at
	// IAM (host:port) exchanges for bearer tokens.
	APIKeys []string `toml:"api_key_sha256"`
	IAM     string   `toml:"iam"`
	// OIDC are issuers whose tokens callers may send in the same way.
	OIDC []OIDC `toml:"oidc"`
	// RequireBearer asks for a token beside the certificate.
	RequireBearer bool `toml:"require_bearer"`
	// Admins are the common names of certificates that may delete tokens and
	// administer crypto units.
	Admins []string `toml:"admins"`
	// TokenMakers may make tokens: "anyone" or "admins".
	TokenMakers string `toml:"token_makers"`
}

// Keystore says where tokens and their objects are kept.
type Keystore struct {
	Path   string `toml:"path"`   // SQLite file
	Tokens int    `toml:"tokens"` // at most
	// Postgres is the postgres:// address of a database that several servers
	// share, in place of the file. The password may come from $PGPASSWORD or ~/.pgpass.
	Postgres string `toml:"postgres"`
	// Outage is how long tokens, logins and objects that were in use serve on while
	// the shared database is away; changes by other servers are not heard of then.
	Outage Duration `toml:"outage"`
}

// Address is what keystore.Open takes.
func (k Keystore) Address() string {
	if k.Postgres != "" {
		return k.Postgres
	}
	return k.Path
}

// key is the one that gives the address.
func (k Keystore) key() string {
	if k.Postgres != "" {
		return "keystore.postgres"
	}
	return "keystore.path"
}

// Audit says what is logged and where to.
type Audit struct {
	Level string `toml:"level"` // debug, info, warn, error
	File  string `toml:"file"`  // empty: standard error
}

// Metrics says where Prometheus finds them.
type Metrics struct {
	Listen string `toml:"listen"` // host:port; empty: nowhere
}

// UnitConfig is one crypto unit.
type UnitConfig struct {
	Name string `toml:"name"`
	Zone string `toml:"zone"`
	Kind string `toml:"kind"` // soft or pkcs11
	// State is the unit's folder; one of the two files holds the secret that
	// seals its master key there.
	State          string `toml:"state"`
	KeyFile        string `toml:"key_file"`        // 32 random bytes
	PassphraseFile string `toml:"passphrase_file"` // first line
	// Concurrency bounds the calls inside the unit; 0: twice the processors.
	Concurrency int `toml:"concurrency"`
	HSM
}

// Duration is written as "30s" or "5m".
type Duration struct{ time.Duration }

func (d *Duration) UnmarshalText(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(b))
	switch {
	case err != nil:
	case d.Duration <= 0:
		err = fmt.Errorf("%q is not a positive duration", b)
	case d.Duration < time.Millisecond:
		err = fmt.Errorf("%q is shorter than 1ms", b)
	}
	return err
}

// Example is a configuration that explains every key.
//
//go:embed example.toml
var Example string

// Defaults is a configuration that needs listeners and units added.
func Defaults() Config {
	return Config{
		Listen: Listen{
			RequestTimeout: Duration{60 * time.Second},
			Drain:          Duration{10 * time.Second},
			Connections:    10_000,
			Streams:        10_000,
		},
		Auth:     Auth{TokenMakers: "anyone"},
		Keystore: Keystore{Path: "keystore.db", Tokens: 1000, Outage: Duration{30 * time.Second}},
		Audit:    Audit{Level: "info"},
	}
}

// LoadConfig reads server.toml. Errors name file, line and key.
func LoadConfig(path string) (Config, error) {
	c := Defaults()
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	c.path, c.text = path, string(text)
	md, err := toml.Decode(c.text, &c)
	if err != nil {
		return c, decodeError(path, err)
	}
	if unknown := md.Undecoded(); len(unknown) > 0 {
		return c, fmt.Errorf("%s: line %d: unknown key %s", path, lineOf(c.text, 0, unknown[0]), unknown[0])
	}
	if err := c.check(); err != nil {
		return c, c.Locate(err)
	}
	c.resolve(filepath.Dir(path))
	return c, nil
}

// typeError is how the library says that a value has the wrong type.
var typeError = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)`)

// typeNames are the library's and Go's words for types.
var typeNames = strings.NewReplacer("incompatible types: TOML value has type ", "is ", "; destination has type ", ", not ",
	"map[string]any", "a table", "slice", "a list", "string", "a text", "integer", "a number", "int64", "a number", "float64", "a fraction",
	"float", "a fraction", "boolean", "true or false", "bool", "true or false")

func decodeError(path string, err error) error {
	var p toml.ParseError
	if errors.As(err, &p) {
		key := ""
		if p.LastKey != "" {
			key = "key " + p.LastKey + ": "
		}
		return fmt.Errorf("%s: line %d: %s%s", path, p.Position.Line, key, p.Message)
	}
	if m := typeError.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s: line %s: key %s: %s", path, m[1], m[2], typeNames.Replace(m[3]))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// Locate adds file and line to an error that is about a key.
func (c *Config) Locate(err error) error {
	var k *keyError
	if c.path == "" || !errors.As(err, &k) {
		return err
	}
	if line := lineOf(c.text, k.unit, strings.Split(k.key, ".")); line > 0 {
		return fmt.Errorf("%s: line %d: %w", c.path, line, err)
	}
	return fmt.Errorf("%s: %w", c.path, err)
}

// Wrong is an error about the value of a key.
func (c *Config) Wrong(key string, err error) error { return c.Locate(badKey(key, "%w", err)) }

// lineOf finds where a key stands, or else its table: the nth of that name, or any
// where n is 0.
func lineOf(text string, n int, key toml.Key) int {
	table, last := strings.Join(key[:len(key)-1], "."), key[len(key)-1]
	current, at := "", 0
	tables := map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			current = strings.Trim(line[:strings.LastIndex(line+"]", "]")], "[] \"")
			tables[current]++
			if current == key.String() {
				return i + 1
			}
			if current == table && at == 0 && (n == 0 || tables[table] == n) {
				at = i + 1
			}
			continue
		}
		name, _, _ := strings.Cut(line, "=")
		if current == table && strings.Trim(name, " \t\"'") == last && (n == 0 || tables[table] == n) {
			return i + 1
		}
	}
	return at
}

// resolve makes relative paths relative to the file.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Listen.Unix, &c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA, &c.Keystore.Path, &c.Audit.File}
	for i := range c.Auth.OIDC {
		paths = append(paths, &c.Auth.OIDC[i].CA)
	}
	for i := range c.Units {
		paths = append(paths, &c.Units[i].State, &c.Units[i].KeyFile, &c.Units[i].PassphraseFile, &c.Units[i].PINFile)
		if strings.Contains(c.Units[i].Module, "/") { // else the linker finds it
			paths = append(paths, &c.Units[i].Module)
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
