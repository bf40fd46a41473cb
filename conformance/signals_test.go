package conformance

import "testing"

func TestSignalsAreTheApplicationsOwn(t *testing.T) {
	if out := run(t, service, compile(t, "signals.c"), modulePath(t)); out != "300 here, 0 elsewhere\n" {
		t.Error(out)
	}
}

func TestHandlersInterruptCalls(t *testing.T) {
	if out := run(t, service, compile(t, "handlers.c"), modulePath(t)); out != "interrupted: 1, answer: 0\n" {
		t.Error(out)
	}
}

func TestThreadsAreCancelledInCalls(t *testing.T) {
	if out := run(t, service, compile(t, "cancel.c"), modulePath(t)); out != "cancelled: 400, answer: 0, end: 0\n" {
		t.Error(out)
	}
}
