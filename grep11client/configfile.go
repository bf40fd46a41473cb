package grep11client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// File is the client configuration as its file has it.
type File struct {
	Path  string // absolute
	Slots []Config
	Log   Log
	// EdwardsPoints: "der" gives CKA_EC_POINT of Edwards keys in an OCTET STRING,
	// "raw" without, empty as the interface version says.
	EdwardsPoints string
	// SyntheticCertificates shows private keys that have no certificate with one
	// that is made up, for applications that see no keys otherwise.
	SyntheticCertificates bool
}

// Log says where the library writes, and how much.
type Log struct {
	File  string `toml:"file"`  // path, "stderr" or "syslog"; empty: nowhere
	Level string `toml:"level"` // error, warn, info, debug; empty: warn
	Trace bool   `toml:"trace"` // a line per call, whatever the level
}

// ConfigError is a mistake in a configuration file. Line is 0 where it is not
// known, Key empty where the file could not be read at all.
type ConfigError struct {
	Path string
	Line int
	Key  string
	Err  error
}

func (e *ConfigError) Error() string {
	text := e.Path
	if e.Line > 0 {
		text += fmt.Sprintf(": line %d", e.Line)
	}
	if e.Key != "" {
		text += ": " + e.Key
	}
	return text + ": " + e.Err.Error()
}

func (e *ConfigError) Unwrap() error { return e.Err }

// maxConfigBytes bounds the file.
const maxConfigBytes = 1 << 20

const (
	envConfig    = "GREP11_PKCS11_CONFIG"
	systemConfig = "/etc/grep11/client.toml"
)

// FindConfig gives the path of the configuration: named in C_Initialize's
// reserved string ("config=PATH" or a bare path) or in the environment, and
// else the user's or the system's where it exists. Empty: there is none.
//
// getenv is os.Getenv, or the process's own where Go's copy of the environment,
// made when the process began, does not count: in a shared library.
func FindConfig(reserved string, getenv func(string) string) string {
	if path := strings.Trim(strings.TrimPrefix(strings.TrimSpace(reserved), "config="), `"'`); path != "" {
		return path
	}
	if path := getenv(envConfig); path != "" {
		return path
	}
	paths := []string{systemConfig}
	if dir := userConfig(getenv); filepath.IsAbs(dir) {
		paths = append([]string{filepath.Join(dir, "grep11", "client.toml")}, paths...)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return path
		}
	}
	return ""
}

// userConfig is the folder of the user's configuration files.
func userConfig(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".config")
}

// duration is written as "10s" or "2m".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v <= 0 {
		err = errors.New("not a positive duration")
	}
	if err == nil && v < time.Millisecond {
		err = errors.New("shorter than 1ms")
	}
	*d = duration(v)
	return err
}

// endpointText is "host:port" or "unix:/path", or a table that adds the zone.
type endpointText Endpoint

func (e *endpointText) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		e.Address = v
		return nil
	case map[string]any:
		for key, value := range v {
			text, ok := value.(string)
			switch {
			case ok && key == "address":
				e.Address = text
			case ok && key == "zone":
				e.Zone = text
			default:
				return fmt.Errorf("endpoint: %s is not address or zone, as a string", key)
			}
		}
		return nil
	}
	return fmt.Errorf("endpoint: %v is neither a string nor a table", v)
}

// fileText is the file's own shape.
type fileText struct {
	LocalPublicOps bool   `toml:"local_public_ops"`
	EdwardsPoints  string `toml:"edwards_points"`
	Synthetic      bool   `toml:"synthetic_certificates"`
	Slot           []struct {
		Token     string         `toml:"token"`
		Endpoints []endpointText `toml:"endpoints"`
		Zone      string         `toml:"zone"`
		TLS       *TLS           `toml:"tls"`
		Auth      Auth           `toml:"auth"`
		Store     string         `toml:"store"`
	} `toml:"slot"`
	Pool struct {
		Streams   int      `toml:"streams"`
		Idle      duration `toml:"idle"`
		Keepalive duration `toml:"keepalive"`
		Lines     int      `toml:"lines"`
	} `toml:"pool"`
	Timeouts struct {
		Connect     duration `toml:"connect"`
		Call        duration `toml:"call"`
		Generate    duration `toml:"generate"`
		Attempt     duration `toml:"attempt"`
		Unreachable duration `toml:"unreachable"`
	} `toml:"timeouts"`
	Log Log `toml:"log"`
}

// LoadConfig reads a configuration file. Paths in it are relative to its
// folder. Errors are *ConfigError.
func LoadConfig(path string) (*File, error) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxConfigBytes {
		err = fmt.Errorf("%d bytes are too many", info.Size())
	}
	if err != nil {
		return nil, &ConfigError{Path: path, Err: err}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &ConfigError{Path: path, Err: err}
	}
	return parseConfig(path, string(text))
}

func parseConfig(path, text string) (*File, error) {
	in := fileText{LocalPublicOps: true}
	in.Pool.Lines = DefaultPool.Lines
	md, err := toml.Decode(text, &in)
	if err != nil {
		return nil, tomlError(path, err)
	}
	fail := func(slot int, key string, err error) error {
		return &ConfigError{Path: path, Line: lineOf(text, slot, strings.Split(key, ".")), Key: key, Err: err}
	}
	for _, key := range md.Undecoded() {
		if !strings.HasPrefix(key.String(), "slot.endpoints") { // read by endpointText
			return nil, fail(-1, key.String(), errors.New("unknown key"))
		}
	}
	f := &File{Path: path, Log: in.Log, EdwardsPoints: in.EdwardsPoints, SyntheticCertificates: in.Synthetic}
	if err := oneOf(in.EdwardsPoints, "", "raw", "der"); err != nil {
		return nil, fail(-1, "edwards_points", err)
	}
	if err := oneOf(in.Log.Level, "", "error", "warn", "info", "debug"); err != nil {
		return nil, fail(-1, "log.level", err)
	}
	if n := in.Pool.Streams; n < 0 || n > maxStreams || n == 0 && md.IsDefined("pool", "streams") {
		return nil, fail(-1, "pool.streams", fmt.Errorf("%d is not 1 to %d", n, maxStreams))
	}
	if n := in.Pool.Lines; n < 0 || n > maxLines {
		return nil, fail(-1, "pool.lines", fmt.Errorf("%d is not 0 to %d", n, maxLines))
	}
	if f.Log.File != "" && f.Log.File != "stderr" && f.Log.File != "syslog" {
		f.Log.File = beside(path, f.Log.File)
	}
	for i, s := range in.Slot {
		c := Config{Token: s.Token, Zone: s.Zone, TLS: s.TLS, Auth: s.Auth, Store: s.Store, LocalPublicOps: in.LocalPublicOps,
			Pool: Pool{in.Pool.Streams, time.Duration(in.Pool.Idle), time.Duration(in.Pool.Keepalive), orNone(in.Pool.Lines)}}
		t := in.Timeouts
		c.Timeouts = Timeouts{time.Duration(t.Connect), time.Duration(t.Call), time.Duration(t.Generate), time.Duration(t.Attempt), time.Duration(t.Unreachable)}
		for _, e := range s.Endpoints {
			c.Endpoints = append(c.Endpoints, Endpoint(e))
		}
		c.relativeTo(path)
		if err := c.check(); err != nil {
			return nil, fail(i, "slot.endpoints", err)
		}
		f.Slots = append(f.Slots, c)
	}
	return f, nil
}

// orNone is what a Pool calls none.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func oneOf(got string, allowed ...string) error {
	for _, a := range allowed {
		if got == a {
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %q", got, allowed)
}

// relativeTo makes the paths absolute.
func (c *Config) relativeTo(file string) {
	if c.TLS != nil {
		for _, p := range []*string{&c.TLS.CA, &c.TLS.Cert, &c.TLS.Key} {
			*p = beside(file, *p)
		}
	}
	for _, p := range []*string{&c.Auth.BearerFile, &c.Auth.APIKeyFile, &c.Store} {
		*p = beside(file, *p)
	}
	for i, e := range c.Endpoints {
		if socket, ok := strings.CutPrefix(e.Address, unixPrefix); ok {
			c.Endpoints[i].Address = unixPrefix + beside(file, socket)
		}
	}
}

func beside(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// typeError is how the library says that a value has the wrong type.
var typeError = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)`)

func tomlError(path string, err error) error {
	out := &ConfigError{Path: path, Err: err}
	var p toml.ParseError
	if errors.As(err, &p) {
		out.Line, out.Key, out.Err = p.Position.Line, p.LastKey, errors.New(p.Message)
	} else if m := typeError.FindStringSubmatch(err.Error()); m != nil {
		out.Line, _ = strconv.Atoi(m[1])
		out.Key, out.Err = m[2], errors.New(m[3])
	}
	return out
}

var (
	headerLine = regexp.MustCompile(`^\s*\[\[?\s*([^\]]+?)\s*\]`)
	keyLine    = regexp.MustCompile(`^\s*([A-Za-z0-9_."'-]+)\s*=`)
)

// lineOf finds a key for a message: its line, or that of the table it is in. A
// slot's number (from 0) tells several apart; any where it is negative.
func lineOf(text string, slot int, key []string) int {
	found, slots := 0, -1
	var table []string
	for i, line := range strings.Split(text, "\n") {
		if m := headerLine.FindStringSubmatch(line); m != nil {
			table = strings.Split(m[1], ".")
			if m[1] == "slot" {
				slots++
			}
			if (slot < 0 || slots == slot) && hasPrefix(key, table) {
				found = i + 1
			}
			continue
		}
		m := keyLine.FindStringSubmatch(line)
		if m == nil || !hasPrefix(key, table) || slot >= 0 && slots != slot {
			continue
		}
		if rest := key[len(table):]; hasPrefix(rest, strings.Split(m[1], ".")) {
			return i + 1
		}
	}
	return found
}

func hasPrefix(key, prefix []string) bool {
	if len(prefix) > len(key) {
		return false
	}
	for i, p := range prefix {
		if strings.Trim(p, `"' `) != key[i] {
			return false
		}
	}
	return true
}
