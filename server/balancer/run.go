package balancer

import (
	"context"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// run gives a call its place in a unit. Calls that may take long have places of
// their own and are never given up.
func run[T any](ctx context.Context, m *member, slow bool, f func(unit.Unit) (T, error)) (T, error) {
	m.load.Add(1)
	if m.Patience > 0 && !slow {
		return patiently(ctx, m, f)
	}
	defer m.load.Add(-1)
	places := m.places
	if slow {
		places = m.slow
	}
	if err := m.enter(ctx, places, nil); err != nil {
		var zero T
		return zero, err
	}
	defer func() { <-places }()
	return f(m.Unit)
}

// patiently runs a call that is given up when the unit's time is over.
func patiently[T any](ctx context.Context, m *member, f func(unit.Unit) (T, error)) (out T, err error) {
	late := time.NewTimer(m.Patience)
	defer late.Stop()
	if err := m.enter(ctx, m.places, late.C); err != nil {
		m.load.Add(-1)
		return out, err
	}
	return await(ctx, m, late.C, func() (T, error) {
		defer func() { <-m.places; m.load.Add(-1) }()
		return f(m.Unit)
	})
}

// enter takes a place.
func (m *member) enter(ctx context.Context, places chan<- struct{}, late <-chan time.Time) error {
	select {
	case places <- struct{}{}:
		return nil
	default: // ctx is asked for a channel only if there is something to wait for
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for crypto unit %q: %w", m.Name(), ctx.Err())
	case <-late:
		return m.silent()
	}
}

// silent: a unit that does not answer in time is at fault.
func (m *member) silent() error {
	return fmt.Errorf("crypto unit %q does not answer: %w", m.Name(), ck.CKR_DEVICE_ERROR)
}

// await runs a call that may hang. One that is given up keeps its place until it
// comes back, and its result is lost.
func await[T any](ctx context.Context, m *member, late <-chan time.Time, inside func() (T, error)) (out T, err error) {
	type result struct {
		out   T
		err   error
		panic any
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			r.panic = recover()
			done <- r
		}()
		r.out, r.err = inside()
	}()
	select {
	case r := <-done:
		if r.panic != nil {
			panic(r.panic) // where the server catches it
		}
		return r.out, r.err
	case <-ctx.Done():
		return out, fmt.Errorf("waiting for crypto unit %q: %w", m.Name(), ctx.Err())
	case <-late:
		return out, m.silent()
	}
}
