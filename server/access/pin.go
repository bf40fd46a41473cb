package access

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// Lengths of PINs in bytes, and how many failed attempts lock one.
const (
	MinPIN      = 4
	MaxPIN      = 255
	MaxFailures = 10
)

func checkLen(pin ck.Secret) error {
	if len(pin) < MinPIN || len(pin) > MaxPIN {
		return fmt.Errorf("PIN of %d bytes, not %d to %d: %w", len(pin), MinPIN, MaxPIN, ck.CKR_PIN_LEN_RANGE)
	}
	return nil
}

func checkUser(u ck.UserType) error {
	if u != ck.CKU_SO && u != ck.CKU_USER {
		return fmt.Errorf("%v has no PIN: %w", u, ck.CKR_USER_TYPE_INVALID)
	}
	return nil
}

// queue names a PIN that callers wait to have checked.
type queue struct {
	token keystore.ID
	user  ck.UserType
}

// waiting is a turn; whoever holds the lock checks.
type waiting struct {
	turn    chan struct{}
	callers int // guarded by Control.mu
}

// attempt checks a PIN and gives the stored hash that it fits. The attempt is
// counted before; the caller settles it with the store after a success. One
// attempt at a PIN runs at a time, or the count of right ones that are under
// way would lock it.
func (c *Control) attempt(ctx context.Context, token keystore.ID, u ck.UserType, pin ck.Secret, settle func(hash string) error) error {
	done, err := c.enter(ctx, queue{token, u})
	if err != nil {
		return err
	}
	defer done()
	tok, err := c.store.Token(ctx, token)
	if err != nil {
		return err
	}
	if tok.PINOf(u).Hash == "" {
		return fmt.Errorf("token %q has no PIN for %v: %w", tok.Label, u, ck.CKR_USER_PIN_NOT_INITIALIZED)
	}
	p, err := c.store.CountAttempt(ctx, token, u, MaxFailures)
	if err != nil {
		return err
	}
	ok, err := c.verify(ctx, p.Hash, pin)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("PIN of %v, %d attempts left: %w", u, MaxFailures-p.Failures-1, ck.CKR_PIN_INCORRECT)
	}
	return settle(p.Hash)
}

// enter waits for a caller's turn at a PIN.
func (c *Control) enter(ctx context.Context, q queue) (done func(), err error) {
	c.mu.Lock()
	w := c.queues[q]
	if w == nil {
		w = &waiting{turn: make(chan struct{}, 1)}
		c.queues[q] = w
	}
	w.callers++
	c.mu.Unlock()
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if w.callers--; w.callers == 0 {
			delete(c.queues, q)
		}
	}
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("waiting to check a PIN: %w", ctx.Err())
	}
}

// Flags are the CKF_ bits of a token's PINs. PKCS#11 v3.2 §3.2, CK_TOKEN_INFO.
func Flags(t keystore.Token) (f ck.Flags) {
	if t.User.Hash != "" {
		f |= ck.CKF_USER_PIN_INITIALIZED
	}
	for _, p := range []struct {
		failures          int
		low, last, locked ck.Flags
	}{
		{t.SO.Failures, ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED},
		{t.User.Failures, ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED},
	} {
		switch {
		case p.failures >= MaxFailures:
			f |= p.low | p.locked
		case p.failures == MaxFailures-1:
			f |= p.low | p.last
		case p.failures > 0:
			f |= p.low
		}
	}
	return f
}
