package consumers

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const apacheProgram = "/usr/sbin/apache2"

// Apache's two common ways: processes only, and processes with threads. Each
// reads its configuration twice, goes to the background and forks workers.
func TestApache(t *testing.T) {
	for _, mpm := range []string{"prefork", "event"} {
		t.Run(mpm, func(t *testing.T) {
			w := startApache(t, mpm)
			w.handshakes(t, 300)
			w.s.stopServer(t, os.Interrupt)
			w.s.startServer(t)
			w.handshakes(t, 24)
			for range 3 {
				old := children(w.master)
				w.apache(t, "-k", "graceful")
				w.workersApart(t, old)
				w.handshakes(t, 24)
			}
		})
	}
}

func startApache(t *testing.T, mpm string) *webServer {
	consumer(t, apacheProgram, "apache2-bin")
	w := newWebServer(t)
	if os.Geteuid() == 0 && w.s.config != "" {
		w.s.shareWith(t, "www-data")
	}
	w.s.snippet(t, "apache.conf", "/srv/web", w.s.dir, "127.0.0.1:8443", w.address, "mpm_event", "mpm_"+mpm)
	page := w.s.write(t, "htdocs/index.html", "served with a key in the HSM\n")
	if err := errors.Join(os.Chmod(w.s.path("htdocs"), 0o755), os.Chmod(page, 0o644)); err != nil {
		t.Fatal(err)
	}
	w.apache(t)
	t.Cleanup(func() { w.stopApache(t) })
	eventually(t, "Apache's process file", 10*time.Second, func() error {
		pid, err := os.ReadFile(w.s.path("apache.pid"))
		w.master, _ = strconv.Atoi(strings.TrimSpace(string(pid)))
		return err
	})
	eventually(t, "Apache answers", 10*time.Second, func() error { return w.get(0) })
	return w
}

func (w *webServer) apache(t *testing.T, args ...string) {
	t.Helper()
	w.s.run(t, append([]string{apacheProgram, "-f", w.s.path("apache.conf")}, args...)...)
}

// workersApart waits until there are workers, and none of the old ones.
func (w *webServer) workersApart(t *testing.T, old []int) {
	t.Helper()
	eventually(t, "new workers", 20*time.Second, func() error {
		for _, pid := range old {
			if commandLine(pid) != "" {
				return fmt.Errorf("old worker %d is still there", pid)
			}
		}
		if len(children(w.master)) < 3 {
			return errors.New("too few workers")
		}
		return nil
	})
}

func (w *webServer) stopApache(t *testing.T) {
	w.apache(t, "-k", "stop")
	eventually(t, "Apache ends", 15*time.Second, func() error {
		if commandLine(w.master) != "" {
			return errors.New("it is still there")
		}
		return nil
	})
	if log, _ := os.ReadFile(w.s.path("error.log")); t.Failed() {
		t.Logf("error.log:\n%s", tail(string(log), 3000))
	}
}
