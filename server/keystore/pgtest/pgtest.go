// Package pgtest runs a private PostgreSQL for tests. The Debian package is
// postgresql; build/deps.sh installs it.
package pgtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start runs a private cluster on a socket until the test ends.
func Start(t testing.TB) (base string) {
	t.Helper()
	c := New(t, "", 0)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.Await(t)
	return c.Base
}

// Cluster is a private PostgreSQL that a test starts and ends as it likes.
type Cluster struct {
	Base string // its address
	cmd  *exec.Cmd
	make func() *exec.Cmd
}

// New makes the files of a cluster. It will listen on a TCP address and trust
// who comes from there, or with an empty address on a socket.
func New(t testing.TB, address string, port int) *Cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "postgres") // not below t.TempDir, which is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	run(t, dir, "initdb", "-D", data, "-A", "trust", "-U", "grep11", "-E", "UTF8", "--locale", "C")
	args := []string{"-D", data, "-k", dir, "-c", "listen_addresses=" + address}
	c := &Cluster{Base: "postgres://grep11@/postgres?host=" + url.QueryEscape(dir)}
	if address != "" {
		args = append(args, "-p", strconv.Itoa(port))
		c.Base = fmt.Sprintf("postgres://grep11@%s:%d/postgres?sslmode=disable", address, port)
		trust(t, filepath.Join(data, "pg_hba.conf"))
	}
	c.make = func() *exec.Cmd { return command(t, dir, "postgres", args...) }
	t.Cleanup(c.end)
	return c
}

func trust(t testing.TB, hba string) {
	t.Helper()
	f, err := os.OpenFile(hba, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString("host all all all trust\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Start starts the server; Await waits until it answers.
func (c *Cluster) Start() error {
	c.cmd = c.make()
	return c.cmd.Start()
}

// Await waits for an answer.
func (c *Cluster) Await(t testing.TB) {
	t.Helper()
	for range 100 {
		conn, err := pgx.Connect(context.Background(), c.Base)
		if err == nil {
			conn.Close(context.Background())
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("PostgreSQL does not start")
}

// Signal sends a signal to the server and to its children, which are in process
// groups of their own.
func (c *Cluster) Signal(s syscall.Signal) {
	pid := c.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = syscall.Kill(pid, s)
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, s)
		}
	}
}

// Kill ends the server as a power cut would.
func (c *Cluster) Kill() {
	c.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
}

func (c *Cluster) end() {
	if c.cmd != nil && c.cmd.Process != nil {
		c.Signal(syscall.SIGCONT)
		_ = c.cmd.Process.Signal(syscall.SIGINT) // a fast shutdown
		_ = c.cmd.Wait()
	}
}

func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	if out, err := command(t, dir, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// command finds a program of PostgreSQL, which does not run as root.
func command(t testing.TB, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err != nil && len(found) > 0 {
		path, err = found[len(found)-1], nil
	}
	if err != nil {
		t.Fatalf("PostgreSQL's %s is not installed: run build/deps.sh test", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: giveTo(t, dir, "postgres")}}
	}
	return cmd
}

func giveTo(t testing.TB, dir, name string) uint32 {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return uint32(uid)
}

// Schema is the address of a schema named after a path, which it makes.
func Schema(t testing.TB, base, path string) string {
	t.Helper()
	schema := fmt.Sprintf("t_%x", sha256.Sum256([]byte(path)))[:20]
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		t.Fatal(err)
	}
	return base + "&search_path=" + schema
}
