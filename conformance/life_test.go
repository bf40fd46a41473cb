package conformance

import "testing"

// TestLife is what a module lives through in applications' processes, with
// nothing configured and with a service to talk to. The program prints figures,
// and the library nothing at all.
func TestLife(t *testing.T) {
	program := compile(t, "life.c")
	for _, row := range []struct{ what, verb string }{
		{"a thousand rounds leave nothing behind", "rounds"},
		{"unloaded and loaded again", "reload"},
		{"loaded in every way", "deepbind"},
		{"C_Finalize while calls run", "finalize"},
		{"exit without C_Finalize", "exit"},
		{"handlers at exit that call the library", "handlers"},
		{"ten thousand sessions", "sessions"},
		{"the application's limit of open files", "limits"},
		{"no descriptor left for C_Initialize", "full"},
	} {
		t.Run(row.what, func(t *testing.T) {
			t.Log("alone: ", run(t, nil, program, modulePath(t), row.verb))
			t.Log("served:", run(t, service, program, modulePath(t), row.verb))
		})
	}
}

// TestLoadingIsSilent: p11-kit loads every registered module into every program
// that uses GnuTLS, with or without a configuration.
func TestLoadingIsSilent(t *testing.T) {
	if said := run(t, nil, compile(t, "life.c"), modulePath(t), "reload"); said != "" {
		t.Errorf("printed %q", said)
	}
}
