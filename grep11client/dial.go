package grep11client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const (
	maxMessage = 64 << 20 // bytes, as GREP11 servers take
	// window and buffers: fixed windows also switch off bandwidth probing, whose
	// pings would cost more than they bring on short messages.
	window     = 4 << 20
	bufferSize = 64 << 10
	userAgent  = "libgrep11-pkcs11"
)

// dial connects to an endpoint and waits until it is ready for calls. TCP and
// TLS are done here rather than by gRPC: certificates are read anew each time,
// errors say what is wrong, and the socket can be closed without waiting.
func (e *endpoint) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, e.c.cfg.Timeouts.Connect)
	defer cancel()
	raw, err := e.dialTLS(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///grep11", e.options(raw)...)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	l := newLink(e, conn, raw)
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		failed := state == connectivity.TransientFailure || state == connectivity.Shutdown
		if failed || !conn.WaitForStateChange(ctx, state) {
			err := e.handshakeError(ctx, raw)
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// handshakeError says why a connection that stood did not get ready. With TLS
// 1.3 a server that does not like our certificate says so only now, and its
// word may get lost when it closes the connection right after.
func (e *endpoint) handshakeError(ctx context.Context, raw *socket) error {
	err := raw.failure()
	switch {
	case err == nil && ctx.Err() != nil:
		return errors.New("connected, but the server does not speak")
	case err == nil:
		return errors.New("connected, but the server does not speak gRPC")
	case e.c.cfg.TLS != nil && e.c.cfg.TLS.Cert != "":
		return also(fmt.Errorf("connected, but then: %w (does the server accept the client certificate %s?)", err, e.c.cfg.TLS.Cert), raw.stale)
	}
	return fmt.Errorf("connected, but then: %w", err)
}

func (e *endpoint) options(raw *socket) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(raw.once),
		grpc.WithTransportCredentials(established{tls: e.c.cfg.TLS != nil}),
		grpc.WithAuthority(e.serverName()),
		grpc.WithUserAgent(userAgent),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: e.c.cfg.Pool.Keepalive, Timeout: e.c.cfg.Timeouts.Connect}), // of a ping
		grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(), grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0), grpc.WithNoProxy(),
	}
}

// serverName is the name the server must prove.
func (e *endpoint) serverName() string {
	if t := e.c.cfg.TLS; t != nil && t.ServerName != "" {
		return t.ServerName
	}
	if network, address := e.network(); network == "tcp" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			return host
		}
	}
	return "localhost"
}

func (e *endpoint) dialTLS(ctx context.Context) (*socket, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	return e.secure(ctx, conn)
}

func (e *endpoint) connect(ctx context.Context) (net.Conn, error) {
	network, address := e.network()
	return e.c.dialer(ctx, network, address)
}

// secure does TLS on a connection, where the configuration says so.
func (e *endpoint) secure(ctx context.Context, conn net.Conn) (*socket, error) {
	raw := &socket{Conn: conn, under: conn}
	if e.c.cfg.TLS == nil {
		return raw, nil
	}
	config, stale, err := e.c.certs.load(e.c.cfg.TLS)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	config.ServerName = e.serverName()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, also(e.c.cfg.TLS.explain(err), stale)
	}
	raw.stale = stale
	raw.Conn = secure
	return raw, nil
}

// socket is a connection whose first failure is remembered and that can be
// closed under TLS and gRPC.
type socket struct {
	net.Conn
	under net.Conn
	taken atomic.Bool
	err   atomic.Pointer[error]
	stale error // see certificates.load
}

// once hands the socket to gRPC. A second connection is a new link's business.
func (s *socket) once(context.Context, string) (net.Conn, error) {
	if s.taken.Swap(true) {
		return nil, net.ErrClosed
	}
	return s, nil
}

func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.note(err)
	return n, err
}

func (s *socket) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.note(err)
	return n, err
}

func (s *socket) note(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.err.CompareAndSwap(nil, &err)
	}
}

// Close closes the socket at once; TLS would first say goodbye, and wait.
func (s *socket) Close() error { return s.under.Close() }

func (s *socket) failure() error {
	if p := s.err.Load(); p != nil {
		return *p
	}
	return nil
}

// established tells gRPC about a connection whose handshake is done.
type established struct{ tls bool }

type connInfo struct{ credentials.CommonAuthInfo }

func (connInfo) AuthType() string { return "established" }

func (c established) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, connInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

func (c established) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("not a server")
}

func (c established) Info() credentials.ProtocolInfo {
	if c.tls {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

func (c established) Clone() credentials.TransportCredentials { return c }

func (c established) OverrideServerName(string) error { return nil }
