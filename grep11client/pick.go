package grep11client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"grep11/pkcs11/ck"
)

var errClosed = fmt.Errorf("the client was closed: %w", ck.CKR_FUNCTION_CANCELED)

// pick gives a live link, waiting for one where there is none.
func (c *Client) pick(ctx context.Context, b *budget) (*link, error) {
	if l := c.best(b.avoid); l != nil {
		return l, nil
	}
	return c.await(ctx, b)
}

// best is the live link with the fewest calls, of the preferred zone where
// there is one. The link to avoid is taken only if it is alone.
func (c *Client) best(avoid *link) *link {
	var best *link
	for _, e := range c.endpoints {
		l := e.link.Load()
		if l == nil || l.ctx.Err() != nil {
			continue
		}
		if best == nil || better(l, best, avoid) {
			best = l
		}
	}
	return best
}

func better(a, b, avoid *link) bool {
	if (a == avoid) != (b == avoid) {
		return b == avoid
	}
	if x, y := a.ep.suspected(), b.ep.suspected(); x != y {
		return y
	}
	if a.ep.preferred != b.ep.preferred {
		return a.ep.preferred
	}
	return a.calls.inside.Load() < b.calls.inside.Load()
}

func (c *Client) live() int {
	n := 0
	for _, e := range c.endpoints {
		if l := e.link.Load(); l != nil && l.ctx.Err() == nil {
			n++
		}
	}
	return n
}

// usable counts endpoints that are connected or have not failed to connect.
func (c *Client) usable() int {
	n := 0
	for _, e := range c.endpoints {
		if e.lastError() == nil {
			n++
		}
	}
	return n
}

// zonePatience is how long a call waits for its own zone where another is there.
const zonePatience = 300 * time.Millisecond

// await asks all endpoints to connect and waits for the best of them: for the
// first one of the preferred zone, or any when those have failed or are slow.
func (c *Client) await(ctx context.Context, b *budget) (*link, error) {
	if err := c.start(); err != nil {
		return nil, err
	}
	patience := time.Now().Add(zonePatience)
	marks := make([]uint64, len(c.endpoints))
	for i, e := range c.endpoints {
		marks[i] = e.attempt()
	}
	for {
		news := c.news()
		if l := c.best(nil); l != nil && (l.ep.preferred || c.exhausted(marks, true) || time.Now().After(patience)) {
			return l, nil
		}
		if c.exhausted(marks, false) && c.givenUp() {
			return nil, c.unreachable()
		}
		for _, e := range c.endpoints {
			e.kick()
		}
		if err := c.wait(ctx, news, b.deadline); err != nil {
			return nil, err
		}
	}
}

// exhausted: every endpoint (or preferred one) has failed since its mark.
func (c *Client) exhausted(marks []uint64, preferredOnly bool) bool {
	for i, e := range c.endpoints {
		if (e.preferred || !preferredOnly) && !e.failedSince(marks[i]) {
			return false
		}
	}
	return true
}

// givenUp: the service was never there, or is away for longer than a restart takes.
func (c *Client) givenUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.downSince.IsZero() || time.Since(c.downSince) > c.cfg.Timeouts.Unreachable
}

func (c *Client) unreachable() error {
	var why []string
	for _, e := range c.endpoints {
		if err := e.lastError(); err != nil {
			why = append(why, fmt.Sprintf("%s: %v", e.Address, err))
		}
	}
	return fmt.Errorf("the service is not reachable: %s: %w", strings.Join(why, "; "), ck.CKR_DEVICE_REMOVED)
}

// wait sleeps until something changes. The news of one endpoint may be that
// another's time is up, so it also wakes up by itself now and then.
func (c *Client) wait(ctx context.Context, news <-chan struct{}, deadline time.Time) error {
	left := time.Until(deadline)
	if left <= 0 {
		return c.unreachable()
	}
	t := time.NewTimer(min(left, maxPause))
	defer t.Stop()
	select {
	case <-news:
	case <-t.C:
	case <-ctx.Done():
		return ended(ctx)
	case <-c.ctx.Done():
		return errClosed
	}
	return nil
}

// start runs the endpoints' goroutines, once.
func (c *Client) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return errClosed
	}
	if c.started {
		return nil
	}
	c.started = true
	for _, e := range c.endpoints {
		c.wg.Go(func() { e.run(c.ctx) })
	}
	return nil
}

// own runs f on a goroutine that Close waits for, unless Close has begun.
func (c *Client) own(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.wg.Go(f)
	return true
}

// news gives a channel that is closed at the next change of any endpoint.
func (c *Client) news() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Client) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// down notes since when no endpoint is connected.
func (c *Client) down() {
	if c.live() == 0 {
		c.mu.Lock()
		c.downSince = time.Now()
		c.mu.Unlock()
	}
	c.announce()
}
