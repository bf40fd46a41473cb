// Package pgtest runs a private PostgreSQL for tests. The Debian package is
// postgresql; build/deps.sh installs it.
package pgtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Start runs a private cluster on a socket until the test ends.
func Start(t testing.TB) (base string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "postgres") // not below t.TempDir, which is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, dir, "initdb", "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", "grep11", "-E", "UTF8", "--locale", "C")
	server := command(t, dir, "postgres", "-D", filepath.Join(dir, "data"), "-k", dir, "-c", "listen_addresses=")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // a fast shutdown
		_ = server.Wait()
	})
	base = "postgres://grep11@/postgres?host=" + url.QueryEscape(dir)
	for range 100 {
		conn, err := pgx.Connect(context.Background(), base)
		if err == nil {
			conn.Close(context.Background())
			return base
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("PostgreSQL does not start")
	return ""
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
