package consumers

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"grep11/conformance/kind"
)

var moduleFlag = flag.String("module", "grep11", "grep11: ours, behind `grep11 dev`; softhsm: SoftHSM2 in process")

const softhsm = "/usr/lib/softhsm/libsofthsm2.so"

// A service is a token that programs reach through a module.
type service struct {
	module            string // absolute path
	config            string // client.toml, empty for SoftHSM2
	token, soPIN, pin string
	dir               string   // scratch, and the service's state
	env               []string // what a program needs beside os.Environ
	as                []string // the command that runs programs as another user
	group             string   // what has access to the configuration beside its owner

	listen string
	binary string    // the command, if it is not the one that make build makes
	plain  string    // the library's configuration for grep11.Crypto alone
	server *exec.Cmd // nil while it does not run
}

// start gives a test a service of its own, in an empty folder.
func start(t *testing.T) *service {
	t.Helper()
	s := &service{dir: t.TempDir()}
	if *moduleFlag == "softhsm" {
		s.startSoftHSM(t)
		return s
	}
	s.listen = freeAddress(t)
	s.startServer(t)
	t.Cleanup(func() { s.stopServer(t, syscall.SIGTERM) })
	return s
}

// startSoftHSM makes a token in a private folder with the same name and PINs
// as `grep11 dev`.
func (s *service) startSoftHSM(t *testing.T) {
	conf := s.write(t, "softhsm2.conf", "directories.tokendir = "+s.dir+"/tokens\nobjectstore.backend = file\n")
	if err := os.Mkdir(s.dir+"/tokens", 0o700); err != nil {
		t.Fatal(err)
	}
	s.module, s.token, s.soPIN, s.pin = softhsm, "dev", "87654321", "12345678"
	s.env = []string{"SOFTHSM2_CONF=" + conf}
	s.run(t, "softhsm2-util", "--init-token", "--free", "--label", s.token, "--so-pin", s.soPIN, "--pin", s.pin)
}

// startServer starts `grep11 dev` on the service's folder and address, anew
// after a kill, and learns from it where things are.
func (s *service) startServer(t *testing.T) {
	t.Helper()
	binary := s.binary
	if binary == "" {
		binary = built(t, "grep11")
	}
	cmd := exec.Command(binary, kind.DevArgs("--dir", s.dir+"/dev", "--listen", s.listen)...)
	log, err := os.OpenFile(s.dir+"/server.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.server, s.env = cmd, nil
	stuck := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			s.learn(t)
			s.makePlain(t)
			if s.group != "" {
				s.shareWith(t, s.group)
			}
			return
		}
		if assignment, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			name, value, _ := strings.Cut(assignment, "=")
			s.env = append(s.env, name+"="+strings.Trim(value, `'"`))
		}
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("grep11 dev did not become ready:\n%s", text)
}

func (s *service) learn(t *testing.T) {
	for name, to := range map[string]*string{
		"PKCS11_MODULE": &s.module, "GREP11_PKCS11_CONFIG": &s.config,
		"GREP11_TOKEN": &s.token, "GREP11_SO_PIN": &s.soPIN, "GREP11_PIN": &s.pin,
	} {
		if *to = s.getenv(name); *to == "" {
			t.Fatalf("grep11 dev exports no %s", name)
		}
	}
}

// makePlain has the library see grep11.Crypto alone, if that is asked for.
func (s *service) makePlain(t *testing.T) {
	if !kind.Plain() {
		return
	}
	if s.plain == "" {
		config, stop, err := kind.MakePlain(built(t, "grep11"), s.dir+"/dev", s.listen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		s.plain = config
	}
	s.config = s.plain
	s.env = append(s.env, "GREP11_PKCS11_CONFIG="+s.config) // the last one counts
}

func (s *service) getenv(name string) string {
	for _, e := range s.env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// stopServer ends the server and waits until it is gone. Its log is shown when
// the test has failed.
func (s *service) stopServer(t *testing.T, sig os.Signal) {
	if s.server == nil {
		return
	}
	s.server.Process.Signal(sig)
	stuck := time.AfterFunc(20*time.Second, func() {
		t.Error("grep11 dev did not end within 20 s of its signal")
		s.server.Process.Kill()
	})
	s.server.Wait()
	stuck.Stop()
	s.server = nil
	if t.Failed() {
		text, _ := os.ReadFile(s.dir + "/server.log")
		t.Logf("server log (end):\n%s", tail(string(text), 4000))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// built is the absolute path of something that make build makes.
func built(t *testing.T, name string) string {
	path, err := filepath.Abs("../../build/out/" + name)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v (make build makes it)", err)
	}
	return path
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// write puts a file into the service's folder and gives its path.
func (s *service) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// snippet copies a file of testdata into the service's folder, with the paths
// of an installed system replaced by the test's, and gives its path.
func (s *service) snippet(t *testing.T, name string, more ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	replace := append([]string{
		"/usr/lib/x86_64-linux-gnu/libgrep11-pkcs11.so", s.module,
		"/etc/grep11/client.toml", s.config,
	}, more...)
	changed := strings.NewReplacer(replace...).Replace(string(text))
	if s.config == "" {
		changed = strings.ReplaceAll(changed, "INIT_ARGS", "# INIT_ARGS")
		changed = strings.ReplaceAll(changed, "x-init-reserved", "# x-init-reserved")
	}
	return s.write(t, name, changed)
}

// shareWith lets a group's members use the service and the test's folder.
func (s *service) shareWith(t *testing.T, name string) (gid int) {
	t.Helper()
	group, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	s.group = name
	gid, _ = strconv.Atoi(group.Gid)
	share := func(path string, mode os.FileMode) {
		err = errors.Join(err, os.Chown(path, -1, gid), os.Chmod(path, mode))
	}
	for _, dir := range []string{filepath.Dir(s.config), s.dir, filepath.Dir(s.dir)} {
		share(dir, 0o770)
	}
	files := map[string]os.FileMode{"client.toml": 0o640, "ca.pem": 0o640, "client.pem": 0o640, "client.key": 0o640}
	if s.plain != "" {
		files["plain.toml"], files["keys.store"] = 0o640, 0o660
	}
	for file, mode := range files {
		share(filepath.Join(filepath.Dir(s.config), file), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return gid
}

// unprivileged makes the service's later programs run as an ordinary user, for
// those that treat root differently. Nothing to do where the test is one itself.
func (s *service) unprivileged(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || s.config == "" { // SoftHSM2's module file is the system's
		return
	}
	gid := s.shareWith(t, "www-data")
	text, err := os.ReadFile(s.module) // it may lie where only root reads
	if err != nil {
		t.Fatal(err)
	}
	s.module = s.write(t, "libgrep11-pkcs11.so", string(text))
	s.as = []string{"setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups"}
	if err := errors.Join(os.Chown(s.module, -1, gid), os.Chmod(s.module, 0o750)); err != nil {
		t.Fatal(err)
	}
}

// path names a file in the service's folder.
func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// uri is the PKCS#11 URI of an object by label.
func (s *service) uri(label, class string) string {
	return fmt.Sprintf("pkcs11:token=%s;object=%s;type=%s", s.token, label, class)
}
