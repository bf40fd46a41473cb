// Package balancer gives each request to a healthy crypto unit: of the near
// zone first, the least loaded one. A request that failed because of the unit
// is repeated on another; the failed one is set aside until a check succeeds.
package balancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// Member is a unit with its place in the service.
type Member struct {
	unit.Unit
	Zone, Kind string
	// Concurrency bounds the calls inside the unit; 0: twice the processors.
	Concurrency int
	// Patience is how long a quick call waits for the unit before another one is
	// asked; 0: as long as its caller does. For units that can hang, as HSMs may.
	Patience time.Duration
}

// Options of a balancer; zero values are the defaults.
type Options struct {
	Zone         string        // of this server
	CheckEvery   time.Duration // between checks of a healthy unit; default 10 s
	CheckTimeout time.Duration // default 5 s
	BackoffMin   time.Duration // before the first retry of a failed unit; default 100 ms
	BackoffMax   time.Duration // default 10 s
	Log          *slog.Logger
}

// Balancer owns a watcher goroutine per unit; Close waits for them.
type Balancer struct {
	members []*member // immutable
	keys    serviceKey
	opts    Options
	turn    atomic.Uint32 // spreads equally loaded units
	stop    context.CancelFunc
	done    sync.WaitGroup
}

const maxMembers = 64

// New starts the checks. Units whose wrapping keys differ are refused, for any
// unit must open any blob; a unit without a wrapping key starts set aside.
func New(members []Member, o Options) (*Balancer, error) {
	if len(members) == 0 {
		return nil, errors.New("no crypto unit is configured")
	}
	if len(members) > maxMembers {
		return nil, fmt.Errorf("%d crypto units are more than %d", len(members), maxMembers)
	}
	o = o.withDefaults()
	b := &Balancer{opts: o}
	for i, m := range members {
		b.members = append(b.members, newMember(m, uint(i)))
	}
	if err := b.compareKeys(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	for _, m := range b.members {
		b.done.Go(func() { b.watch(ctx, m) })
	}
	return b, nil
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.CheckEvery, 10 * time.Second}, {&o.CheckTimeout, 5 * time.Second},
		{&o.BackoffMin, 100 * time.Millisecond}, {&o.BackoffMax, 10 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// compareKeys takes the service's pattern from the units that have a wrapping key.
func (b *Balancer) compareKeys() error {
	for _, m := range b.members {
		p, err := m.WrappingKey()
		if err != nil {
			m.setAside(err)
			b.opts.Log.Error("crypto unit is set aside", "unit", m.Name(), "cause", err)
			continue
		}
		if err := b.keys.fits(b.members, m, p); err != nil {
			return fmt.Errorf("%w; one service has one master key", err)
		}
	}
	return nil
}

// Do runs f on a unit, and on others as long as the fault is the unit's and
// time is left. Slow calls have places of their own, so that a burst of key
// generations does not hold up signatures.
func Do[T any](ctx context.Context, b *Balancer, slow bool, f func(unit.Unit) (T, error)) (T, error) {
	var zero T
	var tried uint64 // bit per member
	var last error
	for {
		m := b.pick(tried)
		if m == nil {
			return zero, noUnit(last)
		}
		tried |= 1 << m.index
		out, err := run(ctx, m, slow, f)
		if otherKey(err) && ctx.Err() == nil {
			last = err // in a rotation another unit may still have the key
			continue
		}
		if !m.faulty(err) || ctx.Err() != nil {
			return out, err
		}
		last = err
		m.setAside(err)
		b.opts.Log.Error("crypto unit failed", "unit", m.Name(), "cause", err)
	}
}

func noUnit(last error) error {
	if otherKey(last) {
		return last
	}
	if last != nil {
		return fmt.Errorf("no crypto unit is left: %w", last)
	}
	return fmt.Errorf("no crypto unit is in service: %w", ck.CKR_DEVICE_REMOVED)
}

// pick chooses among those not tried: healthy before set aside, near before
// far, idle before busy. Drained units are not chosen.
func (b *Balancer) pick(tried uint64) *member {
	var best *member
	var bestRank rank
	start := int(b.turn.Add(1)) % len(b.members)
	for i := range b.members {
		m := b.members[(start+i)%len(b.members)]
		if tried&(1<<m.index) != 0 || m.drained.Load() {
			continue
		}
		r := rank{failed: m.failed.Load() != nil, far: m.Zone != b.opts.Zone, load: m.load.Load()}
		if best == nil || r.before(bestRank) {
			best, bestRank = m, r
		}
	}
	return best
}

type rank struct {
	failed, far bool
	load        int64
}

func (r rank) before(o rank) bool {
	if r.failed != o.failed {
		return o.failed
	}
	if r.far != o.far {
		return o.far
	}
	return r.load < o.load
}

// Close stops the checks and closes the units.
func (b *Balancer) Close() error {
	b.stop()
	b.done.Wait()
	var errs []error
	for _, m := range b.members {
		errs = append(errs, m.Unit.Close())
	}
	return errors.Join(errs...)
}

func defaultConcurrency() int { return 2 * runtime.GOMAXPROCS(0) }
