package consumers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nginxProgram = "/usr/sbin/nginx" // not on every user's PATH

func startNginx(t *testing.T) *webServer {
	consumer(t, nginxProgram, "nginx")
	w := newWebServer(t)
	w.s.snippet(t, "nginx.conf", "127.0.0.1:8443", w.address, "user www-data;", w.s.workersUser(t))
	w.run(t)
	return w
}

// workersUser lets nginx's workers, whom a master that is root makes somebody
// else, read what they need. SoftHSM2's files are for one user only, and its
// configuration is known by an environment variable that nginx must keep.
func (s *service) workersUser(t *testing.T) string {
	if s.config == "" {
		return "user root;\nenv SOFTHSM2_CONF;"
	}
	if os.Geteuid() != 0 {
		return ""
	}
	s.shareWith(t, "www-data")
	return "user www-data;"
}

// run starts nginx as its users do: it goes to the background by itself, so
// that master and workers are children of a process that initialised the library.
func (w *webServer) run(t *testing.T) {
	w.s.run(t, nginxProgram, "-p", w.s.dir, "-c", "nginx.conf")
	t.Cleanup(func() { w.stop(t) })
	pid, err := os.ReadFile(w.s.path("nginx.pid"))
	if err != nil {
		t.Fatal(err)
	}
	w.master, _ = strconv.Atoi(strings.TrimSpace(string(pid)))
	w.settle(t, nil)
}

// stop ends nginx and finds out whether any of its processes stays behind. A
// worker's last call may take all the time that calls have.
func (w *webServer) stop(t *testing.T) {
	syscall.Kill(w.master, syscall.SIGQUIT)
	eventually(t, "nginx's processes end", 45*time.Second, func() error {
		for pid := range w.seen {
			if strings.HasPrefix(commandLine(pid), "nginx") {
				return fmt.Errorf("process %d stays: %s", pid, commandLine(pid))
			}
		}
		return nil
	})
	for pid := range w.seen {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if log, _ := os.ReadFile(w.s.path("error.log")); t.Failed() || strings.Contains(string(log), "[alert]") {
		t.Errorf("error.log:\n%s", tail(string(log), 2000))
	}
}

// settle waits until there are four workers and none of the old ones.
func (w *webServer) settle(t *testing.T, old []int) []int {
	t.Helper()
	var workers []int
	eventually(t, "4 new workers", 20*time.Second, func() error {
		workers = children(w.master)
		w.seen[w.master] = true
		for _, pid := range workers {
			w.seen[pid] = true
		}
		for _, pid := range old {
			if commandLine(pid) != "" {
				return fmt.Errorf("old worker %d is still there", pid)
			}
		}
		if len(workers) != 4 {
			return fmt.Errorf("%d workers", len(workers))
		}
		return nil
	})
	return workers
}

func TestNginx(t *testing.T) {
	w := startNginx(t)
	workers := w.settle(t, nil)
	began := time.Now()
	w.handshakes(t, 1000)
	t.Logf("1000 handshakes with 4 workers: %v", time.Since(began).Round(time.Millisecond))

	first := w.memory(workers)
	t.Logf("memory after 1000 handshakes: %v", first)
	var early, late rss
	for reload := 1; reload <= 20; reload++ {
		if err := syscall.Kill(w.master, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		workers = w.settle(t, workers)
		w.handshakes(t, 24)
		switch reload {
		case 5:
			early = w.memory(workers)
		case 20:
			late = w.memory(workers)
		}
	}
	t.Logf("after 5 reloads: %v; after 20: %v", early, late)
	if late.master > early.master+early.master/10+4096 || late.workers > early.workers+early.workers/10+16384 {
		t.Errorf("memory grows: after 5 reloads %v, after 20 %v", early, late)
	}
}

func TestNginxReloadCommand(t *testing.T) {
	w := startNginx(t)
	workers := w.settle(t, nil)
	w.s.run(t, nginxProgram, "-p", w.s.dir, "-c", "nginx.conf", "-s", "reload")
	w.settle(t, workers)
	w.handshakes(t, 50)
}

// rss is resident memory in kB, of the master and of all workers together.
type rss struct{ master, workers int }

func (r rss) String() string { return fmt.Sprintf("master %d kB, workers %d kB", r.master, r.workers) }

func (w *webServer) memory(workers []int) rss {
	r := rss{master: residentKB(w.master)}
	for _, pid := range workers {
		r.workers += residentKB(pid)
	}
	return r
}

func residentKB(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb := 0
	fmt.Sscan(rest, &kb)
	return kb
}

// children are the living child processes of a process.
func children(parent int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, _ := os.ReadFile(file)
		var state string
		var ppid int
		_, rest, _ := strings.Cut(string(text), ") ")
		fmt.Sscan(rest, &state, &ppid)
		if pid, _ := strconv.Atoi(strings.Split(file, "/")[2]); ppid == parent && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// commandLine is empty for a process that has ended.
func commandLine(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
}

// eventually waits until check has nothing to say any more.
func eventually(t *testing.T, what string, limit time.Duration, check func() error) {
	t.Helper()
	err := errors.New("not checked")
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Errorf("%s: not within %v: %v", what, limit, err)
}
