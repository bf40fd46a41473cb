package grep11client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"grep11/grep11client/direct"
	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

// counted keeps the connections that were made to a listener.
type counted struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *counted) conn(i int) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[i]
}

func (c *counted) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

// lone is a client with one caller.
type lone struct {
	*testing.T
	*Client
	server *fakeServer
	at     *counted
}

func newLone(t *testing.T, f *fakeServer, cfg Config) *lone {
	t.Helper()
	at := &counted{Listener: listen(t, "127.0.0.1:0")}
	serve(t, at, f)
	return &lone{t, dialTo(t, cfg, at.Addr().String()), f, at}
}

func (l *lone) sign(n int) {
	l.Helper()
	data := bytes.Repeat([]byte{5}, n)
	resp, err := l.call(context.Background(), signRequest(data))
	if err != nil || !bytes.Equal(resp.GetSignSingle().Signature, data) {
		l.Fatalf("a call: %v", err)
	}
}

func (l *lone) link() *link { return l.endpoints[0].link.Load() }

func (l *lone) line() *line {
	s := &l.link().lines
	s.mu.Lock()
	defer s.mu.Unlock()
	for ln := range s.all {
		return ln
	}
	return nil
}

// withLine calls until there is a line, and once more.
func (l *lone) withLine() *line {
	l.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		l.sign(32)
		if ln := l.line(); ln != nil {
			l.sign(32)
			return ln
		}
	}
	l.Fatal("no line was made")
	return nil
}

func TestALoneCallerGetsALine(t *testing.T) {
	l := newLone(t, &fakeServer{answer: signs}, Config{})
	for range lineAfter - 1 {
		l.sign(32)
	}
	if n := l.at.made(); n != 1 {
		t.Fatalf("%d connections for a few calls", n)
	}
	ln := l.withLine()
	streams := l.server.streams.Load()
	for range 3 * lineAfter {
		l.sign(32)
	}
	if l.line() != ln || l.at.made() != 2 || l.server.streams.Load() != streams {
		t.Errorf("%d connections, %d streams after %d", l.at.made(), l.server.streams.Load(), streams)
	}
	l.sign(direct.MaxRequest)
	if l.line() != ln {
		t.Error("a large request cost the line")
	}
}

func TestALineOverMutualTLS(t *testing.T) {
	certs := newCerts(t)
	certs.issue(t, "server", time.Hour)
	certs.issue(t, "client", time.Hour)
	at := &counted{Listener: listen(t, "127.0.0.1:0")}
	f := &fakeServer{answer: signs}
	serve(t, at, f, certs.server(t, "server"))
	l := &lone{t, dialTo(t, Config{TLS: certs.client("client")}, at.Addr().String()), f, at}
	ln := l.withLine()
	l.sign(10000)
	if l.line() != ln {
		t.Error("the line was lost")
	}
}

func TestNoLine(t *testing.T) {
	for name, c := range map[string]struct {
		pool Pool
		req  *extpb.Request
	}{
		"it is turned off":               {Pool{Lines: -1}, signRequest(nil)},
		"the call may not be made twice": {Pool{}, &extpb.Request{Call: &extpb.Request_SetPin{SetPin: &extpb.SetPinRequest{}}}},
		"the call may take long":         {Pool{}, &extpb.Request{Call: &extpb.Request_MakeKey{MakeKey: &extpb.MakeKeyRequest{}}}},
	} {
		l := newLone(t, &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
			if req.GetSignSingle() == nil {
				return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
			}
			return signs(ctx, req)
		}}, Config{Pool: c.pool})
		for range 3 * lineAfter {
			_, _ = l.call(context.Background(), c.req)
		}
		time.Sleep(50 * time.Millisecond)
		if n := l.at.made(); n != 1 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

// together has callers side by side.
func (l *lone) together(callers, calls int) {
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range calls {
				l.sign(32)
			}
		})
	}
	all.Wait()
}

func TestAFewCallersHaveALineEach(t *testing.T) {
	l := newLone(t, &fakeServer{answer: slowly}, Config{})
	l.together(3, 100)
	if n := l.at.made(); n != 4 {
		t.Errorf("%d connections", n)
	}
	streams := l.server.streams.Load()
	l.together(3, 100)
	if n := l.server.streams.Load(); n != streams {
		t.Errorf("%d streams after %d", n, streams)
	}
}

func TestManyCallersShareTheLink(t *testing.T) {
	l := newLone(t, &fakeServer{answer: slowly}, Config{})
	l.together(16, 100)
	if n := l.at.made(); n > 1+DefaultPool.Lines {
		t.Errorf("%d connections", n)
	}
}

// Many are few only once they have been fewer for a while.
func TestCrowd(t *testing.T) {
	for callers, want := range map[int]bool{1: true, 8: true, 9: false, 16: false} {
		var c crowd
		for range callers - 1 {
			c.enter(8)
		}
		var few bool
		for range 200 {
			few = c.enter(8)
			c.leave()
		}
		if few != want {
			t.Errorf("%d callers are few: %v", callers, few)
		}
	}
}

// slowly leaves other callers time to come.
func slowly(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
	time.Sleep(time.Millisecond)
	return signs(ctx, req)
}

// A line that is lost, unused or in a call, costs nobody a call, nor the link.
func TestALostLine(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	var held sync.Once
	var hold atomic.Bool
	l := newLone(t, &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
		if hold.Load() {
			held.Do(func() { close(began); <-goOn })
		}
		return signs(ctx, req)
	}}, Config{})
	l.withLine()
	link := l.link()
	_ = l.at.conn(1).Close()
	l.sign(32)
	if l.line() != nil {
		t.Error("the lost line is still there")
	}
	l.withLine()
	hold.Store(true)
	go func() { <-began; _ = l.at.conn(2).Close(); close(goOn) }()
	l.sign(32)
	l.withLine()
	if l.link() != link || l.at.made() != 4 {
		t.Errorf("%d connections", l.at.made())
	}
}

func TestTheServerEndsALine(t *testing.T) {
	var refuse atomic.Bool
	l := newLone(t, &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
		if refuse.Swap(false) {
			return nil, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED
		}
		return signs(ctx, req)
	}}, Config{})
	l.withLine()
	refuse.Store(true) // as when a bearer token has expired
	_, err := l.call(context.Background(), signRequest(nil))
	if err != nil && !errors.Is(err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED) {
		t.Errorf("a call: %v", err)
	}
	if l.line() != nil {
		t.Error("a stranger keeps its line")
	}
	l.sign(32)
}

// muted is a server that answers as long as it is not muted.
func muted(t *testing.T) (*fakeServer, *atomic.Bool) {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	mute := new(atomic.Bool)
	return &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
		if mute.Load() {
			<-end
		}
		return signs(ctx, req)
	}}, mute
}

// A server that has stopped answering is as on a stream: the call ends in time.
func TestALineThatIsSilent(t *testing.T) {
	f, mute := muted(t)
	l := newLone(t, f, Config{Timeouts: Timeouts{Connect: time.Second, Call: 400 * time.Millisecond}})
	l.withLine()
	mute.Store(true)

	began := time.Now()
	_, err := l.call(context.Background(), signRequest(nil))
	if took := time.Since(began); !errors.Is(err, ck.CKR_DEVICE_ERROR) || took > 2*time.Second {
		t.Errorf("no answer: %v after %v", err, took)
	}
}

func TestALineWhoseCallerGivesUp(t *testing.T) {
	f, mute := muted(t)
	l := newLone(t, f, Config{Timeouts: Timeouts{Connect: time.Second, Call: time.Minute}})
	for name, end := range map[string]func(context.CancelFunc){
		"its context ends":     func(cancel context.CancelFunc) { cancel() },
		"the client is closed": func(context.CancelFunc) { _ = l.Close() },
	} {
		if l.ctx.Err() != nil {
			l.Client = dialTo(t, Config{Timeouts: l.cfg.Timeouts}, l.at.Addr().String())
		}
		mute.Store(false)
		l.withLine()
		mute.Store(true)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, func() { end(cancel) })
		began := time.Now()
		_, err := l.call(ctx, signRequest(nil))
		if took := time.Since(began); err == nil || took > 2*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		cancel()
	}
}

func TestAnUnusedLineIsClosed(t *testing.T) {
	l := newLone(t, &fakeServer{answer: signs}, Config{})
	ln := l.withLine()
	s := &l.link().lines
	s.rest(ln)
	if l.line() == nil {
		t.Fatal("closed too soon")
	}
	s.mu.Lock()
	ln.used = time.Now().Add(-lineIdle)
	s.mu.Unlock()
	s.rest(ln)
	if l.line() != nil {
		t.Error("still there")
	}
	l.sign(32)
	l.withLine()
}

// A server that does not want another connection is not asked all the time.
func TestALineThatCannotBeMade(t *testing.T) {
	l := newLone(t, &fakeServer{answer: signs}, Config{})
	l.sign(32)
	var tries atomic.Int64
	l.dialer = func(context.Context, string, string) (net.Conn, error) {
		tries.Add(1)
		return nil, status.Error(codes.ResourceExhausted, "no more")
	}
	for range 10 * lineAfter {
		l.sign(32)
	}
	time.Sleep(50 * time.Millisecond)
	l.sign(32)
	if n := tries.Load(); n != 1 {
		t.Errorf("%d tries", n)
	}
}
