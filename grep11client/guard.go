package grep11client

import (
	"context"
	"sync"
	"time"
)

// The guard of a link ends calls whose time is over, or whose callers have given
// up. It looks at all of them now and then: a timer for each call, set and
// stopped, would wake a thread of Go's each time and cost more than the call.

const (
	guardTick = 10 * time.Millisecond
	// guardIdle is how many ticks without a call the guard stays.
	guardIdle = 100
)

// watchCalls has the guard run, if it does not. Where the client is being closed
// there is none: its streams end with it.
func (l *link) watchCalls() {
	if !l.guarded.Load() && l.guarded.CompareAndSwap(false, true) && !l.ep.c.own(l.guard) {
		l.guarded.Store(false)
	}
}

func (l *link) guard() {
	tick := time.NewTicker(guardTick)
	defer tick.Stop()
	for quiet := 0; ; quiet++ {
		select {
		case <-l.ctx.Done():
			return
		case now := <-tick.C:
			if l.look(now) {
				quiet = 0
			}
		}
		if quiet < guardIdle {
			continue
		}
		l.guarded.Store(false)
		if !l.look(time.Now()) || !l.guarded.CompareAndSwap(false, true) {
			return // a call that begins now starts another
		}
		quiet = 0
	}
}

// look looks at every call under way, and tells whether there is one.
func (l *link) look(now time.Time) (any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range l.busy {
		any = b.look(now) || any
	}
	return any
}

// bound is the call under way on a stream or a line, as the guard sees it.
type bound struct {
	stop func() // ends the call, by spoiling what it is on

	mu      sync.Mutex
	caller  context.Context // guarded by mu; nil: there is no call
	until   time.Time       // guarded by mu; when it has to end
	late    bool            // guarded by mu; it was stopped for its time
	stopped bool            // guarded by mu
}

func (b *bound) begin(ctx context.Context, limit time.Duration) {
	b.mu.Lock()
	b.caller, b.until, b.late, b.stopped = ctx, time.Now().Add(limit), false, false
	b.mu.Unlock()
}

func (b *bound) end() (late, stopped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.caller = nil
	return b.late, b.stopped
}

// look stops the call if its time is over or its caller has given up. It tells
// whether there is a call.
func (b *bound) look(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.caller == nil {
		return false
	}
	if b.late = !now.Before(b.until); b.late || b.caller.Err() != nil {
		b.stopped = true
		b.stop()
	}
	return true
}
