package grep11client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/direct"
	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
)

// A line is a Session.Exchange on a connection of its own, for a caller that has few
// beside it: a thread that calls again and again, as in most programs, is answered in
// two thirds of the time. Many share the link's connection, which carries their calls
// at once better. Losing a line is no failure of the link's: its call is made again on
// a stream.
type line struct {
	*direct.Stream
	socket *direct.Socket
	used   time.Time   // guarded by lines.mu: when it was given back
	idle   *time.Timer // guarded by lines.mu: ends it
	bound
}

const (
	// lineAfter is how many calls have no line before one is made. A program that makes
	// a few calls has no use for one.
	lineAfter = 16
	// lineIdle is how long a line lives unused: so short that no server asks meanwhile
	// whether we are there.
	lineIdle = 10 * time.Second
	// linePause is waited for after a failure to make one.
	linePause = time.Minute
)

// lines are a link's lines.
type lines struct {
	mu     sync.Mutex
	idle   []*line            // guarded by mu: not leased; the last used is the last
	all    map[*line]struct{} // guarded by mu
	wanted int                // guarded by mu: calls that could have used another one
	making bool               // guarded by mu
	not    time.Time          // guarded by mu: none is made before
	closed bool               // guarded by mu
}

// leaseLine gives a line for a call, nil where it takes a stream.
func (l *link) leaseLine(req *extpb.Request) *line {
	if !repeatable(req) || slow(req) || proto.Size(req) > direct.MaxRequest {
		return nil
	}
	s := &l.lines
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		ln := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return ln
	}
	if s.making || s.closed || len(s.all) >= l.ep.c.Lines() {
		return nil
	}
	if s.wanted++; s.wanted >= lineAfter && time.Now().After(s.not) {
		s.wanted = 0
		s.making = l.ep.c.own(l.makeLine)
	}
	return nil
}

// Lines is how many callers at a time the client has connections for, beside the
// one that all share.
func (c *Client) Lines() int {
	if c.store != nil { // a service without streams
		return 0
	}
	return max(c.cfg.Pool.Lines, 0)
}

type crowded struct{}

// Crowded marks the calls of callers that are many, beyond what a client sees of
// them: they get no lines.
func Crowded(ctx context.Context) context.Context { return context.WithValue(ctx, crowded{}, true) }

// crowd counts calls under way.
type crowd struct {
	inside atomic.Int64
	met    atomic.Int64 // others that one meets, of late, in 256ths
}

// enter tells whether callers are no more than lines, of late. c/relay.c judges alike.
func (c *crowd) enter(lines int) (few bool) {
	others, met := c.inside.Add(1)-1, c.met.Load()
	met += (others<<8 - met) / 16
	c.met.Store(met)
	return met < int64(2*lines-1)<<7
}

func (c *crowd) leave() { c.inside.Add(-1) }

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
	marshal := proto.MarshalOptions{UseCachedSize: true} // leaseLine has just asked for it
	answer, err := ln.Call(func(buf []byte) ([]byte, error) { return marshal.MarshalAppend(buf, req) })
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
	ln.used = time.Now()
	if good && !s.closed {
		s.idle = append(s.idle, ln)
	} else {
		s.end(ln)
	}
}

// end closes a line that is not leased.
func (s *lines) end(ln *line) {
	ln.idle.Stop()
	_ = ln.socket.Close()
	delete(s.all, ln)
}

// rest ends a line that was not used, from time to time.
func (s *lines) rest(ln *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.idle, ln)
	_, there := s.all[ln]
	switch left := lineIdle - time.Since(ln.used); {
	case !there:
	case at < 0 || left > 0:
		ln.idle.Reset(max(left, lineIdle/2))
	default:
		s.idle = slices.Delete(s.idle, at, at+1)
		s.end(ln)
	}
}

// close ends the lines, and calls on them.
func (s *lines) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, ln := range s.idle {
		s.end(ln)
	}
	s.idle = nil
	for ln := range s.all { // releaseLine closes it
		ln.socket.Shut()
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
		ln.used = time.Now()
		ln.idle = time.AfterFunc(lineIdle, func() { s.rest(ln) })
		s.all[ln] = struct{}{}
		s.idle = append(s.idle, ln)
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
	conn, err := e.connect(ctx)
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
	bearer, err := e.c.bearer.header(ctx)
	if bearer != "" {
		m.Metadata = append(m.Metadata, hpack.HeaderField{Name: bearerKey, Value: bearer, Sensitive: true})
	}
	return m, err
}
