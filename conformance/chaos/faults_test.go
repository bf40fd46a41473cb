package chaos

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"
)

func dialFrom(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

// limits for the longest call, by kind of fault: a death is noticed at once; for
// silence a caller may wait as long as is configured, mostly for one attempt.
const (
	attempt = 3 * time.Second  // the client's default
	call    = 10 * time.Second // the same
)

// fault is something bad that happens to one part, and ends.
type fault struct {
	name  string
	limit time.Duration // for the longest call
	// alone: there is only one of the part, so calls may fail while it is away, but
	// not those that use keys in use.
	alone bool
	lasts time.Duration // at least
	begin func(*world) (end func())
}

func serverFaults(s string) []fault {
	return []fault{
		{"kill " + s, time.Second, false, time.Second, func(w *world) func() { return w.killServer(s) }},
		{"stop " + s, call, false, 4 * time.Second, func(w *world) func() {
			_ = w.up[s].Process.Signal(syscall.SIGSTOP)
			return func() { _ = w.up[s].Process.Signal(syscall.SIGCONT) }
		}},
		{"cut off " + s, call, false, 4 * time.Second, func(w *world) func() { return w.wired("drop app "+s, "drop db "+s) }},
		{"cut off " + s + " from app", call, false, 4 * time.Second, func(w *world) func() { return w.wired("drop app " + s) }},
		{"cut off " + s + " from db", call, false, 4 * time.Second, func(w *world) func() { return w.wired("drop db " + s) }},
		{"delay " + s, call, false, 2 * time.Second, func(w *world) func() { return w.wired("delay " + s + " 100ms") }},
	}
}

var databaseFaults = []fault{
	{"kill db", call + time.Second, true, time.Second, func(w *world) func() { return w.killDatabase() }},
	{"stop db", call + time.Second, true, 4 * time.Second, func(w *world) func() {
		w.db.Signal(syscall.SIGSTOP)
		return func() { w.db.Signal(syscall.SIGCONT) }
	}},
	{"cut off db", call + time.Second, true, 4 * time.Second, func(w *world) func() { return w.wired("drop db s1", "drop db s2") }},
	{"delay db", call, false, 2 * time.Second, func(w *world) func() { return w.wired("delay db 100ms") }},
}

// A crypto unit of the emulated kind is part of its server's process. It dies
// for callers as an HSM does that is zeroized: its master key is gone from one
// moment to the next, and comes back with a ceremony.
func unitFaults(n int) []fault {
	server, unit := servers[(n-1)/2], fmt.Sprint("unit", n)
	return []fault{
		{"kill " + unit, time.Second, false, time.Second, func(w *world) func() {
			g := w.owner.group(w.T, server, unit)
			w.owner.clear(w.T, g)
			return func() { w.owner.load(w.T, g) }
		}},
		{"drain " + unit, attempt, false, time.Second, func(w *world) func() {
			place := unit + "@" + parts[server] + ":" + port9876
			w.unit("drain " + place)
			return func() { w.unit("resume " + place) }
		}},
	}
}

func allFaults() []fault {
	all := append([]fault(nil), databaseFaults...)
	for i, s := range servers {
		all = append(all, serverFaults(s)...)
		all = append(all, unitFaults(2*i+1+i)...)
	}
	return all
}

// wired gives the wire commands, and heals it in the end.
func (w *world) wired(commands ...string) func() {
	for _, c := range commands {
		w.wire.say(w.T, "%s", c)
	}
	return func() { w.wire.say(w.T, "heal") }
}

func (w *world) killServer(s string) func() {
	_ = w.up[s].Process.Kill()
	_ = w.up[s].Wait()
	return func() { w.startServer(s) }
}

func (w *world) killDatabase() func() {
	w.db.Kill()
	return func() {
		w.startDatabase()
		w.db.Await(w.T)
	}
}

// TestTheServiceStaysUp runs the applications while all that goes wrong. Their
// figures are in the log: go test -v.
func TestTheServiceStaysUp(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	w := newWorld(t)
	apps := map[string]*process{}
	for kind := range kinds {
		apps[kind] = w.role("application", "app", built(t, "libgrep11-pkcs11.so"), kind)
		apps[kind].expect(t, "ready")
	}
	faults := w.havoc(apps, rand.New(rand.NewPCG(seed, 0)))
	for kind, app := range apps {
		t.Logf("application: %s", kind)
		var r report
		app.report(t, &r)
		r.judge(t, faults)
	}
}

// havoc has every fault happen once in a random order, and again as long as there is
// time, and tells the applications what happens.
func (w *world) havoc(apps map[string]*process, r *rand.Rand) []fault {
	time.Sleep(*calmFlag)
	only := regexp.MustCompile(*onlyFlag)
	faults := slices.DeleteFunc(allFaults(), func(f fault) bool { return !only.MatchString(f.name) })
	for end := time.Now().Add(*chaosFlag); ; {
		for _, i := range r.Perm(len(faults)) {
			w.happens(apps, faults[i], r)
			if time.Now().After(end) {
				return faults
			}
		}
	}
}

// recovery is how long after its end a fault is to blame for what happens: TCP
// repeats what was lost after pauses that doubled meanwhile.
const recovery = 2 * time.Second

func tell(t *testing.T, apps map[string]*process, phase string) {
	t.Helper()
	for _, app := range apps {
		app.say(t, "phase %s", phase)
	}
}

func (w *world) happens(apps map[string]*process, f fault, r *rand.Rand) {
	tell(w.T, apps, f.name)
	end := f.begin(w)
	time.Sleep(f.lasts + time.Duration(r.Int64N(int64(time.Second))))
	end()
	time.Sleep(recovery)
	tell(w.T, apps, calm)
	time.Sleep(*calmFlag / 3)
}
