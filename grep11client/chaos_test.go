package grep11client

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// chaos is a TCP proxy that after a while does one bad thing to each
// connection, the kinds taking turns.
type chaos struct {
	target string
	bytes  int // a connection's faultless life, about
	turn   atomic.Int64
	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
}

var faults = []func(from, to *net.TCPConn, data []byte){
	func(from, to *net.TCPConn, _ []byte) { _ = from.SetLinger(0); _ = from.Close(); _ = to.Close() }, // reset
	func(_, to *net.TCPConn, _ []byte) { _ = to.CloseWrite(); time.Sleep(50 * time.Millisecond) },     // half-close
	func(_, to *net.TCPConn, data []byte) { data[rand.N(len(data))] ^= 0x40; _, _ = to.Write(data) },  // flip a bit
	func(_, to *net.TCPConn, data []byte) { _, _ = to.Write(data[:len(data)/2]); _ = to.Close() },     // cut short
	func(_, to *net.TCPConn, data []byte) { time.Sleep(100 * time.Millisecond); _, _ = to.Write(data) },
	func(_, to *net.TCPConn, data []byte) { _, _ = to.Write(data); _, _ = to.Write(data) }, // twice
}

func startChaos(t *testing.T, target string, bytes int) string {
	l := listen(t, "127.0.0.1:0")
	c := &chaos{target: target, bytes: bytes}
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.serve(conn.(*net.TCPConn))
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return l.Addr().String()
}

func (c *chaos) serve(in *net.TCPConn) {
	conn, err := net.Dial("tcp", c.target)
	if err != nil {
		_ = in.Close()
		return
	}
	out := conn.(*net.TCPConn)
	c.mu.Lock()
	c.conns = append(c.conns, in, out)
	c.mu.Unlock()
	c.wg.Go(func() { c.pass(in, out) })
	c.wg.Go(func() { c.pass(out, in) })
}

func (c *chaos) pass(from, to *net.TCPConn) {
	left := c.bytes/2 + rand.N(c.bytes)
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.CloseWrite()
			return
		}
		if left -= n; left < 0 {
			faults[int(c.turn.Add(1))%len(faults)](from, to, buf[:n])
			_, _ = io.Copy(to, from)
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestBadConnectionsLoseNoCall(t *testing.T) {
	certs := newCerts(t)
	certs.issue(t, "server", time.Hour)
	certs.issue(t, "client", time.Hour)
	l := listen(t, "127.0.0.1:0")
	serve(t, l, &fakeServer{answer: signs}, certs.server(t, "server"))
	one, two := startChaos(t, l.Addr().String(), 50_000), startChaos(t, l.Addr().String(), 80_000)
	timeouts := quick
	timeouts.Call, timeouts.Unreachable = 10*time.Second, 5*time.Second
	tok := dialTo(t, Config{TLS: certs.client("client"), Timeouts: timeouts}, one, two).Token(nil)
	mustSign(t, tok)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				mustSign(t, tok)
			}
		})
	}
	wg.Wait()
}
