package hsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/server/soft"
	"grep11/server/unit"
)

// Unit is a crypto unit on an HSM.
type Unit struct {
	*soft.Unit
	pool *pool
}

var _ unit.Unit = (*Unit)(nil)

// Open starts a unit. One whose HSM cannot be used now comes with the error: its
// Check tries again, unless the HSM refused the PIN.
func Open(c Config) (*Unit, error) {
	c = c.withDefaults()
	d := device{newPool(c)}
	u := &Unit{pool: d.pool, Unit: soft.NewOn(d, soft.DeviceConfig{Name: c.Name, CacheKeys: c.CacheKeys, KeysInMemory: c.KeysInMemory})}
	if err := u.connect(); err != nil {
		return u, fmt.Errorf("crypto unit %s: %w", c.Name, err)
	}
	return u, nil
}

// connect makes sure of a connection, and of its wrapping keys.
func (u *Unit) connect() error {
	c, err := call(u.pool, u.pool.config.Timeout, func(c *connection, _ pkcs11.SessionHandle) (*connection, error) {
		return c, nil
	})
	if err != nil {
		return err
	}
	var next *unit.WrappingKey
	if c.next != nil {
		next = c.next.wk
	}
	u.Adopt(c.current.wk, next)
	return nil
}

// Check connects if need be, then seals, opens and uses a key of its own.
func (u *Unit) Check(ctx context.Context) error {
	if err := u.connect(); err != nil {
		return err
	}
	return u.Unit.Check(ctx)
}

// GenerateRandom asks the HSM, in pieces that any HSM gives.
func (u *Unit) GenerateRandom(ctx context.Context, n int) ([]byte, error) {
	if _, err := u.Unit.GenerateRandom(ctx, n); err != nil {
		return nil, err // not a length that is allowed
	}
	var out bytes.Buffer
	for out.Len() < n {
		b, err := call(u.pool, u.pool.config.Timeout, func(c *connection, s pkcs11.SessionHandle) ([]byte, error) {
			return c.Ctx.GenerateRandom(s, min(n-out.Len(), 1024))
		})
		if err != nil {
			return nil, fmt.Errorf("the HSM's random numbers: %w", rv(err))
		}
		if len(b) == 0 {
			return nil, fault("no random numbers: %w", ck.CKR_DEVICE_ERROR)
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// Close forgets all keys and logs out, as the last session ends.
func (u *Unit) Close() error { return errors.Join(u.Unit.Close(), u.pool.close()) }
