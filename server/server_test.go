package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
	"grep11/server/unit"
)

// newServer is a server on two emulated units with one master key.
func newServer(t testing.TB, change ...func(*Config)) *Server {
	t.Helper()
	c := Defaults()
	for _, f := range change {
		f(&c)
	}
	store, err := keystore.Open(t.Context(), filepath.Join(t.TempDir(), "keystore.db"))
	if err != nil {
		t.Fatal(err)
	}
	master := make([]byte, unit.LenWrappingKey)
	rand.Read(master)
	var members []balancer.Member
	for _, name := range []string{"one", "two"} {
		u, err := soft.New(soft.Config{Name: name, MasterKey: master})
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, balancer.Member{Unit: u, Kind: "soft"})
	}
	s, err := New(c, store, members, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inMemory serves over an in-memory connection until the test ends.
func inMemory(t testing.TB, s *Server) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.ServeOn(l) })
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return dial(t, "passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
}

func dial(t testing.TB, target string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	o = append(o, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	conn, err := grpc.NewClient(target, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// crypto is a GREP11 client of a fresh server.
func crypto(t testing.TB) (pb.CryptoClient, *Server) {
	s := newServer(t)
	return pb.NewCryptoClient(inMemory(t, s)), s
}

// detail demands GREP11's form of an error: exactly one Grep11Error, the bare
// name as message. It gives zero for no error.
func detail(t testing.TB, err error) *pb.Grep11Error {
	t.Helper()
	if err == nil {
		return &pb.Grep11Error{}
	}
	st := status.Convert(err)
	details := st.Details()
	if len(details) != 1 {
		t.Fatalf("%d details in %v", len(details), err)
	}
	d, ok := details[0].(*pb.Grep11Error)
	if !ok {
		t.Fatalf("detail is a %T", details[0])
	}
	if st.Message() != ck.RV(d.Code).Error() {
		t.Fatalf("message %q of code %v", st.Message(), ck.RV(d.Code))
	}
	return d
}

// wantRV demands a return value, CKR_OK for none.
func wantRV(t testing.TB, err error, want ck.RV) {
	t.Helper()
	if got := ck.RV(detail(t, err).Code); got != want {
		t.Fatalf("%v (%v), want %v", got, err, want)
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %s", err, detail(t, err).Detail)
		}
		return v
	}
}
