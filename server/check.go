package server

import (
	"fmt"
	"log/slog"
	"net"

	"grep11/server/keystore"
)

// keyError is about the value of a key.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return fmt.Sprintf("key %s: %v", e.key, e.err) }
func (e *keyError) Unwrap() error { return e.err }

func badKey(key, format string, a ...any) error { return &keyError{key, fmt.Errorf(format, a...)} }

// check refuses what cannot work or would be unsafe; each message names its key.
func (c *Config) check() error {
	for _, f := range []func() error{c.checkListeners, c.checkAuth, c.checkUnits, c.checkKeystore, c.checkAudit} {
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
	for _, addr := range l.Plaintext {
		if err := loopback(addr); err != nil {
			return badKey("listen.plaintext", "%w", err)
		}
	}
	if l.Connections < 1 || l.Streams < 1 {
		return badKey("listen.connections", "and listen.streams must be at least 1")
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
	if p := c.Keystore.Postgres; p != "" && !keystore.IsPostgres(p) {
		return badKey("keystore.postgres", "is no address such as postgres://USER@HOST/DATABASE") // it may hold a password
	}
	return nil
}

func (c *Config) checkAuth() error {
	switch c.TLS.ClientAuth {
	case "":
		c.TLS.ClientAuth = "require"
	case "require", "optional":
	default:
		return badKey("tls.client_auth", `%q is neither "require" nor "optional"`, c.TLS.ClientAuth)
	}
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
		switch {
		case u.Name == "":
			return fmt.Errorf("unit %d: key name is missing", i+1)
		case seen[u.Name]:
			return fmt.Errorf("unit %q: key name occurs twice", u.Name)
		case unitKinds[u.Kind] == nil:
			return fmt.Errorf("unit %q: key kind: %q is unknown", u.Name, u.Kind)
		case u.Kind != c.Units[0].Kind:
			return fmt.Errorf("unit %q: key kind: unit %q is of kind %q: a service has either emulated units or units on HSMs, "+
				"for neither kind opens the other's key blobs", u.Name, c.Units[0].Name, c.Units[0].Kind)
		case u.Kind == "pkcs11":
			if err := u.HSM.check(); err != nil {
				return fmt.Errorf("unit %q: %w", u.Name, err)
			}
		}
		seen[u.Name] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("no [[unit]] is configured")
	}
	return nil
}

func (c *Config) checkAudit() error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Audit.Level)); err != nil {
		return badKey("audit.level", "%w", err)
	}
	return nil
}
