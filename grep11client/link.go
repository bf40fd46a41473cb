package grep11client

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// link is one connection with its streams. It starts ready and never comes
// back from the dead: the endpoint makes a new one.
type link struct {
	ep      *endpoint
	conn    *grpc.ClientConn
	raw     net.Conn
	ctx     context.Context // ended by fail
	fail    context.CancelFunc
	slots   chan struct{} // one per open stream in use
	unary   atomic.Bool   // the server lacks grep11.ext.v1.Session
	calls   crowd
	answers atomic.Uint64 // received; a slow call beside others' answers is just slow
	guarded atomic.Bool   // guard runs
	lines   lines

	mu     sync.Mutex
	busy   map[*bound]struct{} // calls under way, and leased streams
	idle   []*stream           // the last used is the last
	closed bool                // no stream comes back any more
}

func newLink(e *endpoint, conn *grpc.ClientConn, raw net.Conn) *link {
	l := &link{ep: e, conn: conn, raw: raw, slots: make(chan struct{}, e.c.cfg.Pool.Streams), busy: map[*bound]struct{}{}, lines: lines{all: map[*line]struct{}{}}}
	l.ctx, l.fail = context.WithCancel(context.Background())
	return l
}

// watch waits until the link is of no more use, and closes it. After a GOAWAY
// calls under way are let finish.
func (l *link) watch(ctx context.Context) {
	defer context.AfterFunc(ctx, l.fail)()
	for !l.changed(l.ep.c.cfg.Pool.Idle) {
		l.reap(time.Now().Add(-l.ep.c.cfg.Pool.Idle))
	}
	l.ep.link.CompareAndSwap(l, nil)
	l.reap(time.Time{})
	draining := l.ctx.Err() == nil && l.calls.inside.Load() > 0 && l.conn.GetState() == connectivity.Idle
	if !draining || !l.ep.c.own(func() { l.drain(); l.close() }) {
		l.close()
	}
}

// changed waits for the link to leave its ready state, and tells whether it did.
func (l *link) changed(wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(l.ctx, wait)
	defer cancel()
	return l.conn.WaitForStateChange(ctx, connectivity.Ready) || l.ctx.Err() != nil
}

// drain waits for calls under way.
func (l *link) drain() {
	limit := time.Now().Add(l.ep.c.cfg.Timeouts.Generate)
	for l.calls.inside.Load() > 0 && time.Now().Before(limit) && sleep(l.ep.c.ctx, firstPause) {
	}
}

// close ends everything without waiting for the network: the socket goes first.
func (l *link) close() {
	l.fail()
	l.lines.close()
	_ = l.raw.Close()
	l.reap(time.Time{})
	_ = l.conn.Close()
}

// reap ends idle streams last used before a time; the zero time ends all, and
// those that come back later.
func (l *link) reap(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle)
	if before.IsZero() {
		l.closed = true
	} else {
		for n = 0; n < len(l.idle) && l.idle[n].used.Before(before); n++ {
		}
	}
	for _, s := range l.idle[:n] {
		s.cancel()
	}
	l.idle = append(l.idle[:0:0], l.idle[n:]...)
}

// lease takes an idle stream, or opens one.
func (l *link) lease(ctx context.Context, limit time.Duration) (*stream, error) {
	select {
	case l.slots <- struct{}{}:
	default:
		if err := l.waitSlot(ctx, limit); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var s *stream
	if n := len(l.idle); n > 0 {
		s = l.idle[n-1]
		l.idle[n-1] = nil
		l.idle = l.idle[:n-1]
	} else {
		s = newStream(l)
	}
	l.busy[&s.bound] = struct{}{}
	return s, nil
}

func (l *link) waitSlot(ctx context.Context, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	case <-l.ctx.Done():
		return errLinkDead
	case <-t.C:
		return errTimeout
	}
}

// release gives a stream back; a broken one is thrown away.
func (l *link) release(s *stream, good bool) {
	s.used = time.Now()
	l.mu.Lock()
	delete(l.busy, &s.bound)
	if good = good && !l.closed; good {
		l.idle = append(l.idle, s)
	}
	l.mu.Unlock()
	if !good {
		s.cancel()
	}
	<-l.slots
}
