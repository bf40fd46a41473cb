package grep11client

import (
	"fmt"
	"net"
	"strings"
	"time"

	"grep11/pkcs11/ck"
)

// Config is one service: a [[slot]] of the client configuration with its pool
// and timeouts. The zero value of Pool and Timeouts stands for the defaults.
type Config struct {
	Token          string // label; empty: every token of the service
	Endpoints      []Endpoint
	Zone           string // endpoints of this zone are preferred
	TLS            *TLS   // nil: plaintext, on loopback and unix sockets only
	Auth           Auth
	Store          string // file of tokens and objects, for a service that has grep11.Crypto alone
	Pool           Pool
	Timeouts       Timeouts
	LocalPublicOps bool // public-key operations and hashing in the library
}

// Endpoint is one server: "host:port" or "unix:/path".
type Endpoint struct{ Address, Zone string }

// TLS names files; they are read again for each connection. Where they cannot be,
// what they last held stays in use.
type TLS struct {
	CA         string `toml:"ca"`   // of the server; empty: the system's
	Cert       string `toml:"cert"` // of the client, with Key
	Key        string `toml:"key"`
	ServerName string `toml:"server_name"` // empty: the endpoint's host
}

// Pool bounds the connections to one endpoint.
type Pool struct {
	Streams   int           // open at most; each carries one call at a time
	Idle      time.Duration // an unused stream is closed after
	Keepalive time.Duration // a silent connection is checked after
	Lines     int           // connections that few callers get for themselves, at most; negative: none
}

// Timeouts bound a call and its parts.
type Timeouts struct {
	Connect     time.Duration // one connection, TLS included
	Call        time.Duration // a call with its repeats
	Generate    time.Duration // the same for calls that make keys
	Attempt     time.Duration // one try, where another endpoint is there to ask
	Unreachable time.Duration // how long a service that was there may be away unnoticed
}

// DefaultPool and DefaultTimeouts are good for production.
var (
	DefaultPool     = Pool{Streams: 256, Idle: 2 * time.Minute, Keepalive: 15 * time.Second, Lines: 8}
	DefaultTimeouts = Timeouts{Connect: 5 * time.Second, Call: 10 * time.Second, Generate: time.Minute,
		Attempt: 3 * time.Second, Unreachable: 5 * time.Second}
)

// check also fills defaults in.
func (c *Config) check() error {
	if len(c.Endpoints) == 0 {
		return fmt.Errorf("no endpoints: %w", ck.CKR_ARGUMENTS_BAD)
	}
	for _, e := range c.Endpoints {
		if err := e.check(c.TLS != nil); err != nil {
			return err
		}
	}
	if c.TLS != nil && (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return fmt.Errorf("tls: cert and key go together: %w", ck.CKR_ARGUMENTS_BAD)
	}
	if err := c.Auth.check(); err != nil {
		return err
	}
	orDefault(&c.Pool.Streams, DefaultPool.Streams)
	orDefault(&c.Pool.Idle, DefaultPool.Idle)
	orDefault(&c.Pool.Keepalive, DefaultPool.Keepalive)
	if c.Pool.Lines == 0 {
		c.Pool.Lines = DefaultPool.Lines
	}
	orDefault(&c.Timeouts.Connect, DefaultTimeouts.Connect)
	orDefault(&c.Timeouts.Call, DefaultTimeouts.Call)
	orDefault(&c.Timeouts.Generate, DefaultTimeouts.Generate)
	orDefault(&c.Timeouts.Attempt, DefaultTimeouts.Attempt)
	orDefault(&c.Timeouts.Unreachable, DefaultTimeouts.Unreachable)
	return nil
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

const unixPrefix = "unix:"

const (
	maxSocketPath = 107 // bytes, Linux's limit
	maxStreams    = 1 << 16
	maxLines      = 64
)

// network splits an address into what net.Dial takes.
func (e Endpoint) network() (network, address string) {
	if path, ok := strings.CutPrefix(e.Address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", e.Address
}

func (e Endpoint) check(tls bool) error {
	network, address := e.network()
	if network == "unix" {
		if address == "" {
			return fmt.Errorf("endpoint %q: no path: %w", e.Address, ck.CKR_ARGUMENTS_BAD)
		}
		if len(address) > maxSocketPath {
			return fmt.Errorf("endpoint %q: a path of %d bytes; a socket's has at most %d: %w", e.Address, len(address), maxSocketPath, ck.CKR_ARGUMENTS_BAD)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("endpoint %q: neither host:port nor unix:/path: %w", e.Address, ck.CKR_ARGUMENTS_BAD)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return fmt.Errorf("endpoint %q: the port is not 1 to 65535: %w", e.Address, ck.CKR_ARGUMENTS_BAD)
	}
	if !tls && !loopback(host) {
		return fmt.Errorf("endpoint %q: without tls only loopback and unix sockets are allowed: %w", e.Address, ck.CKR_ARGUMENTS_BAD)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
