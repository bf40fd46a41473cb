package conformance

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"grep11/pkcs11/ck"
)

var (
	callsFlag = flag.Int("machine.calls", 20000, "calls that the state machine makes")
	seedFlag  = flag.Uint64("machine.seed", 1, "which ones")
)

// TestMachine makes random calls and holds each answer against a model of the
// standard's states: who is logged in, sessions, objects and what they allow,
// operations and their lives. Results are compared with Go's own cryptography.
//
// Where several errors apply the standard lets any of them be told, but for a
// session that is not there, which comes first (PKCS#11 v3.2 §5.1.7): so each
// call has a set of codes that apply, and must succeed if the set is empty.
func TestMachine(t *testing.T) {
	machinePlayed = true
	if !ours() {
		return // the model knows our answers where the standard leaves a choice
	}
	m := newMachine(t, *seedFlag)
	began, before := time.Now(), int64(0)
	for m.made < *callsFlag {
		m.turn()
		if before == 0 && m.made > *callsFlag/10 {
			before = resident(t, os.Getpid())
		}
	}
	m.finish()
	after := resident(t, os.Getpid())
	took := time.Since(began)
	t.Logf("seed %d: %d calls of %d functions in %v (%.0f/s), %d answers; memory of the caller %d kB after a tenth, %d kB at the end",
		*seedFlag, m.made, len(m.calls), took.Round(time.Millisecond), float64(m.made)/took.Seconds(), len(m.answers), before, after)
	t.Logf("answers: %s", m.tally())
	if after > before+64<<10 {
		t.Errorf("memory grew from %d to %d kB", before, after)
	}
}

// resident is a process's memory in kB.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// machine is the model, and what is needed to make calls.
type machine struct {
	t    *testing.T
	m    *Module
	a    *arena
	r    *rand.Rand
	slot uintptr
	tag  []byte // of all objects of this run

	user     ck.UserType         // who is logged in; noUser for nobody
	wrong    map[ck.UserType]int // PINs in a row
	sessions []*msession
	objects  []*mobject
	gone     []uintptr // handles of objects that are no more
	states   []*mstate

	lists   map[string][]string // what functions may answer
	made    int
	calls   map[string]int
	answers map[ck.RV]int
	trace   []string // the last calls
}

const noUser = ^ck.UserType(0)

func newMachine(t *testing.T, seed uint64) *machine {
	m := &machine{
		t: t, m: load(t), a: newArena(), r: rand.New(rand.NewPCG(seed, 11)), tag: fmt.Appendf(nil, "machine %d", seed),
		user: noUser, lists: returns(t), wrong: map[ck.UserType]int{}, calls: map[string]int{}, answers: map[ck.RV]int{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d, the last calls:\n%s", seed, strings.Join(m.trace, "\n"))
		}
		m.m.Call("C_Finalize", 0)
		m.a.memory.Free()
	})
	m.initialize()
	return m
}

func (m *machine) initialize() {
	reserved := m.a.bytes([]byte("config=" + setting(m.t, "GREP11_PKCS11_CONFIG") + "\x00"))
	m.call("C_Initialize", nil, m.a.words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), reserved))
	slots, count := m.a.room(8*64), m.a.words(64)
	m.call("C_GetSlotList", nil, 1, slots.at, count)
	m.slot = slots.word(0)
}

// moves are what a turn may do, and how often.
var moves = []struct {
	often int
	do    func(*machine)
}{
	{60, (*machine).openSession}, {10, (*machine).closeSession}, {1, (*machine).closeAll}, {60, (*machine).sessionInfo},
	{3, (*machine).login}, {1, (*machine).logout}, {40, (*machine).general}, {2, (*machine).slots}, {10, (*machine).cancel},
	{1, (*machine).pins}, {4, (*machine).random},
	{40, (*machine).createObject}, {8, (*machine).copyObject}, {20, (*machine).destroyObject},
	{60, (*machine).getAttributes}, {12, (*machine).setAttributes}, {10, (*machine).objectSize},
	{20, (*machine).findInit}, {60, (*machine).find}, {30, (*machine).findFinal},
	{6, (*machine).generateKey}, {2, (*machine).generatePair}, {10, (*machine).wrap}, {6, (*machine).derive},
	{260, (*machine).begin}, {200, (*machine).whole}, {250, (*machine).update}, {120, (*machine).final},
	{60, (*machine).dual}, {25, (*machine).digestKey}, {25, (*machine).saveState}, {20, (*machine).restoreState},
	{40, (*machine).messageInit}, {60, (*machine).message}, {40, (*machine).messageBegin}, {60, (*machine).messageNext}, {15, (*machine).messageFinal},
}

var allMoves = func() (n int) {
	for _, move := range moves {
		n += move.often
	}
	return n
}()

func (m *machine) turn() {
	m.a.reset()
	if m.oneIn(20000) {
		m.restart()
		return
	}
	n := m.r.IntN(allMoves)
	for _, move := range moves {
		if n -= move.often; n < 0 {
			move.do(m)
			return
		}
	}
}

func (m *machine) oneIn(n int) bool { return m.r.IntN(n) == 0 }

// restart is C_Finalize and C_Initialize: what is not in the token is gone, and
// what is in it has its old handle.
func (m *machine) restart() {
	m.call("C_Initialize", faults{ck.CKR_CRYPTOKI_ALREADY_INITIALIZED}, 0)
	m.call("C_Finalize", nil, 0)
	m.call("C_GetInfo", faults{ck.CKR_CRYPTOKI_NOT_INITIALIZED}, m.a.room(200).at)
	m.call("C_Finalize", faults{ck.CKR_CRYPTOKI_NOT_INITIALIZED}, 0)
	for _, s := range slices.Clone(m.sessions) {
		m.forgetSession(s)
	}
	m.user, m.states, m.gone = noUser, nil, nil // handles of session objects begin anew
	m.initialize()
}

// finish leaves nothing in the token.
func (m *machine) finish() {
	m.a.reset()
	m.restart()
	place := m.a.words(0)
	m.call("C_OpenSession", nil, m.slot, uintptr(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION), 0, 0, place)
	s := *m.a.at(place)
	pin := []byte(setting(m.t, "GREP11_PIN"))
	m.call("C_Login", nil, s, uintptr(ck.CKU_USER), m.a.bytes(pin), uintptr(len(pin)))
	for _, o := range slices.Clone(m.objects) {
		if o.destroyable {
			m.call("C_DestroyObject", nil, s, o.handle)
		}
	}
}

// faults are the codes that apply to a call.
type faults []ck.RV

func (f *faults) when(bad bool, rv ck.RV) {
	if bad {
		*f = append(*f, rv)
	}
}

// call makes a call, and tells whether it succeeded as it had to.
func (m *machine) call(name string, f faults, arguments ...uintptr) bool {
	m.t.Helper()
	rv := m.ask(name, arguments...)
	m.judge(name, rv, f)
	return rv == ck.CKR_OK
}

func (m *machine) ask(name string, arguments ...uintptr) ck.RV {
	rv := m.m.Call(name, arguments...)
	m.made++
	m.calls[name]++
	m.answers[rv]++
	line := fmt.Sprintf("%d %s %#x: %v", m.made, name, arguments, rv)
	if m.trace = append(m.trace, line); len(m.trace) > 60 {
		m.trace = slices.Delete(m.trace, 0, 20)
	}
	return rv
}

func (m *machine) judge(name string, rv ck.RV, f faults) {
	m.t.Helper()
	if !mayReturn(m.lists, name, rv) {
		m.t.Fatalf("%s: %v is not on the standard's list", name, rv)
	}
	switch {
	case slices.Contains(f, ck.CKR_SESSION_HANDLE_INVALID):
		if rv != ck.CKR_SESSION_HANDLE_INVALID {
			m.t.Fatalf("%s in a session that is not there: %v", name, rv)
		}
	case len(f) == 0 && rv != ck.CKR_OK, len(f) > 0 && !slices.Contains(f, rv):
		m.t.Fatalf("%s: %v, of %v", name, rv, f)
	}
	if bad := m.a.overwritten(); bad != "" {
		m.t.Fatalf("%s wrote behind a buffer: %s", name, bad)
	}
}

func (m *machine) tally() string {
	var lines []string
	for rv, n := range m.answers {
		lines = append(lines, fmt.Sprintf("%v %d", rv, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}
