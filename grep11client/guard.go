package grep11client

import "time"

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
	for s := range l.busy {
		any = s.look(now) || any
	}
	return any
}
