package conformance

import (
	"testing"
)

// TestFork forks 200 times under 8 busy threads, and the children fork too: no
// call may fail or hang in any process. testdata/fork.c says what each does.
func TestFork(t *testing.T) {
	program := compile(t, "fork.c")
	for _, row := range []struct {
		what string
		args []string
	}{
		{"the child's copy is in memory", nil},
		{"no memory may be executed", []string{"nomemfd"}},
		{"nothing can be copied", []string{"nocopy", "forks=20"}},
		{"a fork handler calls C_Initialize", []string{"handler", "forks=50"}},
		{"the parent has not called C_Initialize", []string{"early", "threads=0", "forks=50"}},
		{"a single thread", []string{"threads=0", "forks=50"}},
	} {
		t.Run(row.what, func(t *testing.T) {
			t.Log(run(t, garbage, program, append([]string{modulePath(t)}, row.args...)...))
		})
	}
}

// garbage makes the Go runtime in the parent collect all the time.
var garbage = []string{"GOGC=5"}

// TestForkAndSign is the same with a token: every process logs in and signs.
func TestForkAndSign(t *testing.T) {
	openSession(t).makeKeyPair(t, "fork test")
	program := compile(t, "fork.c")
	for _, args := range [][]string{nil, {"nomemfd", "forks=10"}} {
		t.Log(run(t, append(garbage, service...), program, append([]string{modulePath(t), "label=fork test"}, args...)...))
	}
}
