// Package until is contexts with a deadline that cost nothing until somebody
// waits for them. A timer of Go's own, set for each call and stopped a moment
// later, wakes a thread each time; most calls never look.
package until

import (
	"context"
	"sync"
	"time"
)

// Context ends with its parent or at a time; timer and channel are made when
// Done is first called. It is used within one call and must not be copied.
type Context struct {
	parent context.Context
	at     time.Time // zero: no bound

	mu     sync.Mutex
	full   context.Context // guarded by mu; nil until asked for
	cancel context.CancelFunc
}

// New ends at a time, or with the parent alone for the zero time. The caller
// releases it.
func New(parent context.Context, at time.Time) *Context {
	if d, ok := parent.Deadline(); ok && (at.IsZero() || d.Before(at)) {
		at = d
	}
	return &Context{parent: parent, at: at}
}

func (c *Context) Deadline() (time.Time, bool) { return c.at, !c.at.IsZero() }

func (c *Context) Done() <-chan struct{} { return c.made().Done() }

func (c *Context) Value(key any) any {
	c.mu.Lock()
	full := c.full
	c.mu.Unlock()
	if full != nil {
		return full.Value(key) // it also knows how a context is cancelled
	}
	return c.parent.Value(key)
}

func (c *Context) Err() error {
	c.mu.Lock()
	full := c.full
	c.mu.Unlock()
	switch {
	case full != nil:
		return full.Err()
	case c.parent.Err() != nil:
		return c.parent.Err()
	case !c.at.IsZero() && !time.Now().Before(c.at):
		return context.DeadlineExceeded
	}
	return nil
}

func (c *Context) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full != nil {
		return c.full
	}
	if c.at.IsZero() {
		c.full, c.cancel = context.WithCancel(c.parent)
	} else {
		c.full, c.cancel = context.WithDeadline(c.parent, c.at)
	}
	return c.full
}

// Release ends the context with its call.
func (c *Context) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
