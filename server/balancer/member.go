package balancer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// member is a unit as the balancer sees it.
type member struct {
	Member
	index   uint
	places  chan struct{} // a place per call inside the unit
	slow    chan struct{} // the same for slow calls
	load    atomic.Int64  // calls inside or waiting
	drained atomic.Bool
	failed  atomic.Pointer[failure] // nil: healthy
	wake    chan struct{}           // tells the watcher of a failure
}

type failure struct{ cause error }

func newMember(m Member, index uint) *member {
	n := m.Concurrency
	if n <= 0 {
		n = defaultConcurrency()
	}
	return &member{Member: m, index: index, places: make(chan struct{}, n), slow: make(chan struct{}, max(1, n/2)), wake: make(chan struct{}, 1)}
}

// faulty tells that the unit is at fault. A missing wrapping key is a fault if
// it is the current one; a request may also want the next, which none may have.
func (m *member) faulty(err error) bool {
	if ck.RVOf(err) == ck.CKR_IBM_WK_NOT_INITIALIZED {
		_, err = m.WrappingKey()
		return err != nil
	}
	return unit.Faulty(err)
}

func (m *member) setAside(cause error) {
	m.failed.Store(&failure{cause})
	m.checkSoon()
}

func (m *member) checkSoon() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// watch checks a member until the balancer stops: now and then while it is
// healthy, with growing pauses while it is not.
func (b *Balancer) watch(ctx context.Context, m *member) {
	pause := b.opts.CheckEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			pause = b.opts.BackoffMin
			continue
		case <-time.After(pause):
		}
		pause = b.checked(ctx, m, pause)
	}
}

// checked checks once and gives the pause before the next check.
func (b *Balancer) checked(ctx context.Context, m *member, pause time.Duration) time.Duration {
	err := b.check(ctx, m)
	if ctx.Err() != nil {
		return pause
	}
	was := m.failed.Load()
	if err == nil {
		if was != nil && m.failed.CompareAndSwap(was, nil) {
			b.opts.Log.Info("crypto unit is back", "unit", m.Name())
		}
		return b.opts.CheckEvery
	}
	m.failed.Store(&failure{err})
	if was == nil {
		b.opts.Log.Error("crypto unit failed its check", "unit", m.Name(), "cause", err)
		return b.opts.BackoffMin
	}
	return min(2*pause, b.opts.BackoffMax)
}

// check has the unit prove itself and compares its wrapping key with the
// service's. A unit that hangs counts as failed; its check is waited for, so
// that checks do not pile up.
func (b *Balancer) check(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.CheckTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- b.prove(ctx, m) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		m.failed.CompareAndSwap(nil, &failure{fmt.Errorf("no answer to a check: %w", ck.CKR_DEVICE_ERROR)})
		return <-result
	}
}

func (b *Balancer) prove(ctx context.Context, m *member) error {
	if err := m.Check(ctx); err != nil {
		return err
	}
	p, err := m.WrappingKey()
	if err != nil {
		return err
	}
	return b.keys.fits(b.members, m, p)
}

// Status is what Units shows of one.
type Status struct {
	Name, Zone, Kind string
	Healthy, Drained bool
	Detail           string // why it is set aside
	WrappingKey      []byte
	Load             int64
}

// Units shows all, in the order of configuration.
func (b *Balancer) Units() []Status {
	out := make([]Status, 0, len(b.members))
	for _, m := range b.members {
		s := Status{Name: m.Name(), Zone: m.Zone, Kind: m.Kind, Healthy: true, Drained: m.drained.Load(), Load: m.load.Load()}
		if f := m.failed.Load(); f != nil {
			s.Healthy, s.Detail = false, f.cause.Error()
		}
		s.WrappingKey, _ = m.WrappingKey()
		out = append(out, s)
	}
	return out
}

// Drain takes a unit out of service, or back in. Calls inside it finish; it
// tells how many there are.
func (b *Balancer) Drain(name string, drained bool) (load int64, err error) {
	for _, m := range b.members {
		if m.Name() == name {
			m.drained.Store(drained)
			return m.load.Load(), nil
		}
	}
	return 0, fmt.Errorf("no crypto unit is called %q: %w", name, ck.CKR_ARGUMENTS_BAD)
}

// CommittedKey is the pattern of a unit's committed next wrapping key, nil for none.
func (b *Balancer) CommittedKey(name string) []byte {
	for _, m := range b.members {
		if m.Name() == name {
			return committed(m)
		}
	}
	return nil
}

// Unit finds a unit by its name, in or out of service; nil if there is none.
func (b *Balancer) Unit(name string) unit.Unit {
	for _, m := range b.members {
		if m.Name() == name {
			return m.Unit
		}
	}
	return nil
}

// Recheck checks a unit now, because something about it has changed: who changed
// it finds it in service, or learns why it is not.
func (b *Balancer) Recheck(ctx context.Context, name string) {
	for _, m := range b.members {
		if m.Name() == name {
			b.checked(ctx, m, b.opts.BackoffMin)
			m.checkSoon()
		}
	}
}

// Mechanisms are those that every unit offers, for any may get a request. Units
// that are set aside count: they come back.
func (b *Balancer) Mechanisms() []*mech.Row {
	rows := b.members[0].Mechanisms()
	for _, m := range b.members[1:] {
		rows = common(rows, m.Mechanisms())
	}
	return rows
}

// common are the mechanisms of both lists, for the uses that both have.
func common(a, b []*mech.Row) []*mech.Row {
	other := map[ck.MechanismType]*mech.Row{}
	for _, row := range b {
		other[row.Type] = row
	}
	out := make([]*mech.Row, 0, len(a))
	for _, row := range a {
		o := other[row.Type]
		if o == nil || row.Use&o.Use == 0 {
			continue
		}
		if row.Use&^o.Use != 0 {
			less := *row
			less.Use &= o.Use
			row = &less
		}
		out = append(out, row)
	}
	return out
}
