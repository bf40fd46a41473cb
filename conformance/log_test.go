package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grep11/pkcs11/ck"
)

// logging is the service's configuration, with a log of all calls.
func logging(t *testing.T, to string) (config string) {
	t.Helper()
	text, err := os.ReadFile(setting(t, "GREP11_PKCS11_CONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config = filepath.Join(t.TempDir(), "client.toml")
	text = fmt.Appendf(text, "\n[log]\nfile = %q\ntrace = true\n", to)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// traced counts the lines of a log with C_GetInfo, by process.
func traced(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return countTraced(string(text))
}

func countTraced(text string) map[string]int {
	lines := map[string]int{}
	for line := range strings.Lines(text) {
		if _, pid, ok := strings.Cut(line, "pid="); ok && strings.HasPrefix(line, "time=") && strings.Contains(line, "call=C_GetInfo ") {
			lines[strings.TrimSpace(pid)]++
		}
	}
	return lines
}

// TestLogIsRotated: a log that is moved away is made anew, in a process and in
// its forked child; and one that is copied and cut goes on from its beginning.
func TestLogIsRotated(t *testing.T) {
	if !ours() {
		return
	}
	log := filepath.Join(t.TempDir(), "log")
	pids := strings.Fields(run(t, nil, compile(t, "logged.c"), modulePath(t), logging(t, log), log))
	before, after := traced(t, log+".1"), traced(t, log)
	for _, pid := range pids {
		if before[pid] != 1 || after[pid] != 1 {
			t.Errorf("process %s has %d lines in the log that was moved, %d in the new one", pid, before[pid], after[pid])
		}
	}
	if len(pids) != 2 {
		t.Errorf("processes %v", pids)
	}
}

func TestLogIsCut(t *testing.T) {
	if !ours() {
		return
	}
	log := filepath.Join(t.TempDir(), "log")
	m, memory := load(t), NewMemory()
	defer memory.Free()
	reserved := memory.Bytes([]byte("config=" + logging(t, log) + "\x00")).Address()
	call := func(name string, argument uintptr) {
		t.Helper()
		if rv := m.Call(name, argument); rv != ck.CKR_OK {
			t.Fatalf("%s: %v", name, rv)
		}
	}
	call("C_Initialize", memory.Words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), reserved).Address())
	info := memory.Room(200).Address()
	for range 100 {
		call("C_GetInfo", info)
	}
	pid := fmt.Sprint(os.Getpid())
	if n := traced(t, log)[pid]; n != 100 {
		t.Errorf("%d lines of 100 calls", n)
	}
	if err := os.Truncate(log, 0); err != nil { // as logrotate's copytruncate does
		t.Fatal(err)
	}
	call("C_GetInfo", info)
	call("C_Finalize", 0)
	if text, _ := os.ReadFile(log); countTraced(string(text))[pid] != 1 || strings.ContainsRune(string(text), 0) {
		t.Errorf("after it was cut the log is %q", text)
	}
}

// TestSyslog gives the program a system log of its own, in a mount namespace: a
// process and its forked child write there.
func TestSyslog(t *testing.T) {
	if !ours() || os.Geteuid() != 0 {
		return // only root may put a socket at /dev/log
	}
	socket := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := os.Lstat("/dev/log"); os.IsNotExist(err) { // something to mount upon
		if err := os.WriteFile("/dev/log", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove("/dev/log")
	}
	command := `mount --bind "$1" /dev/log && shift && exec "$@"`
	text, err := exec.Command("unshare", "-m", "sh", "-c", command, "sh", socket,
		compile(t, "logged.c"), modulePath(t), logging(t, "syslog")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	lines := map[string]int{}
	for message := make([]byte, 1<<16); ; {
		_ = l.SetReadDeadline(time.Now().Add(time.Second))
		n, err := l.Read(message)
		if err != nil {
			break
		}
		if head, line, ok := strings.Cut(string(message[:n]), "]: "); ok && strings.Contains(line, "call=C_GetInfo ") {
			_, pid, _ := strings.Cut(head, "grep11[")
			lines[pid]++
		}
	}
	for _, pid := range strings.Fields(string(text)) {
		if lines[pid] != 2 {
			t.Errorf("process %s has %d lines in the system log, of %v", pid, lines[pid], lines)
		}
	}
}
