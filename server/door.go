package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
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
			in := &caller{Conn: c, gate: g}
			g.doors.holdings.enter(in)
			return in, nil
		}
		g.doors.open.Add(-1)
		g.doors.log.Warn("refused", "peer", c.RemoteAddr().String(), "cause", "too many connections")
		_ = c.Close()
	}
}

// doors is the gRPC server's transport credentials.
type doors struct {
	tls  credentials.TransportCredentials // nil: no TLS is configured
	web  *tls.Config                      // the same
	log  *slog.Logger
	auth *auth
	max  int64
	open atomic.Int64

	holdings *holdings
}

func newDoors(c Config, service ck.Secret, memory uint64, log *slog.Logger) (*doors, error) {
	bearer, err := parseHashes(c.Auth.Bearer)
	if err != nil {
		return nil, err
	}
	apiKeys, err := parseHashes(c.Auth.APIKeys)
	if err != nil {
		return nil, err
	}
	d := &doors{log: log, max: int64(c.Listen.Connections), holdings: newHoldings(memory/4, log)}
	oidc, err := newIssuers(c.Auth.OIDC)
	if err != nil {
		return nil, err
	}
	d.auth = &auth{config: c.Auth, bearer: bearer, iam: newIAM(apiKeys, service, log), oidc: oidc}
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
	door   door
	caller *caller
}

// knownByTLS is that of those with it.
type knownByTLS struct {
	credentials.TLSInfo
	caller *caller
}

func (k knownAs) from() *caller    { return k.caller }
func (k knownByTLS) from() *caller { return k.caller }

// callerOf is the connection of a request, nil for one that came through no gate.
func callerOf(ctx context.Context) *caller {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	if known, ok := p.AuthInfo.(interface{ from() *caller }); ok {
		return known.from()
	}
	return nil
}

func (knownAs) AuthType() string { return "grep11" }

func (d *doors) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, ok := raw.(*caller)
	if !ok || c.gate.door != doorTLS {
		info := knownAs{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}
		if ok {
			info.door, info.caller = c.gate.door, c
		}
		return raw, info, nil
	}
	conn, info, err := d.tls.ServerHandshake(raw)
	if err != nil {
		d.log.Info("refused", "peer", raw.RemoteAddr().String(), "cause", "TLS: "+err.Error())
		return conn, info, err
	}
	return conn, knownByTLS{info.(credentials.TLSInfo), c}, nil
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
