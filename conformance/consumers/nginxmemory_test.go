package consumers

import (
	"syscall"
	"testing"
)

const (
	// Go's heap only grows until its first collection. In nginx's master, which uses
	// the library a little with each reload, that takes about as many as these.
	warmReloads     = 180
	measuredReloads = 60
	// Over what nginx's master grows by itself; one more thread of Go's is some
	// hundred kB. A leak of a session, a key or a connection is more.
	maxGrowthKB = 16 * measuredReloads
)

// TestNginxMemoryIsFlat compares the master's growth, reload by reload, with that of
// an nginx whose keys are in files.
func TestNginxMemoryIsFlat(t *testing.T) {
	var ours, control int
	t.Run("keys on the token", func(t *testing.T) { ours = startNginx(t).growthKB(t) })
	t.Run("keys in files", func(t *testing.T) { control = startPlainNginx(t).growthKB(t) })
	t.Logf("%d reloads: the master grows by %d kB, with keys in files by %d kB", measuredReloads, ours, control)
	if ours > control+maxGrowthKB {
		t.Errorf("memory grows: %d kB in %d reloads, with keys in files %d kB", ours, measuredReloads, control)
	}
}

// growthKB is by how much measuredReloads make the master grow.
func (w *webServer) growthKB(t *testing.T) int {
	w.reload(t, warmReloads)
	before := residentKB(w.master)
	w.reload(t, measuredReloads)
	return residentKB(w.master) - before
}

func (w *webServer) reload(t *testing.T, times int) {
	workers := w.settle(t, nil)
	for range times {
		if err := syscall.Kill(w.master, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		workers = w.settle(t, workers)
	}
}

// startPlainNginx starts an nginx that knows nothing of the library.
func startPlainNginx(t *testing.T) *webServer {
	consumer(t, nginxProgram, "nginx")
	w := newWebServer(t)
	edits := []string{"127.0.0.1:8443", w.address, "user www-data;", w.s.workersUser(t), "ssl_engine pkcs11;", ""}
	for label, kind := range map[string][]string{
		"rsa": {"-newkey", "rsa:2048"},
		"ec":  {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
	} {
		w.s.run(t, append([]string{"openssl", "req", "-x509", "-nodes", "-subj", "/CN=localhost",
			"-keyout", label + ".key", "-out", label + ".pem"}, kind...)...)
		edits = append(edits, `"engine:pkcs11:pkcs11:token=dev;object=web-`+label+`;type=private"`, label+".key")
	}
	w.s.snippet(t, "nginx.conf", edits...)
	w.run(t)
	return w
}
