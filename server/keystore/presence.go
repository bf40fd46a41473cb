package keystore

import (
	"context"
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
)

// errAway is the answer, at once, for as long as the database does not answer the
// listener: callers do better to ask another server than to wait here.
var errAway = fmt.Errorf("the database does not answer: %w", ck.CKR_DEVICE_ERROR)

// presence is whether a database across a network answers. nil: always.
type presence struct {
	mu  sync.Mutex
	ctx context.Context // guarded by mu; ended by errAway when the database goes
	end context.CancelCauseFunc
}

func (p *presence) set(here bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !here:
		p.end(errAway)
	case p.ctx == nil || p.ctx.Err() != nil:
		p.ctx, p.end = context.WithCancelCause(context.Background())
	}
}

// context ends when the database goes.
func (p *presence) context() context.Context {
	if p == nil {
		return context.Background()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx
}

// check is errAway while the database is away.
func (p *presence) check() error { return context.Cause(p.context()) }
