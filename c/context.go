package main

import (
	"context"
	"sync"
	"time"
)

// bounded is a call's context. It ends with the library's life or at a time; the
// timer and the channel are made only when somebody waits for them, for most
// calls never do.
type bounded struct {
	life  context.Context
	until time.Time // zero: no bound

	mu     sync.Mutex
	full   context.Context // guarded by mu; nil until asked for
	cancel context.CancelFunc
}

func (b *bounded) Deadline() (time.Time, bool) { return b.until, !b.until.IsZero() }
func (b *bounded) Done() <-chan struct{}       { return b.make().Done() }
func (b *bounded) Value(key any) any           { return b.make().Value(key) }

func (b *bounded) Err() error {
	b.mu.Lock()
	full := b.full
	b.mu.Unlock()
	switch {
	case full != nil:
		return full.Err()
	case b.life.Err() != nil:
		return b.life.Err()
	case !b.until.IsZero() && !time.Now().Before(b.until):
		return context.DeadlineExceeded
	}
	return nil
}

func (b *bounded) make() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full != nil {
		return b.full
	}
	if b.until.IsZero() {
		b.full, b.cancel = context.WithCancel(b.life)
	} else {
		b.full, b.cancel = context.WithDeadline(b.life, b.until)
	}
	return b.full
}

// release ends the context with its call.
func (b *bounded) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
}
