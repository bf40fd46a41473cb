package grep11client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
)

// fakeServer answers every request of the stream with what answer says. It
// stands for a service in tests of connections; what services do is tested
// against the real one.
type fakeServer struct {
	extpb.UnimplementedSessionServer
	answer  func(context.Context, *extpb.Request) (*extpb.Response, error)
	streams atomic.Int64 // ever opened
	seen    atomic.Int64 // requests
}

func (f *fakeServer) Exchange(s grpc.BidiStreamingServer[extpb.Request, extpb.Response]) error {
	f.streams.Add(1)
	for {
		req, err := s.Recv()
		if err != nil {
			return nil
		}
		f.seen.Add(1)
		resp, err := f.answer(s.Context(), req)
		if err != nil {
			resp = &extpb.Response{Result: &extpb.Response_Error{Error: wire.EncodeError(err)}}
		}
		if resp == nil {
			return nil
		}
		if err := s.Send(resp); err != nil {
			return err
		}
	}
}

// signs answers SignSingle with its data, and GenerateRandom.
func signs(_ context.Context, req *extpb.Request) (*extpb.Response, error) {
	if r := req.GetGenerateRandom(); r != nil {
		return &extpb.Response{Result: &extpb.Response_GenerateRandom{GenerateRandom: &grep11pb.GenerateRandomResponse{Rnd: make([]byte, r.Len)}}}, nil
	}
	return &extpb.Response{Result: &extpb.Response_SignSingle{SignSingle: &grep11pb.SignSingleResponse{Signature: req.GetSignSingle().GetData()}}}, nil
}

func signRequest(data []byte) *extpb.Request {
	return &extpb.Request{Call: &extpb.Request_SignSingle{SignSingle: &grep11pb.SignSingleRequest{
		Mech: &grep11pb.Mechanism{Mechanism: 0x1041}, PrivKey: &grep11pb.KeyBlob{KeyBlobID: make([]byte, 16)}, Data: data}}}
}

// serve runs a gRPC server on a listener until the test ends or stop is called.
func serve(t testing.TB, l net.Listener, session extpb.SessionServer, opts ...grpc.ServerOption) *grpc.Server {
	opts = append(opts, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	s := grpc.NewServer(opts...)
	if session != nil {
		extpb.RegisterSessionServer(s, session)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); done.Wait() })
	return s
}

func listen(t testing.TB, address string) net.Listener {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// certs is a private CA in a folder, with certificates it signed.
type certs struct {
	dir  string
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newCerts(t testing.TB) *certs {
	c := &certs{dir: t.TempDir()}
	c.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	c.ca, _ = x509.ParseCertificate(der)
	c.write(t, "ca.pem", "CERTIFICATE", der)
	return c
}

func (c *certs) path(name string) string { return filepath.Join(c.dir, name) }

func (c *certs) write(t testing.TB, name, kind string, der []byte) {
	if err := os.WriteFile(c.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes NAME.pem and NAME.key, valid until a time from now.
func (c *certs) issue(t testing.TB, name string, valid time.Duration) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.next++
	template := &x509.Certificate{SerialNumber: big.NewInt(c.next + 1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	c.write(t, name+".pem", "CERTIFICATE", der)
	c.write(t, name+".key", "PRIVATE KEY", keyDER)
}

// server gives the credentials of a server that wants client certificates.
func (c *certs) server(t testing.TB, name string) grpc.ServerOption {
	cert, err := tls.LoadX509KeyPair(c.path(name+".pem"), c.path(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.ca)
	return grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}))
}

func (c *certs) client(name string) *TLS {
	return &TLS{CA: c.path("ca.pem"), Cert: c.path(name + ".pem"), Key: c.path(name + ".key")}
}

// quick are timeouts that let tests of failures end soon.
var quick = Timeouts{Connect: 300 * time.Millisecond, Call: 3 * time.Second, Attempt: 300 * time.Millisecond, Unreachable: time.Second}

func dialTo(t testing.TB, cfg Config, addresses ...string) *Client {
	for _, a := range addresses {
		cfg.Endpoints = append(cfg.Endpoints, Endpoint{Address: a})
	}
	if cfg.Timeouts == (Timeouts{}) {
		cfg.Timeouts = quick
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
