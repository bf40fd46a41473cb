package grep11client

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// endpoint is one server of the service. Its goroutine, run, owns the one link:
// it connects, waits for the link to die, and connects again, with a back-off
// that a waiting call cuts short.
type endpoint struct {
	Endpoint
	c         *Client
	preferred bool // of the client's zone
	link      atomic.Pointer[link]
	kicked    chan struct{} // capacity 1
	doubtful  atomic.Int64  // until when others are asked first; see sinceStart

	mu      sync.Mutex
	started uint64 // attempts to connect, ever
	failed  uint64 // the last of them that failed
	err     error  // of the last attempt; nil once connected
}

const (
	firstPause = 20 * time.Millisecond
	longPause  = 5 * time.Second
	doubt      = 10 * time.Second
	kickPause  = 20 * time.Millisecond // at least, between two attempts
)

// run is started by the client's first call and ended by Close.
func (e *endpoint) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		e.began()
		l, err := e.dial(ctx)
		if err != nil {
			e.setFailed(err)
			e.rest(ctx, pause)
			pause = min(2*pause, longPause)
			continue
		}
		pause = firstPause
		e.connected(l)
		l.watch(ctx)
		e.link.CompareAndSwap(l, nil)
		e.c.down()
	}
}

func (e *endpoint) began() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started++
}

func (e *endpoint) setFailed(err error) {
	e.mu.Lock()
	e.failed = e.started
	e.err = err
	e.mu.Unlock()
	e.c.announce()
}

func (e *endpoint) connected(l *link) {
	e.mu.Lock()
	e.err = nil
	e.mu.Unlock()
	e.link.Store(l)
	e.c.announce()
}

// attempt is the number of the last attempt that began.
func (e *endpoint) attempt() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started
}

// failedSince: an attempt that began after mark has failed.
func (e *endpoint) failedSince(mark uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed > mark
}

func (e *endpoint) lastError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// suspect sets an endpoint aside that connects but does not answer.
func (e *endpoint) suspect() { e.doubtful.Store(sinceStart() + int64(doubt)) }

var processStart = time.Now()

// sinceStart counts nanoseconds, whatever is done to the clock.
func sinceStart() int64 { return int64(time.Since(processStart)) }

func (e *endpoint) suspected() bool {
	until := e.doubtful.Load()
	return until != 0 && sinceStart() < until
}

// rest waits out a back-off, or until a call asks for the endpoint.
func (e *endpoint) rest(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause/2 + rand.N(pause))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-e.kicked:
		sleep(ctx, kickPause)
	}
}

func (e *endpoint) kick() {
	select {
	case e.kicked <- struct{}{}:
	default:
	}
}

// sleep waits; it reports false where the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
