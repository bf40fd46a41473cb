package server

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
)

// holdings bounds what callers make the server keep: requests that are on their way,
// and answers that they do not read. Past the limit those that hold the most
// lose their connection; a caller who holds little goes on.
type holdings struct {
	limit int64 // bytes
	log   *slog.Logger
	total atomic.Int64
	shed  atomic.Int64 // when that was last done, in nanoseconds since 1970

	mu      sync.Mutex
	callers map[*caller]struct{} // guarded by mu
}

const (
	// shedEvery bounds what it costs.
	shedEvery = 50 * time.Millisecond
	// fairHolding is what a caller may hold at any time.
	fairHolding = 1 << 20
	// lenFrames is more than what comes with a request, such as its metadata; it is
	// taken for part of it.
	lenFrames = 1024
	// lenRequest is about what a request takes while it is open, however little of
	// it has come.
	lenRequest = 8 << 10
)

func newHoldings(limit uint64, log *slog.Logger) *holdings {
	return &holdings{limit: int64(min(limit, 1<<62)), log: log, callers: map[*caller]struct{}{}}
}

func (h *holdings) enter(c *caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.callers[c] = struct{}{}
}

func (h *holdings) leave(c *caller) {
	h.mu.Lock()
	delete(h.callers, c)
	h.mu.Unlock()
}

// relieve closes connections, the greatest holdings first, until half of the limit
// is free.
func (h *holdings) relieve() {
	now, last := time.Now().UnixNano(), h.shed.Load()
	if now-last < int64(shedEvery) || !h.shed.CompareAndSwap(last, now) {
		return
	}
	for _, c := range h.greatest() {
		if h.total.Load() <= h.limit/2 {
			return
		}
		h.log.Warn("refused", "peer", c.RemoteAddr().String(), "cause", "the server is full, and this caller keeps most of it busy: its connection is closed",
			"open", c.open.Load()/lenRequest, "requests", c.in.Load(), "answers", c.out.Load())
		_ = c.Close()
	}
}

func (h *holdings) greatest() (all []*caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.callers {
		if c.held() > fairHolding {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *caller) int { return cmp.Compare(b.held(), a.held()) })
	return all
}

// caller is an accepted connection, with an estimate of what it holds, in bytes.
type caller struct {
	net.Conn
	gate   *gate
	closed sync.Once
	gone   atomic.Bool
	open   atomic.Int64 // for requests that are open, streams too
	in     atomic.Int64 // of requests that are not answered yet
	out    atomic.Int64 // of answers that are not written yet
}

func (c *caller) held() int64 { return c.open.Load() + c.in.Load() + c.out.Load() }

func (c *caller) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.add(&c.in, n)
	return n, err
}

func (c *caller) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.take(&c.out, n)
	return n, err
}

func (c *caller) add(to *atomic.Int64, n int) {
	h := c.gate.doors.holdings
	to.Add(int64(n))
	total := h.total.Add(int64(n))
	if c.gone.Load() {
		c.letGo()
	} else if total > h.limit {
		h.relieve()
	}
}

func (c *caller) take(from *atomic.Int64, n int) {
	for {
		have := from.Load()
		d := min(have, int64(n))
		if d == 0 {
			return
		}
		if from.CompareAndSwap(have, have-d) {
			c.gate.doors.holdings.total.Add(-d)
			return
		}
	}
}

func (c *caller) letGo() {
	c.gate.doors.holdings.total.Add(-c.open.Swap(0) - c.in.Swap(0) - c.out.Swap(0))
}

func (c *caller) Close() error {
	c.closed.Do(func() {
		c.gone.Store(true)
		c.letGo()
		c.gate.doors.holdings.leave(c)
		c.gate.doors.open.Add(-1)
	})
	return c.Conn.Close()
}

// began notes a request, until its context ends: not all reach a handler. nil: a
// connection of no gate's.
func (c *caller) began(ctx context.Context) {
	if c != nil {
		c.add(&c.open, lenRequest)
		context.AfterFunc(ctx, func() { c.take(&c.open, lenRequest) })
	}
}

// done notes a request that was answered. nil: a connection of no gate's.
func (c *caller) done(n int) {
	if c != nil {
		c.take(&c.in, n+lenFrames)
	}
}

// answered notes an answer that is to be written.
func (c *caller) answered(n int) {
	if c != nil {
		c.add(&c.out, n)
	}
}

// outgoing sends a message, and notes its length for the connection.
type outgoing struct {
	message proto.Message
	to      *caller
}
