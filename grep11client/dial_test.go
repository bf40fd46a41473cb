package grep11client

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func TestCertificates(t *testing.T) {
	ours, theirs := newCerts(t), newCerts(t)
	for name, valid := range map[string]time.Duration{"server": time.Hour, "client": time.Hour, "old": -time.Hour} {
		ours.issue(t, name, valid)
		theirs.issue(t, name, valid)
	}
	good, old := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	serve(t, good, &fakeServer{answer: signs}, ours.server(t, "server"))
	serve(t, old, &fakeServer{answer: signs}, ours.server(t, "old"))
	plain := listen(t, "127.0.0.1:0")
	serve(t, plain, &fakeServer{answer: signs})
	wrongName := ours.client("client")
	wrongName.ServerName = "elsewhere"
	foreign := theirs.client("client")
	foreign.CA = ours.path("ca.pem")
	missing := ours.client("nobody")
	for name, row := range map[string]struct {
		tls  *TLS
		l    net.Listener
		says []string
	}{
		"good on both sides":                  {ours.client("client"), good, nil},
		"a server of another CA":              {theirs.client("client"), good, []string{"CN=server", "does not come from a CA in " + theirs.path("ca.pem")}},
		"an expired server certificate":       {ours.client("client"), old, []string{"server's certificate", "CN=old", "expired on"}},
		"an expired client certificate":       {ours.client("old"), good, []string{"client certificate " + ours.path("old.pem"), "expired on"}},
		"a server of another name":            {wrongName, good, []string{"CN=server", `not for "elsewhere"`}},
		"a client certificate of another CA":  {foreign, good, []string{"does the server accept the client certificate " + theirs.path("client.pem")}},
		"a client without a certificate":      {&TLS{CA: ours.path("ca.pem")}, good, []string{"connected, but"}},
		"a client certificate that is absent": {missing, good, []string{"nobody.pem"}},
		"a CA file without a certificate":     {&TLS{CA: ours.path("client.key")}, good, []string{"holds no certificate"}},
		"TLS to a plaintext server":           {ours.client("client"), plain, []string{"TLS:"}},
		"plaintext to a TLS server":           {nil, good, []string{"connected, but"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := dialTo(t, Config{TLS: row.tls}, row.l.Addr().String()).call(context.Background(), signRequest(nil))
			if row.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRV(t, err, ck.CKR_DEVICE_REMOVED)
			for _, s := range row.says {
				if !strings.Contains(fmt.Sprint(err), s) {
					t.Errorf("%v does not say %q", err, s)
				}
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestANewCertificateIsUsedWithoutARestart(t *testing.T) {
	c := newCerts(t)
	c.issue(t, "server", time.Hour)
	c.issue(t, "client", -time.Minute)
	l := listen(t, "127.0.0.1:0")
	serve(t, l, &fakeServer{answer: signs}, c.server(t, "server"))
	tok := dialTo(t, Config{TLS: c.client("client")}, l.Addr().String()).Token(nil)
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_DEVICE_REMOVED)
	c.issue(t, "client", time.Hour)
	mustSign(t, tok)
}

// TestCertificatesOutlastTheirFiles: a process may have given up the right to read
// them, or meet them half written.
func TestCertificatesOutlastTheirFiles(t *testing.T) {
	for name, spoil := range map[string]func(c *certs) error{
		"files that are out of sight": func(c *certs) error { return os.RemoveAll(c.dir) },
		"a key without its certificate": func(c *certs) error {
			c.issue(t, "other", time.Hour)
			return os.Rename(c.path("other.key"), c.path("client.key"))
		},
		"an expired certificate in place of a good one": func(c *certs) error {
			c.issue(t, "client", -time.Minute)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCerts(t)
			c.issue(t, "server", time.Hour)
			c.issue(t, "client", time.Hour)
			creds := c.server(t, "server")
			l := listen(t, "127.0.0.1:0")
			s := serve(t, l, &fakeServer{answer: signs}, creds)
			tok := dialTo(t, Config{TLS: c.client("client")}, l.Addr().String()).Token(nil)
			mustSign(t, tok)
			if err := spoil(c); err != nil {
				t.Fatal(err)
			}
			s.Stop()
			serve(t, listen(t, l.Addr().String()), &fakeServer{answer: signs}, creds)
			mustSign(t, tok)
		})
	}
}

func TestAUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "grep11")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, &fakeServer{answer: signs})
	mustSign(t, dialTo(t, Config{}, "unix:"+path).Token(nil))
}

// plainServer has grep11.Crypto alone.
type plainServer struct {
	grep11pb.UnimplementedCryptoServer
}

func (plainServer) SignSingle(_ context.Context, r *grep11pb.SignSingleRequest) (*grep11pb.SignSingleResponse, error) {
	return &grep11pb.SignSingleResponse{Signature: r.Data}, nil
}

func (plainServer) GetMechanismList(context.Context, *grep11pb.GetMechanismListRequest) (*grep11pb.GetMechanismListResponse, error) {
	return &grep11pb.GetMechanismListResponse{Mechs: []uint64{1}}, nil
}

func (plainServer) GetMechanismInfo(context.Context, *grep11pb.GetMechanismInfoRequest) (*grep11pb.GetMechanismInfoResponse, error) {
	return &grep11pb.GetMechanismInfoResponse{MechInfo: &grep11pb.MechanismInfo{MinKeySize: 512, MaxKeySize: 4096}}, nil
}

func TestAServerWithoutStreams(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	s := grpc.NewServer()
	grep11pb.RegisterCryptoServer(s, plainServer{})
	var done sync.WaitGroup
	done.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); done.Wait() })
	c := dialTo(t, Config{}, l.Addr().String())
	tok := c.Token(nil)
	if tok.CanPrehash(context.Background()) {
		t.Error("it takes digests")
	}
	for range 3 {
		mustSign(t, tok)
	}
	service, err := c.Service(context.Background())
	if err != nil || len(service.Mechanisms) != 1 || service.Mechanisms[0].Info.MaxKeySize != 4096 {
		t.Errorf("%+v, %v", service, err)
	}
	_, _, err = c.Tokens(context.Background())
	wantRV(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
	_, err = tok.CreateObject(context.Background(), ck.Template{ck.Bool(ck.CKA_TOKEN, true)})
	wantRV(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
	req := signRequest(nil)
	req.Prehashed = true
	_, err = tok.call(context.Background(), req)
	wantRV(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

func TestEveryCallHasAUnaryForm(t *testing.T) {
	fields := callOneof.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		result := results.ByNumber(f.Number())
		if methods[f.Message().FullName()] == "" || result == nil || result.Name() != f.Name() {
			t.Errorf("%s has no method, or no answer of its number", f.Name())
		}
	}
}

func TestCloseEndsEverythingAtOnce(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	serve(t, l, &fakeServer{answer: func(ctx context.Context, r *extpb.Request) (*extpb.Response, error) {
		time.Sleep(time.Millisecond)
		return signs(ctx, r)
	}})
	c := dialTo(t, Config{}, l.Addr().String(), "127.0.0.1:1")
	tok := c.Token(nil)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				if _, err := tok.call(context.Background(), signRequest(nil)); err != nil {
					wantRV(t, err, ck.CKR_FUNCTION_CANCELED)
					return
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	_ = c.Close()
	wg.Wait()
	if d := time.Since(start); d > 300*time.Millisecond {
		t.Errorf("took %v", d)
	}
	_ = c.Close()
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_FUNCTION_CANCELED)
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	serve(t, l, &fakeServer{answer: signs})
	time.Sleep(10 * time.Millisecond)
	before := runtime.NumGoroutine()
	for range 50 {
		c := dialTo(t, Config{}, l.Addr().String(), "127.0.0.1:1")
		mustSign(t, c.Token(nil))
		_ = c.Close()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond) // the server's side takes its time
	}
	t.Errorf("%d goroutines became %d", before, runtime.NumGoroutine())
}
