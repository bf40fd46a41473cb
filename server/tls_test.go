package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t testing.TB) *authority {
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca", "test CA", nil)
	return a
}

// issue writes name.pem and name.key.
func (a *authority) issue(t testing.TB, name, cn string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: by == nil}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	for file, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := x509.ParseCertificate(der)
	return c, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) client(t testing.TB, certName string) grpc.DialOption {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if certName != "" {
		pair, err := tls.LoadX509KeyPair(a.path(certName+".pem"), a.path(certName+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(c))
}

// overLoopback serves on the listeners of a configuration.
func overLoopback(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	s := newServer(t, change)
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return s
}

func withTLS(a *authority, clientAuth string) func(*Config) {
	return func(c *Config) {
		c.Listen.TLS = []string{"127.0.0.1:0"}
		c.TLS = TLS{Cert: a.path("server.pem"), Key: a.path("server.key"), ClientCA: a.path("ca.pem"), ClientAuth: clientAuth}
	}
}

func ask(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := pb.NewCryptoClient(conn).GetMechanismList(ctx, &pb.GetMechanismListRequest{})
	return err
}

func TestWhoIsLetIn(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", "server", a)
	a.issue(t, "client", "client", a)
	stranger := &authority{dir: a.dir}
	stranger.cert, stranger.key = stranger.issue(t, "otherca", "other CA", nil)
	a.issue(t, "stranger", "stranger", stranger)
	h := sha256.Sum256([]byte("api token"))
	bearer := func(c *Config) { c.Auth.Bearer = []string{hex.EncodeToString(h[:])} }
	both := func(c *Config) { bearer(c); c.Auth.RequireBearer = true }
	for _, row := range []struct {
		name, clientAuth string
		change           func(*Config)
		cert, token      string
		want             codes.Code
	}{
		{"a client with a certificate", "require", nil, "client", "", codes.OK},
		{"one without, where it is required", "require", nil, "", "", codes.Unavailable},
		{"one of another CA", "require", nil, "stranger", "", codes.Unavailable},
		{"one without, where it is optional", "optional", nil, "", "", codes.OK},
		{"a bearer token", "optional", bearer, "", "api token", codes.OK},
		{"a wrong token", "optional", bearer, "", "api tokem", codes.Unauthenticated},
		{"no token", "optional", bearer, "", "", codes.Unauthenticated},
		{"a certificate instead of a token", "optional", bearer, "client", "", codes.OK},
		{"a certificate, but a token is needed too", "require", both, "client", "", codes.Unauthenticated},
		{"both", "require", both, "client", "api token", codes.OK},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := overLoopback(t, func(c *Config) {
				withTLS(a, row.clientAuth)(c)
				if row.change != nil {
					row.change(c)
				}
			})
			ctx := t.Context()
			if row.token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+row.token)
			}
			err := ask(ctx, dial(t, s.Addr(true).String(), a.client(t, row.cert)))
			if status.Code(err) != row.want {
				t.Fatalf("%v, want %v", err, row.want)
			}
			if row.want == codes.Unauthenticated {
				wantRV(t, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
			}
		})
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", "first", a)
	s := overLoopback(t, withTLS(a, "optional"))
	name := func() string {
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		c, err := tls.Dial("tcp", s.Addr(true).String(), &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if p := c.ConnectionState().NegotiatedProtocol; p != "h2" {
			t.Errorf("ALPN gave %q", p)
		}
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if n := name(); n != "first" {
		t.Fatalf("certificate of %q", n)
	}
	if err := os.WriteFile(a.path("server.pem"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lookEvery)
	if n := name(); n != "first" {
		t.Fatalf("a damaged file gave the certificate of %q", n)
	}
	a.issue(t, "server", "second", a)
	time.Sleep(lookEvery)
	if n := name(); n != "second" {
		t.Fatalf("after the change: certificate of %q", n)
	}
}

func TestUnixAndPlaintextListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket) // a socket left by a killed server
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	s := overLoopback(t, func(c *Config) {
		c.Listen.Unix = socket
		c.Listen.Plaintext = []string{"127.0.0.1:0"}
		c.Auth.Bearer = []string{hex.EncodeToString(make([]byte, 32))} // asked for over TLS only
	})
	for _, target := range []string{"unix:" + socket, s.Addr(false).String()} {
		if err := ask(t.Context(), dial(t, target, grpc.WithTransportCredentials(insecure.NewCredentials()))); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if err := removeStaleSocket(socket); err == nil {
		t.Error("the socket of a living server was removed")
	}
}

func TestTooManyConnectionsAreTurnedAway(t *testing.T) {
	s := overLoopback(t, func(c *Config) {
		c.Listen.Plaintext = []string{"127.0.0.1:0"}
		c.Listen.Connections = 2
	})
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	var conns []*grpc.ClientConn
	for i := range 3 {
		conn := dial(t, s.Addr(false).String(), plain)
		conns = append(conns, conn)
		if err := ask(t.Context(), conn); (err == nil) != (i < 2) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	_ = conns[0].Close()
	for end := time.Now().Add(5 * time.Second); ask(t.Context(), dial(t, s.Addr(false).String(), plain)) != nil; {
		if time.Now().After(end) {
			t.Fatal("a closed connection still counts")
		}
	}
}
