package balancer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// stub is a unit that does nothing but be healthy or not.
type stub struct {
	unit.Unit
	name    string
	pattern []byte
	broken  atomic.Pointer[error]
	calls   atomic.Int64
	checks  atomic.Int64
	closed  atomic.Bool
}

func (s *stub) Name() string { return s.name }
func (s *stub) WrappingKey() ([]byte, error) {
	if s.pattern == nil {
		return nil, ck.CKR_IBM_WK_NOT_INITIALIZED
	}
	return s.pattern, nil
}
func (s *stub) Check(context.Context) error { s.checks.Add(1); return s.err() }
func (s *stub) Close() error                { s.closed.Store(true); return nil }
func (s *stub) err() error {
	if e := s.broken.Load(); e != nil {
		return *e
	}
	return nil
}
func (s *stub) fail(err error) { s.broken.Store(&err) }
func (s *stub) heal()          { s.broken.Store(nil) }

func work(u unit.Unit) (string, error) {
	s := u.(*stub)
	s.calls.Add(1)
	return s.name, s.err()
}

var wk = []byte("pattern")

func service(t *testing.T, o Options, units ...*stub) *Balancer {
	t.Helper()
	var members []Member
	for _, u := range units {
		zone := "far"
		if strings.HasPrefix(u.name, "near") {
			zone = "near"
		}
		members = append(members, Member{Unit: u, Zone: zone, Kind: "stub", Concurrency: 4})
	}
	b, err := New(members, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestARequestGoesWhereItCanBeServed(t *testing.T) {
	removed := fmt.Errorf("pulled out: %w", ck.CKR_DEVICE_REMOVED)
	for _, row := range []struct {
		name string
		set  func(b *Balancer, near, far *stub)
		want string
		err  error
	}{
		{"the near unit is preferred", func(*Balancer, *stub, *stub) {}, "near", nil},
		{"a failing unit's request goes to the other", func(_ *Balancer, near, _ *stub) { near.fail(removed) }, "far", nil},
		{"a drained unit gets nothing", func(b *Balancer, _, _ *stub) { _, _ = b.Drain("near", true) }, "far", nil},
		{"a wrong request is not repeated", func(_ *Balancer, near, _ *stub) { near.fail(ck.CKR_DATA_INVALID) }, "near", ck.CKR_DATA_INVALID},
		{"a fault of all units is the last one's error", func(_ *Balancer, near, far *stub) {
			near.fail(removed)
			far.fail(ck.CKR_DEVICE_ERROR)
		}, "", ck.CKR_DEVICE_ERROR},
		{"no unit at all", func(b *Balancer, _, _ *stub) {
			_, _ = b.Drain("near", true)
			_, _ = b.Drain("far", true)
		}, "", ck.CKR_DEVICE_REMOVED},
	} {
		t.Run(row.name, func(t *testing.T) {
			near, far := &stub{name: "near", pattern: wk}, &stub{name: "far", pattern: wk}
			b := service(t, Options{Zone: "near"}, near, far)
			row.set(b, near, far)
			for range 3 {
				got, err := Do(t.Context(), b, false, work)
				if !errors.Is(err, row.err) || row.err == nil && err != nil {
					t.Fatalf("error %v, want %v", err, row.err)
				}
				if row.want != "" && got != row.want {
					t.Fatalf("served by %q, want %q", got, row.want)
				}
			}
			if n := near.calls.Load(); row.want == "near" && n != 3 {
				t.Errorf("%d calls at the near unit, want 3", n)
			}
		})
	}
}

func TestAFailedUnitComesBack(t *testing.T) {
	near, far := &stub{name: "near", pattern: wk}, &stub{name: "far", pattern: wk}
	b := service(t, Options{Zone: "near", BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond}, near, far)
	near.fail(&unit.Fault{Err: ck.CKR_GENERAL_ERROR})
	if got, err := Do(t.Context(), b, false, work); got != "far" || err != nil {
		t.Fatal(got, err)
	}
	if s := b.Units()[0]; s.Healthy || s.Detail == "" {
		t.Fatalf("status of the failed unit: %+v", s)
	}
	near.heal()
	waitFor(t, func() bool { return b.Units()[0].Healthy })
	if got, err := Do(t.Context(), b, false, work); got != "near" || err != nil {
		t.Fatal(got, err)
	}
}

func TestChecksFindAFailureBeforeACallDoes(t *testing.T) {
	a := &stub{name: "near", pattern: wk}
	b := service(t, Options{CheckEvery: time.Millisecond, BackoffMin: time.Millisecond}, a, &stub{name: "far", pattern: wk})
	a.fail(ck.CKR_DEVICE_ERROR)
	waitFor(t, func() bool { return !b.Units()[0].Healthy })
}

func TestUnitsWithDifferentWrappingKeysAreRefused(t *testing.T) {
	_, err := New([]Member{{Unit: &stub{name: "a", pattern: []byte{1, 0xab}}}, {Unit: &stub{name: "b", pattern: []byte{2, 0xcd}}}}, Options{})
	if err == nil || !strings.Contains(err.Error(), "01ab") || !strings.Contains(err.Error(), "02cd") {
		t.Fatalf("error %v does not show both patterns", err)
	}
}

func TestAUnitWithoutWrappingKeyIsSetAside(t *testing.T) {
	b := service(t, Options{}, &stub{name: "near"}, &stub{name: "far", pattern: wk})
	if got, err := Do(t.Context(), b, false, work); got != "far" || err != nil {
		t.Fatal(got, err)
	}
}

func TestWaitingForAPlaceEndsWithTheContext(t *testing.T) {
	a := &stub{name: "near", pattern: wk}
	b := service(t, Options{}, a)
	release := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, _ = Do(t.Context(), b, false, func(unit.Unit) (int, error) { <-release; return 0, nil })
		})
	}
	waitFor(t, func() bool { return len(b.members[0].places) == 4 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Do(ctx, b, false, work); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if got, err := Do(t.Context(), b, true, work); err != nil || got != "near" {
		t.Errorf("a slow call has places of its own: %v, %v", got, err)
	}
	close(release)
	wg.Wait()
	if n := b.Units()[0].Load; n != 0 {
		t.Errorf("load %d after all calls", n)
	}
}

func TestLoadIsSpread(t *testing.T) {
	units := []*stub{{name: "a", pattern: wk}, {name: "b", pattern: wk}}
	b := service(t, Options{}, units...)
	for range 100 {
		if _, err := Do(t.Context(), b, false, work); err != nil {
			t.Fatal(err)
		}
	}
	if a := units[0].calls.Load(); a < 40 || a > 60 {
		t.Errorf("%d of 100 calls at one of two idle units", a)
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// narrow offers fewer mechanisms.
type narrow struct {
	stub
	rows []*mech.Row
}

func (n *narrow) Mechanisms() []*mech.Row { return n.rows }

func TestOnlyWhatAllUnitsOfferIsListed(t *testing.T) {
	all := mech.All()
	a := &narrow{stub{name: "a", pattern: wk}, []*mech.Row{&all[0], &all[1], &all[2]}}
	c := &narrow{stub{name: "b", pattern: wk}, []*mech.Row{&all[0], &all[2]}}
	b, err := New([]Member{{Unit: a}, {Unit: c}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := b.Mechanisms(); len(got) != 2 || got[0] != &all[0] || got[1] != &all[2] {
		t.Errorf("%d mechanisms", len(got))
	}
}

func TestADrainedUnitFinishesItsWork(t *testing.T) {
	near, far := &stub{name: "near", pattern: wk}, &stub{name: "far", pattern: wk}
	b := service(t, Options{Zone: "near"}, near, far)
	entered, release, served := make(chan struct{}), make(chan struct{}), make(chan string)
	go func() {
		got, err := Do(t.Context(), b, false, func(u unit.Unit) (string, error) { close(entered); <-release; return work(u) })
		if err != nil {
			t.Error(err)
		}
		served <- got
	}()
	<-entered
	if load, err := b.Drain("near", true); load != 1 || err != nil {
		t.Fatal(load, err)
	}
	if got, err := Do(t.Context(), b, false, work); got != "far" || err != nil {
		t.Error("a new call:", got, err)
	}
	close(release)
	if got := <-served; got != "near" {
		t.Error("the call inside:", got)
	}
	if load, err := b.Drain("near", false); load != 0 || err != nil {
		t.Error(load, err)
	}
	if got, err := Do(t.Context(), b, false, work); got != "near" || err != nil {
		t.Error("in service again:", got, err)
	}
}

// A unit that hangs costs its callers some patience, and later ones nothing.
func TestACallLeavesAUnitThatHangs(t *testing.T) {
	near, far := &stub{name: "near", pattern: wk}, &stub{name: "far", pattern: wk}
	b, err := New([]Member{{Unit: near, Zone: "near", Concurrency: 4, Patience: 50 * time.Millisecond}, {Unit: far, Zone: "far"}},
		Options{Zone: "near", BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	hang := func(u unit.Unit) (string, error) {
		if u == near {
			near.fail(ck.CKR_DEVICE_ERROR)
			<-release
		}
		return work(u)
	}
	var callers sync.WaitGroup
	for range 6 { // four inside, two that wait for a place
		callers.Go(func() {
			if got, err := Do(t.Context(), b, false, hang); got != "far" || err != nil {
				t.Error(got, err)
			}
		})
	}
	callers.Wait()
	if s := b.Units()[0]; s.Healthy || s.Load != 4 {
		t.Errorf("status of the unit that hangs: %+v", s)
	}
	near.heal()
	close(release)
	waitFor(t, func() bool { s := b.Units()[0]; return s.Healthy && s.Load == 0 })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic inside was lost")
			}
		}()
		_, _ = Do(t.Context(), b, false, func(unit.Unit) (int, error) { panic("inside") })
	}()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
