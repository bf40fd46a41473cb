package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "grep11/grep11client/grep11pb"
)

// greedy is a caller that speaks HTTP/2 by hand and gives no room for answers.
type greedy struct {
	*testing.T
	conn net.Conn
	*http2.Framer
	next  uint32
	ended chan struct{} // closed with the connection
}

func newGreedy(t *testing.T, s *Server) *greedy {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr(false).String())
	if err != nil {
		t.Fatal(err)
	}
	g := &greedy{T: t, conn: conn, Framer: http2.NewFramer(conn, conn), next: 1, ended: make(chan struct{})}
	t.Cleanup(func() { _ = conn.Close(); <-g.ended })
	go func() {
		defer close(g.ended)
		_, _ = io.Copy(io.Discard, conn)
	}()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	return g
}

// call begins a unary call; it does not care whether the connection is gone.
func (g *greedy) call(method string, body []byte, end bool) {
	var h bytes.Buffer
	e := hpack.NewEncoder(&h)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/grep11.Crypto/" + method}, {":authority", "x"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = g.WriteHeaders(http2.HeadersFrameParam{StreamID: g.next, BlockFragment: h.Bytes(), EndHeaders: true})
	for len(body) > 16000 {
		_ = g.WriteData(g.next, false, body[:16000])
		body = body[16000:]
	}
	if len(body) > 0 {
		_ = g.WriteData(g.next, end, body)
	}
	g.next += 2
}

// begin begins n calls and sends nothing more.
func (g *greedy) begin(n int) {
	for range n {
		g.call("SignSingle", nil, false)
	}
}

func framed(n int, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(n)), message...)
}

// TestACallerWhoHoldsTooMuchIsCutOff, and nobody else is.
func TestACallerWhoHoldsTooMuchIsCutOff(t *testing.T) {
	random, err := proto.Marshal(&pb.GenerateRandomRequest{Len: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	const memory = 400 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory / 4 * 3)) // garbage counts, too
	for name, step := range map[string]func(*greedy){
		"answers that are not read":         func(g *greedy) { g.call("GenerateRandom", framed(len(random), random), true) },
		"requests that come to no end":      func(g *greedy) { g.call("SignSingle", framed(2<<20, make([]byte, 1<<20)), false) },
		"requests of which nothing came":    func(g *greedy) { g.begin(200) },
		"requests of which only a bit came": func(g *greedy) { g.call("SignSingle", framed(60<<20, make([]byte, 3<<20)), false) },
	} {
		t.Run(name, func(t *testing.T) {
			s := overLoopback(t, func(c *Config) {
				c.Listen.Plaintext, c.Listen.Memory, c.Listen.Streams = []string{"127.0.0.1:0"}, memory, 20_000
			})
			client := pb.NewCryptoClient(dial(t, s.Addr(false).String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
			g := newGreedy(t, s)
			for i := 0; ; i++ {
				step(g)
				if _, err := client.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 32}); err != nil {
					t.Fatal("another caller:", err)
				}
				if held := s.doors.holdings.total.Load(); held > memory/2 {
					t.Fatalf("%d bytes are held", held)
				}
				select {
				case <-g.ended:
				default:
					if i > 2*memory>>20 {
						t.Fatal("it goes on for ever")
					}
					continue
				}
				break
			}
			for end := time.Now().Add(10 * time.Second); s.doors.holdings.total.Load() > fairHolding; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d bytes are held afterwards", s.doors.holdings.total.Load())
				}
			}
		})
	}
}

// TestWhoReadsHoldsNothing: the estimate does not grow with use.
func TestWhoReadsHoldsNothing(t *testing.T) {
	s := overLoopback(t, func(c *Config) { c.Listen.Plaintext = []string{"127.0.0.1:0"} })
	client := pb.NewCryptoClient(dial(t, s.Addr(false).String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 300 {
		if _, err := client.GenerateRandom(ctx, &pb.GenerateRandomRequest{Len: uint64(1 + i*3000)}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.DigestSingle(ctx, &pb.DigestSingleRequest{Mech: mechanism(0x250), Data: make([]byte, i*3000)}); err != nil {
			t.Fatal(err)
		}
	}
	if held := s.doors.holdings.total.Load(); held > fairHolding {
		t.Errorf("%d bytes are held", held)
	}
}

// TestMetadataOfARequestIsBounded: a byte can stand for a whole field, and made the
// server keep 5 GB for 25 MB that one caller sent.
func TestMetadataOfARequestIsBounded(t *testing.T) {
	s := overLoopback(t, func(c *Config) { c.Listen.Plaintext = []string{"127.0.0.1:0"} })
	client := pb.NewCryptoClient(dial(t, s.Addr(false).String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	for n, want := range map[int]codes.Code{maxBearer: codes.OK, maxHeaders: codes.Internal} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+strings.Repeat("a", n))
		_, err := client.GenerateRandom(ctx, &pb.GenerateRandomRequest{Len: 32}, grpc.WaitForReady(true))
		if status.Code(err) != want {
			t.Errorf("a token of %d bytes: %v, want %v", n, err, want)
		}
	}
}
