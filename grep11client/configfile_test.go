package grep11client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseConfig(t *testing.T) {
	f, err := parseConfig("/etc/grep11/client.toml", `
local_public_ops = false

[[slot]]
token = "my token"
endpoints = ["one.example:9876", {address = "two.example:9876", zone = "b"}]
zone = "b"
tls = { ca = "ca.pem", cert = "/tls/c.pem", key = "c.key", server_name = "hsm" }
auth = { bearer_file = "token" }

[[slot]]
endpoints = ["unix:run/socket"]

[pool]
streams = 8
idle = "1m"
lines = 0
[timeouts]
call = "3s"
[log]
file = "log"
level = "debug"
`)
	if err != nil {
		t.Fatal(err)
	}
	a, b := f.Slots[0], f.Slots[1]
	if a.Token != "my token" || a.Endpoints[1] != (Endpoint{"two.example:9876", "b"}) || a.Zone != "b" || a.LocalPublicOps ||
		*a.TLS != (TLS{"/etc/grep11/ca.pem", "/tls/c.pem", "/etc/grep11/c.key", "hsm"}) || a.Auth.BearerFile != "/etc/grep11/token" {
		t.Errorf("first slot: %+v %+v", a, a.TLS)
	}
	if b.Token != "" || b.TLS != nil || b.Endpoints[0].Address != "unix:/etc/grep11/run/socket" {
		t.Errorf("second slot: %+v", b)
	}
	if a.Pool != (Pool{8, time.Minute, DefaultPool.Keepalive, -1}) || a.Timeouts.Call != 3*time.Second || a.Timeouts.Connect != DefaultTimeouts.Connect {
		t.Errorf("pool and timeouts: %+v %+v", a.Pool, a.Timeouts)
	}
	if f.Log != (Log{"/etc/grep11/log", "debug", false}) {
		t.Errorf("log: %+v", f.Log)
	}
}

func TestMistakesNameFileLineAndKey(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		line int
		key  string
		says string
	}{
		"an unknown key in a slot":         {"[[slot]]\nendpoints = [\"unix:/s\"]\ntokne = \"x\"", 3, "slot.tokne", "unknown key"},
		"an unknown key in an inline one":  {"[[slot]]\nendpoints = [\"unix:/s\"]\ntls = { kee = \"x\" }", 3, "slot.tls.kee", "unknown key"},
		"an unknown key in a sub-table":    {"[[slot]]\nendpoints = [\"unix:/s\"]\n[slot.tls]\nca = \"x\"\nkee = \"x\"", 5, "slot.tls.kee", "unknown key"},
		"an unknown section":               {"\n[loog]\nlevel = \"info\"", 2, "loog", "unknown key"},
		"an unknown key at the top":        {"x = 1", 1, "x", "unknown key"},
		"broken TOML":                      {"[[slot]]\ntoken = ", 2, "slot.token", "expected"},
		"a number where text belongs":      {"[[slot]]\ntoken = 5", 2, "slot.token", "incompatible types"},
		"a duration without a unit":        {"[timeouts]\n\ncall = \"10\"", 3, "timeouts.call", "missing unit"},
		"a duration below nothing":         {"[timeouts]\ncall = \"-1s\"", 2, "timeouts.call", "not a positive"},
		"a duration of next to nothing":    {"[timeouts]\ncall = \"1ns\"", 2, "timeouts.call", "shorter than 1ms"},
		"an endpoint without a port":       {"[[slot]]\nendpoints = [\"unix:/s\"]\n[[slot]]\nendpoints = [\"host\"]", 4, "slot.endpoints", "neither host:port"},
		"a foreign endpoint without tls":   {"[[slot]]\nendpoints = [\"host:1\"]", 2, "slot.endpoints", "without tls"},
		"no endpoints":                     {"\n[[slot]]\ntoken = \"x\"", 2, "slot.endpoints", "no endpoints"},
		"an endpoint that is a number":     {"[[slot]]\nendpoints = [5]", 2, "slot.endpoints", "neither a string"},
		"an endpoint with an unknown part": {"[[slot]]\nendpoints = [{adress = \"x\"}]", 2, "slot.endpoints", "adress"},
		"a certificate without its key":    {"[[slot]]\nendpoints = [\"h:1\"]\ntls = {cert = \"c\"}", 2, "slot.endpoints", "go together"},
		"no streams":                       {"[pool]\nstreams = 0", 2, "pool.streams", "not 1 to 65536"},
		"too many lines":                   {"[pool]\nlines = 65", 2, "pool.lines", "not 0 to 64"},
		"fewer streams than none":          {"[pool]\nstreams = -1", 2, "pool.streams", "not 1 to 65536"},
		"too many streams":                 {"[pool]\nstreams = 1000000000", 2, "pool.streams", "not 1 to 65536"},
		"a port that is none":              {"[[slot]]\nendpoints = [\"127.0.0.1:99999\"]", 2, "slot.endpoints", "port"},
		"a port of nought":                 {"[[slot]]\nendpoints = [\"127.0.0.1:0\"]", 2, "slot.endpoints", "port"},
		"a socket's path that is too long": {"[[slot]]\nendpoints = [\"unix:/" + strings.Repeat("x", 107) + "\"]", 2, "slot.endpoints", "at most 107"},
		"a log level that is none":         {"[log]\nlevel = \"loud\"", 2, "log.level", "not one of"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig("/c.toml", row.text)
			var e *ConfigError
			if !errors.As(err, &e) {
				t.Fatalf("no ConfigError: %v", err)
			}
			if e.Path != "/c.toml" || e.Line != row.line || e.Key != row.key || !strings.Contains(e.Error(), row.says) {
				t.Errorf("line %d, key %q: %v", e.Line, e.Key, err)
			}
		})
	}
}

func TestFindConfig(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv(envConfig, "")
	user := filepath.Join(dir, "grep11", "client.toml")
	if got := FindConfig("", os.Getenv); got != "" && got != systemConfig {
		t.Errorf("found %q where there is none", got)
	}
	_ = os.MkdirAll(filepath.Dir(user), 0o700)
	_ = os.WriteFile(user, nil, 0o600)
	if got := FindConfig("", os.Getenv); got != user {
		t.Errorf("the user's file is %q", got)
	}
	t.Setenv(envConfig, "/env.toml")
	for reserved, want := range map[string]string{"": "/env.toml", "config=/a b.toml": "/a b.toml", "/bare": "/bare", `config="/q"`: "/q"} {
		if got := FindConfig(reserved, os.Getenv); got != want {
			t.Errorf("%q finds %q", reserved, got)
		}
	}
}

func TestLoadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.toml")
	var e *ConfigError
	if _, err := LoadConfig(path); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	_ = os.WriteFile(path, make([]byte, maxConfigBytes+1), 0o600)
	if _, err := LoadConfig(path); !errors.As(err, &e) {
		t.Errorf("a huge file: %v", err)
	}
	_ = os.WriteFile(path, []byte("[[slot]]\nendpoints = ['unix:s']"), 0o600)
	if f, err := LoadConfig(path); err != nil || len(f.Slots) != 1 {
		t.Errorf("a good file: %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("[[slot]]\nendpoints = ['h:1', {address = 'unix:/s'}]\ntls = {ca = 'x'}\n[pool]\nidle = '1m'")
	f.Add("[[slot]]\ntokne = 5")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseConfig("/c.toml", text)
		var e *ConfigError
		if (file == nil) != (err != nil) || err != nil && !errors.As(err, &e) {
			t.Errorf("%v, %v", file, err)
		}
	})
}
