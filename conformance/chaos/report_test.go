package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is what the application saw.
type report struct {
	Phases  map[string]*figures
	Objects int      // in the ledger
	Wrong   []string // objects that are not as they were answered
	ledger  []*entry
}

// figures are those of one kind of phase.
type figures struct {
	Calls, Failed int
	Longest       time.Duration
	Which         string         // the longest
	Codes         map[string]int // of the failures
}

func (r *report) note(phase, what string, calls int, took time.Duration, err error) {
	f := r.Phases[phase]
	if f == nil {
		f = &figures{Codes: map[string]int{}}
		r.Phases[phase] = f
	}
	f.Calls += calls
	if took > f.Longest {
		f.Longest, f.Which = took, what
	}
	if err != nil {
		f.Failed++
		f.Codes[what+": "+err.Error()]++
	}
}

func (p *process) report(t *testing.T, r *report) {
	t.Helper()
	fmt.Fprintln(p.in, "stop")
	if !p.out.Scan() {
		t.Fatalf("the application does not report: %v", p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), r); err != nil {
		t.Fatalf("%v in %.1000q", err, p.out.Text())
	}
}

// cleanly are the codes with which calls may fail where their only database is away.
var cleanly = []string{"CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED"}

func (r *report) judge(t *testing.T, faults []fault) {
	t.Helper()
	var calls, failed int
	base := r.Phases[calm]
	t.Logf("%-24s %8s %7s %9s", "", "calls", "failed", "longest")
	for _, name := range slices.Sorted(maps.Keys(r.Phases)) {
		f := r.Phases[name]
		calls, failed = calls+f.Calls, failed+f.Failed
		t.Logf("%-24s %8d %7d %9v (%s) %v", name, f.Calls, f.Failed, f.Longest.Round(time.Millisecond), f.Which, f.Codes)
	}
	t.Logf("%d calls, %d failed; %d objects and key pairs in the ledger, %d of them wrong", calls, failed, r.Objects, len(r.Wrong))
	for _, w := range r.Wrong {
		t.Error(w)
	}
	if base.Failed > 0 {
		t.Errorf("%d calls failed while nothing happened", base.Failed)
	}
	for _, f := range faults {
		if seen := r.Phases[f.name]; seen != nil {
			f.judge(t, seen, base.Longest)
		}
	}
}

// inUse tells whether what failed uses keys that are in use all the time: they need no
// database.
func inUse(code string) bool {
	return strings.HasPrefix(code, "sign") || strings.HasPrefix(code, "encrypt")
}

// judge allows for what the machine takes even where nothing happens, twice: a
// call that meets a fault is made again.
func (f fault) judge(t *testing.T, seen *figures, base time.Duration) {
	t.Helper()
	if seen.Longest > f.limit+2*base {
		t.Errorf("%s: a call took %v, more than %v and twice the %v of a calm time", f.name, seen.Longest, f.limit, base)
	}
	if !f.alone && seen.Failed > 0 {
		t.Errorf("%s: %d calls failed", f.name, seen.Failed)
	}
	for code, n := range seen.Codes {
		if f.alone && inUse(code) {
			t.Errorf("%s: %d times a key in use failed: %s", f.name, n, code)
		}
		if !slices.ContainsFunc(cleanly, func(c string) bool { return strings.Contains(code, c) }) {
			t.Errorf("%s: failed with %s", f.name, code)
		}
	}
}
