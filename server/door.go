package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
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
