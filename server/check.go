package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"grep11/server/keystore"
)

// keyError is about the value of a key.
type keyError struct {
	key  string
	unit int // which [[unit]], from 1
	err  error
}

func (e *keyError) Error() string {
	if e.unit > 0 {
		return e.err.Error()
	}
	return fmt.Sprintf("key %s: %v", e.key, e.err)
}
func (e *keyError) Unwrap() error { return e.err }

func badKey(key, format string, a ...any) error {
	return &keyError{key: key, err: fmt.Errorf(format, a...)}
}

// check refuses what cannot work or would be unsafe; each message names its key.
func (c *Config) check() error {
	for _, f := range []func() error{c.checkListeners, c.checkLimits, c.checkTLS, c.checkAuth, c.checkUnits, c.checkKeystore, c.checkAudit} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkListeners() error {
	l := c.Listen
	if len(l.TLS) == 0 && l.Unix == "" && len(l.Plaintext) == 0 {
		return badKey("listen.tls", "no listener is configured")
	}
	if len(l.TLS) > 0 && (c.TLS.Cert == "" || c.TLS.Key == "") {
		return badKey("listen.tls", "needs tls.cert and tls.key")
	}
	for key, addrs := range map[string][]string{"listen.tls": l.TLS, "listen.plaintext": l.Plaintext, "auth.iam": some(c.Auth.IAM), "metrics.listen": some(c.Metrics.Listen)} {
		for _, addr := range addrs {
			if err := address(addr); err != nil {
				return badKey(key, "%w", err)
			}
		}
	}
	for _, addr := range l.Plaintext {
		if err := loopback(addr); err != nil {
			return badKey("listen.plaintext", "%w", err)
		}
	}
	if strings.HasPrefix(l.Unix, "unix:") {
		return badKey("listen.unix", `%q: write the path alone, without "unix:"`, l.Unix)
	}
	return nil
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// address: what "listen" would say later, and less clearly.
func address(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%q: the port is not 0 to 65535", addr)
	}
	return nil
}

// lenSocketPath is the longest path of a unix socket.
const lenSocketPath = 107

// minMemory is what one request may take.
const minMemory = 64 << 20

func (c *Config) checkLimits() error {
	l := c.Listen
	switch {
	case l.Connections < 1:
		return badKey("listen.connections", "%d is less than 1", l.Connections)
	case l.Streams < 1:
		return badKey("listen.streams", "%d is less than 1", l.Streams)
	case int64(l.Memory) < 0: // the decoder takes negative numbers for great ones
		return badKey("listen.memory", "%d is negative", int64(l.Memory))
	case l.Memory > 0 && l.Memory < minMemory:
		return badKey("listen.memory", "%d is less than %d, which one request may take; 0 is half of the machine's memory", l.Memory, minMemory)
	case c.Keystore.Tokens < 1:
		return badKey("keystore.tokens", "%d is less than 1", c.Keystore.Tokens)
	}
	return nil
}

// loopback: a listener without TLS is for this machine alone.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address", addr)
}

func (c *Config) checkKeystore() error {
	k := c.Keystore
	if p := k.Postgres; p != "" && !keystore.IsPostgres(p) {
		return badKey("keystore.postgres", "is no address such as postgres://USER@HOST/DATABASE") // it may hold a password
	}
	if k.Postgres == "" && k.Path == "" {
		return badKey("keystore.path", "is empty: name a file")
	}
	return nil
}

func (c *Config) checkTLS() error {
	switch t := c.TLS; {
	case t.ClientAuth != "" && t.ClientAuth != "require" && t.ClientAuth != "optional":
		return badKey("tls.client_auth", `%q is neither "require" nor "optional"`, t.ClientAuth)
	case t.ClientAuth != "" && t.ClientCA == "":
		return badKey("tls.client_auth", "needs tls.client_ca: without it no client is asked for a certificate")
	case t.ClientAuth == "":
		c.TLS.ClientAuth = "require"
	}
	return nil
}

func (c *Config) checkAuth() error {
	for key, texts := range map[string][]string{"auth.bearer_sha256": c.Auth.Bearer, "auth.api_key_sha256": c.Auth.APIKeys} {
		if _, err := parseHashes(texts); err != nil {
			return badKey(key, "%w", err)
		}
	}
	for _, o := range c.Auth.OIDC {
		if err := o.check(); err != nil {
			return badKey("auth.oidc", "%w", err)
		}
	}
	switch {
	case c.Auth.RequireBearer && len(c.Auth.Bearer)+len(c.Auth.APIKeys)+len(c.Auth.OIDC) == 0:
		return badKey("auth.require_bearer", "none of auth.bearer_sha256, auth.api_key_sha256 and auth.oidc is there")
	case c.Auth.TokenMakers != "anyone" && c.Auth.TokenMakers != "admins":
		return badKey("auth.token_makers", `%q is neither "anyone" nor "admins"`, c.Auth.TokenMakers)
	case c.Auth.IAM != "" && loopback(c.Auth.IAM) != nil && c.TLS.Cert == "":
		return badKey("auth.iam", "needs tls.cert and tls.key, or a loopback address")
	}
	return nil
}

func (c *Config) checkUnits() error {
	seen := map[string]bool{}
	for i, u := range c.Units {
		key, err := u.check(seen)
		if err == nil && u.Kind != c.Units[0].Kind {
			key, err = "kind", fmt.Errorf("key kind: unit %q is of kind %q: a service has either emulated units or units on HSMs, "+
				"for neither kind opens the other's key blobs", c.Units[0].Name, c.Units[0].Kind)
		}
		if err != nil {
			return &keyError{"unit." + key, i + 1, fmt.Errorf("unit %s: %w", u.named(i), err)}
		}
		seen[u.Name] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("%s: no [[unit]] is configured", c.path)
	}
	return nil
}

func (u UnitConfig) named(i int) string {
	if u.Name == "" {
		return strconv.Itoa(i + 1)
	}
	return strconv.Quote(u.Name)
}

// check gives the key that is wrong, too.
func (u UnitConfig) check(seen map[string]bool) (key string, err error) {
	switch {
	case u.Name == "":
		return "name", errors.New("key name is missing")
	case seen[u.Name]:
		return "name", errors.New("key name occurs twice")
	case unitKinds[u.Kind] == nil:
		return "kind", fmt.Errorf(`key kind: %q is neither "soft" nor "pkcs11"`, u.Kind)
	case u.Concurrency < 0:
		return "concurrency", fmt.Errorf("key concurrency: %d is negative", u.Concurrency)
	case u.Kind == "pkcs11":
		return u.HSM.check()
	case u.Kind == "soft":
		return u.checkSoft()
	}
	return "", nil
}

func (u UnitConfig) checkSoft() (key string, err error) {
	switch {
	case u.State == "":
		return "state", errors.New(`key state is missing: name the folder that "grep11 unit create" made`)
	case u.KeyFile == "" && u.PassphraseFile == "":
		return "key_file", errors.New("key key_file or passphrase_file is needed")
	}
	return "", nil
}

// levels are those of the log; slog knows more, such as "info+99".
var levels = []string{"debug", "info", "warn", "error"}

func (c *Config) checkAudit() error {
	if !slices.Contains(levels, strings.ToLower(c.Audit.Level)) {
		return badKey("audit.level", "%q is not one of %q", c.Audit.Level, levels)
	}
	return nil
}
