package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"grep11/server/keystore/pgtest"
)

const (
	port9876 = "9876"
	dbPort   = 5432
	userPIN  = "12345678"
	label    = "chaos"

	ownerPassword = "of the test"
)

var servers = []string{"s1", "s2"}

// world is the service and its surroundings.
type world struct {
	*testing.T
	dir  string
	db   *pgtest.Cluster
	up   map[string]*exec.Cmd // the servers' processes
	wire *process

	owner *owner // of the crypto units
}

// process is one that is spoken to by lines.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), up: map[string]*exec.Cmd{}}
	w.wire = w.role("wire", hub, "app", "s1", "s2", "db", "lab")
	w.wire.expect(t, "ready")
	w.db = pgtest.New(t, parts["db"], dbPort)
	w.startDatabase()
	w.db.Await(t)
	w.configure()
	for _, s := range servers {
		w.startServer(s)
	}
	w.owner = newOwner(w)
	w.ceremony()
	w.grep11(0, "token", "init", "--label", label, "--so-pin", "87654321", "--pin", userPIN)
	return w
}

// in runs f in a part's namespace: what f starts stays there.
func (w *world) in(part string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	away, err := os.Open("/run/netns/" + namespace(part))
	if err != nil {
		return err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic("chaos: " + back.Error())
	}
	return err
}

func (w *world) start(part string, c *exec.Cmd) {
	w.Helper()
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	if err := w.in(part, c.Start); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// role starts this binary as another program.
func (w *world) role(role, part string, args ...string) *process {
	w.Helper()
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...)}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role, "GREP11_PKCS11_CONFIG="+filepath.Join(w.dir, "client.toml"))
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	if err != nil {
		w.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 64<<20)
	w.start(part, p.cmd)
	return p
}

func (p *process) expect(t *testing.T, line string) {
	t.Helper()
	if !p.out.Scan() || p.out.Text() != line {
		t.Fatalf("%q instead of %q, %v", p.out.Text(), line, p.out.Err())
	}
}

func (p *process) say(t *testing.T, format string, a ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", a...); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "done")
}

func built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../build/out/" + name)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v (make build makes it)", err)
	}
	return path
}

// grep11 runs the command to its end, in the lab.
func (w *world) grep11(status int, args ...string) string {
	w.Helper()
	c := exec.Command(built(w.T, "grep11"), args...)
	c.Env = append(os.Environ(), "GREP11_PKCS11_CONFIG="+filepath.Join(w.dir, "client.toml"))
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != status {
		w.Fatalf("grep11 %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *world) write(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// configure makes certificates, four units, two servers and a client.
func (w *world) configure() {
	w.Helper()
	w.grep11(0, "dev", "--dir", filepath.Join(w.dir, "pki"), "--units", "1", "--", "true")
	tls := func(name string) string { return strconv.Quote(filepath.Join(w.dir, "pki", name)) }
	var endpoints []string
	for i, s := range servers {
		endpoints = append(endpoints, strconv.Quote(parts[s]+":"+port9876))
		text := fmt.Sprintf("[listen]\ntls = [%q]\nzone = \"z1\"\n[tls]\ncert = %s\nkey = %s\nclient_ca = %s\n"+
			"[auth]\nadmins = [\"grep11 dev client\"]\n[keystore]\npostgres = %q\n[audit]\nlevel = \"info\"\nfile = %q\n",
			parts[s]+":"+port9876, tls("server.pem"), tls("server.key"), tls("ca.pem"), w.db.Base, filepath.Join(w.dir, s+".log"))
		for u := range 2 {
			name := fmt.Sprint("unit", 2*i+u+1)
			w.grep11(0, "unit", "create", "--state", filepath.Join(w.dir, name), "--key-file", filepath.Join(w.dir, "unit.key"))
			text += fmt.Sprintf("[[unit]]\nname = %q\nzone = \"z%d\"\nkind = \"soft\"\nstate = %q\nkey_file = \"unit.key\"\n", name, u+1, name)
		}
		w.write(s+".toml", text)
	}
	w.write("client.toml", fmt.Sprintf("[[slot]]\nendpoints = [%s]\ntls = { ca = %s, cert = %s, key = %s, server_name = \"localhost\" }\n[log]\nfile = %q\n",
		strings.Join(endpoints, ", "), tls("ca.pem"), tls("client.pem"), tls("client.key"), filepath.Join(w.dir, "client.log")))
}

// ceremony gives the four units one owner and a master key.
func (w *world) ceremony() {
	w.Helper()
	w.write("password", ownerPassword+"\n")
	for _, c := range []string{
		"init --admin owner.key.crt --signatures 1 --revocations 1 --key owner.key",
		"mk rotate one two --key owner.key",
	} {
		w.unit(c)
	}
}

// unit runs "grep11 unit"; words that are names of files are in the world's folder.
func (w *world) unit(command string) string {
	w.Helper()
	args := []string{"unit", "--yes", "--known-units", filepath.Join(w.dir, "known"), "--password-file", filepath.Join(w.dir, "password")}
	for _, word := range strings.Fields(command) {
		if slices.Contains([]string{"owner.key", "owner.key.crt", "one", "two"}, word) {
			word = filepath.Join(w.dir, word)
		}
		args = append(args, word)
	}
	return w.grep11(0, args...)
}

func (w *world) startServer(name string) {
	w.Helper()
	c := exec.Command(built(w.T, "grep11"), "serve", "--config", filepath.Join(w.dir, name+".toml"))
	c.Stderr = os.Stderr
	w.start(name, c)
	w.up[name] = c
	w.awaitServer(name)
}

func (w *world) awaitServer(name string) {
	w.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := dialFrom(parts[name]+":"+port9876, time.Second)
		if err == nil {
			c.Close()
			return
		}
	}
	w.Fatalf("server %s does not start", name)
}

func (w *world) startDatabase() {
	w.Helper()
	if err := w.in("db", w.db.Start); err != nil {
		w.Fatal(err)
	}
}
