package grep11client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/direct"
	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
)

// A line is a Session.Exchange on a connection of its own, for a call that is alone
// on its link: one thread that calls again and again, as in most programs, is
// answered in two thirds of the time. Calls beside others share the link's
// connection, which carries many of them at once better. Losing a line is no
// failure of the link's: its call is made again on a stream.
type line struct {
	*direct.Stream
	socket *direct.Socket
	bound
}

const (
	// lineAfter is how many calls in a row are alone before a line is made. A program
	// that makes a few has no use for one.
	lineAfter = 16
	// lineIdle is how long a line lives unused: so short that no server asks meanwhile
	// whether we are there.
	lineIdle = 10 * time.Second
	// linePause is waited for after a failure to make one.
	linePause = time.Minute
)

// lines is a link's line, if it has one.
type lines struct {
	mu     sync.Mutex
	line   *line       // guarded by mu
	leased bool        // guarded by mu
	used   time.Time   // guarded by mu: when it was given back
	idle   *time.Timer // guarded by mu: ends the line
	alone  int         // guarded by mu: calls that could have used one
	making bool        // guarded by mu
	not    time.Time   // guarded by mu: none is made before
	closed bool        // guarded by mu
}

// leaseLine gives the line for a call that is alone, nil where it takes a stream.
func (l *link) leaseLine(req *extpb.Request) *line {
	if l.ep.c.cfg.Pool.NoLine || !repeatable(req) || slow(req) || proto.Size(req) > direct.MaxRequest {
		return nil
	}
	s := &l.lines
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.line != nil && !s.leased:
		s.leased = true
		return s.line
	case s.line != nil || s.making || s.closed:
		return nil
	}
	if s.alone++; s.alone >= lineAfter && time.Now().After(s.not) {
		s.alone = 0
		s.making = l.ep.c.own(l.makeLine)
	}
	return nil
}

// callLine is call on a line that was leased for it.
func (l *link) callLine(ctx context.Context, limit time.Duration, req *extpb.Request, ln *line) (*extpb.Response, bool, error) {
	seen := l.answers.Load()
	l.busyWith(&ln.bound, true)
	ln.begin(ctx, limit)
	l.watchCalls()
	resp, err := ln.exchange(req)
	late, stopped := ln.end()
	l.busyWith(&ln.bound, false)
	l.releaseLine(ln, err == nil && !stopped && !stranger(resp) && ln.Good())
	switch _, told := status.FromError(err); {
	case err == nil:
		l.answers.Add(1)
		return resp, true, nil
	case late || ctx.Err() != nil:
		return nil, true, l.blame(ctx, late, seen, err)
	case told:
		return nil, true, wire.Transient(wire.DecodeStatus(err)) // a stream will tell
	}
	return nil, true, fmt.Errorf("%w: %v", errLinkDead, err)
}

// busyWith shows a call to the guard, or takes it away.
func (l *link) busyWith(b *bound, busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if busy {
		l.busy[b] = struct{}{}
	} else {
		delete(l.busy, b)
	}
}

func (ln *line) exchange(req *extpb.Request) (*extpb.Response, error) {
	answer, err := ln.Call(func(buf []byte) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(buf, req) })
	if err != nil {
		return nil, err
	}
	resp := new(extpb.Response)
	return resp, proto.Unmarshal(answer, resp)
}

// releaseLine gives the line back; a broken one is thrown away.
func (l *link) releaseLine(ln *line, good bool) {
	s := &l.lines
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leased, s.used = false, time.Now()
	if !good || s.closed {
		s.end()
	}
}

// end closes the line, which is not leased.
func (s *lines) end() {
	s.idle.Stop()
	_ = s.line.socket.Close()
	s.line = nil
}

// rest ends a line that was not used, from time to time.
func (s *lines) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch left := lineIdle - time.Since(s.used); {
	case s.line == nil:
	case s.leased || left > 0:
		s.idle.Reset(max(left, lineIdle/2))
	default:
		s.end()
	}
}

// close ends the line, and a call on it.
func (s *lines) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	switch {
	case s.line == nil:
	case s.leased: // releaseLine closes it
		s.line.socket.Shut()
	default:
		s.end()
	}
}

// makeLine runs beside the calls.
func (l *link) makeLine() {
	ln, err := l.openLine()
	s := &l.lines
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making = false
	switch {
	case err != nil:
		s.not = time.Now().Add(linePause)
	case s.closed:
		_ = ln.socket.Close()
	default:
		s.line, s.used = ln, time.Now()
		s.idle = time.AfterFunc(lineIdle, s.rest)
	}
}

func (l *link) openLine() (*line, error) {
	e := l.ep
	ctx, cancel := context.WithTimeout(l.ctx, e.c.cfg.Timeouts.Connect)
	defer cancel()
	exchange, err := e.exchange(ctx)
	if err != nil {
		return nil, err
	}
	network, address := e.network()
	conn, err := e.c.dialer(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ln := &line{socket: direct.NewSocket(conn)}
	ln.stop = ln.socket.Shut
	defer context.AfterFunc(ctx, ln.socket.Shut)()
	secure, err := e.secure(ctx, ln.socket)
	if err != nil {
		return nil, err
	}
	if ln.Stream, err = direct.Open(secure.Conn, exchange); err == nil {
		err = ln.socket.Block()
	}
	if err != nil {
		_ = ln.socket.Close()
		return nil, err
	}
	return ln, nil
}

// exchange is what a line calls.
func (e *endpoint) exchange(ctx context.Context) (direct.Method, error) {
	m := direct.Method{TLS: e.c.cfg.TLS != nil, Authority: e.serverName(), Path: extpb.Session_Exchange_FullMethodName,
		Metadata: []hpack.HeaderField{{Name: "user-agent", Value: userAgent}}}
	token, err := e.c.bearer.current(ctx)
	if len(token) > 0 {
		m.Metadata = append(m.Metadata, hpack.HeaderField{Name: bearerKey, Value: "Bearer " + string(token), Sensitive: true})
	}
	return m, err
}
