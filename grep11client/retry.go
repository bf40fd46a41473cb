package grep11client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// What may be repeated: everything that was not sent; and of what may have
// been, calls that change nothing, and changes, for those carry a request id.
// Making a key that nobody gets to know does no harm. Only a PIN change would
// be refused, and counted, the second time.
func repeatable(req *extpb.Request) bool {
	_, setPIN := req.Call.(*extpb.Request_SetPin)
	return !setPIN
}

// slow calls may take a unit many seconds.
func slow(req *extpb.Request) bool {
	switch req.Call.(type) {
	case *extpb.Request_GenerateKey, *extpb.Request_GenerateKeyPair, *extpb.Request_MakeKey:
		return true
	}
	return false
}

// budget is what one call may spend: one deadline for all its tries, and one
// growing pause between them.
type budget struct {
	c        *Client
	deadline time.Time
	window   time.Time // end of patience with failures; set by the first
	slow     bool
	avoid    *link // of the last failure
	pause    time.Duration
	tries    int
}

const (
	retryPause = 5 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

func (c *Client) newBudget(ctx context.Context, req *extpb.Request) budget {
	b := budget{c: c, slow: slow(req)}
	limit := c.cfg.Timeouts.Call
	if b.slow {
		limit = c.cfg.Timeouts.Generate
	}
	b.deadline = time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(b.deadline) {
		b.deadline = d
	}
	return b
}

// limit is how long one try may take: a quick call does not wait for one server
// all its time where another could answer.
func (b *budget) limit() time.Duration {
	left := time.Until(b.deadline)
	if !b.slow && len(b.c.endpoints) > 1 && b.c.usable() > 1 {
		return min(left, b.c.cfg.Timeouts.Attempt)
	}
	return left
}

// again decides on a repeat after a failure, and waits before it.
func (b *budget) again(ctx context.Context, l *link, mayRepeat bool, err error) bool {
	if !mayRepeat || !passing(err) {
		return false
	}
	now := time.Now()
	if b.tries++; b.tries == 1 {
		b.window = now.Add(b.c.cfg.Timeouts.Unreachable)
		b.avoid, b.pause = l, retryPause
		return now.Before(b.deadline)
	}
	b.avoid = l
	b.pause = min(2*b.pause, maxPause)
	if now.Add(b.pause).After(b.deadline) || now.After(b.window) && !errors.Is(err, errLinkDead) {
		return false
	}
	return sleep(ctx, b.pause)
}

// passing tells whether an error may be gone on the next try. An expired login
// is not for the same request to try again: Token renews it.
func passing(err error) bool {
	if errors.Is(err, ck.CKR_USER_NOT_LOGGED_IN) {
		return false
	}
	return errors.Is(err, errLinkDead) || errors.Is(err, errTimeout) || wire.IsTransient(err)
}

// call sends a request until it is answered or the budget is spent. An error
// of the service comes back as a *wire.Error.
func (c *Client) call(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
	b := c.newBudget(ctx, req)
	for {
		l, err := c.pick(ctx, &b)
		if err != nil {
			return nil, err
		}
		resp, sent, err := l.try(ctx, b.limit(), req)
		if err == nil {
			return resp, nil
		}
		if !b.again(ctx, l, !sent || repeatable(req), err) {
			return nil, err
		}
	}
}

// try is one try over one link. sent is false where the server has not seen
// the request, or has refused it.
func (l *link) try(ctx context.Context, limit time.Duration, req *extpb.Request) (resp *extpb.Response, sent bool, err error) {
	if limit <= 0 {
		return nil, false, errTimeout
	}
	req.TimeoutMs = uint32(limit.Milliseconds()) + 1
	resp, sent, err = l.call(ctx, limit, req)
	if err != nil {
		return nil, sent, wire.DecodeStatus(err)
	}
	if e := resp.GetError(); e != nil {
		return nil, false, wire.DecodeError(e)
	}
	if err := sameKind(req, resp); err != nil {
		l.fail()
		return nil, true, err
	}
	return resp, true, nil
}

// sameKind: an answer to another question means the peer has lost its place.
func sameKind(req *extpb.Request, resp *extpb.Response) error {
	asked, got := req.ProtoReflect().WhichOneof(callOneof), resp.ProtoReflect().WhichOneof(resultOneof)
	if asked == nil || got == nil || asked.Number() != got.Number() {
		return fmt.Errorf("the service answered something else: %w", ck.CKR_DEVICE_ERROR)
	}
	return nil
}
