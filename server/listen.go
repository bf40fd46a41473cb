package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// A door is one way in: a listener with what it demands of its callers. All
// doors lead to one gRPC server; doors is its transport credentials and treats
// each connection as its door says.
type door uint8

const (
	doorPlaintext door = iota // loopback, no proof asked for
	doorTLS
	doorUnix // the socket's file mode guards it
)

var doorNames = [...]string{doorPlaintext: "plaintext", doorTLS: "tls", doorUnix: "unix"}

func (d door) String() string { return doorNames[d] }

// listen opens all listeners of the configuration.
func (s *Server) listen() error {
	l := s.config.Listen
	for _, addr := range l.TLS {
		if err := s.listenOn(doorTLS, "tcp", addr); err != nil {
			return err
		}
	}
	for _, addr := range l.Plaintext {
		if err := s.listenOn(doorPlaintext, "tcp", addr); err != nil {
			return err
		}
	}
	if l.Unix != "" {
		if err := s.listenUnix(l.Unix); err != nil {
			return err
		}
	}
	if err := s.doors.auth.iam.listen(s.config.Auth.IAM, s.doors.web); err != nil {
		return err
	}
	return s.metrics.listen(s.config.Metrics.Listen, s.log)
}

func (s *Server) listenUnix(path string) error {
	if err := removeStaleSocket(path); err != nil {
		return err
	}
	if err := s.listenOn(doorUnix, "unix", path); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

func (s *Server) listenOn(d door, network, addr string) error {
	l, err := net.Listen(network, addr)
	if err != nil {
		return fmt.Errorf("listen %v: %w", d, err)
	}
	s.addListener(d, l)
	s.log.Info("listening", "how", d.String(), "address", l.Addr().String())
	return nil
}

func (s *Server) addListener(d door, l net.Listener) net.Listener {
	gl := &gate{Listener: l, door: d, doors: s.doors}
	s.mu.Lock()
	s.listeners = append(s.listeners, gl)
	s.mu.Unlock()
	return gl
}

// ServeOn answers without TLS on a listener of the caller's, such as an
// in-memory one, until the server stops.
func (s *Server) ServeOn(l net.Listener) error {
	return s.grpc.Serve(s.addListener(doorPlaintext, l))
}

// Addr is the address of the first TLS or plaintext TCP listener, for
// configurations that left the port open.
func (s *Server) Addr(tls bool) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if g, ok := l.(*gate); ok && g.door != doorUnix && (g.door == doorTLS) == tls {
			return g.Addr()
		}
	}
	return nil
}

// removeStaleSocket removes the socket of a server that was killed; one that
// answers is another server's.
func removeStaleSocket(path string) error {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("listen unix %s: another server answers there", path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		err = fmt.Errorf("listen unix %s: a file that is no socket is there", path)
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// gate marks the connections of a listener with their door, and counts them.
type gate struct {
	net.Listener
	door  door
	doors *doors
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.doors.open.Add(1) <= g.doors.max {
			return &caller{Conn: c, gate: g}, nil
		}
		g.doors.open.Add(-1)
		g.doors.log.Warn("refused", "peer", c.RemoteAddr().String(), "cause", "too many connections")
		_ = c.Close()
	}
}

// caller is an accepted connection.
type caller struct {
	net.Conn
	gate   *gate
	closed sync.Once
}

func (c *caller) Close() error {
	c.closed.Do(func() { c.gate.doors.open.Add(-1) })
	return c.Conn.Close()
}

// doors is the gRPC server's transport credentials.
type doors struct {
	tls  credentials.TransportCredentials // nil: no TLS is configured
	web  *tls.Config                      // the same
	log  *slog.Logger
	auth *auth
	max  int64
	open atomic.Int64
}

func newDoors(c Config, service ck.Secret, log *slog.Logger) (*doors, error) {
	bearer, err := parseHashes(c.Auth.Bearer)
	if err != nil {
		return nil, err
	}
	apiKeys, err := parseHashes(c.Auth.APIKeys)
	if err != nil {
		return nil, err
	}
	d := &doors{log: log, max: int64(c.Listen.Connections)}
	d.auth = &auth{config: c.Auth, bearer: bearer, iam: newIAM(apiKeys, service, log)}
	if c.TLS.Cert == "" {
		return d, nil
	}
	files, err := newTLSFiles(c.TLS, log)
	if err != nil {
		return nil, err
	}
	d.tls, d.web = credentials.NewTLS(files.config()), files.web()
	return d, nil
}

// knownAs is the AuthInfo of connections without TLS.
type knownAs struct {
	credentials.CommonAuthInfo
	door door
}

func (knownAs) AuthType() string { return "grep11" }

func (d *doors) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := raw.(*caller)
	if !ok || c.gate.door != doorTLS {
		info := knownAs{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}
		if ok {
			info.door = c.gate.door
		}
		return raw, info, nil
	}
	conn, info, err := d.tls.ServerHandshake(raw)
	if err != nil {
		d.log.Info("refused", "peer", raw.RemoteAddr().String(), "cause", "TLS: "+err.Error())
	}
	return conn, info, err
}

func (d *doors) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return insecure.NewCredentials().ClientHandshake(ctx, authority, raw)
}
func (d *doors) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "grep11"}
}
func (d *doors) Clone() credentials.TransportCredentials { return d }
func (d *doors) OverrideServerName(string) error         { return nil }

// admit says who calls, or refuses.
func (s *Server) admit(ctx context.Context) (context.Context, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	id, err := s.doors.auth.identify(ctx, p.AuthInfo)
	if err != nil {
		return ctx, err
	}
	return access.WithIdentity(ctx, id), nil
}
