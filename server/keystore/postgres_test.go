package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grep11/pkcs11/ck"
	"grep11/server/keystore/pgtest"
)

// testPostgres, set by TestPostgreSQL, makes the tests of this package run on
// that database: each path of a SQLite file is a schema there.
const testPostgres = "GREP11_TEST_POSTGRES"

func dsnOf(t testing.TB, path string) string {
	t.Helper()
	base := os.Getenv(testPostgres)
	if base == "" {
		return path
	}
	return pgtest.Schema(t, base, path)
}

// sqliteOnly are the tests of what only a file has.
const sqliteOnly = "^(TestPostgreSQL|TestOpenRefuses|TestFilesAreTheOwnersAlone|TestFullDiskIsSaidAndLosesNothing)$"

// Everything that holds on SQLite holds on PostgreSQL: the same tests in
// another process, then those of servers that share it.
func TestPostgreSQL(t *testing.T) {
	cluster := pgtest.New(t, "", 0)
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	cluster.Await(t)
	base := cluster.Base
	t.Run("the same tests", func(t *testing.T) {
		cmd := exec.Command(os.Args[0], "-test.skip", sqliteOnly)
		cmd.Env = append(os.Environ(), testPostgres+"="+base)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for name, test := range map[string]func(*testing.T, string){
		"changes are seen on the other server":     seenOnTheOther,
		"two servers start on an empty database":   startTogether,
		"two servers change the same objects":      changeTogether,
		"a lost listener does not keep old values": lostListener,
		"a broken connection is made again":        brokenConnection,
		"wrong addresses are named":                wrongAddresses,
		"a store moves from a file":                moveFromFile,
	} {
		t.Run(name, func(t *testing.T) { test(t, base) })
	}
	t.Run("a database that hangs is said at once", func(t *testing.T) { hangingDatabase(t, cluster) })
	t.Run("what is in use outlasts an outage", func(t *testing.T) { outage(t, cluster) })
}

// twoServers gives two stores on one schema, and a token.
func twoServers(t *testing.T, base string) (a, b *Store, tok Token) {
	t.Helper()
	dsn := pgtest.Schema(t, base, t.Name())
	for _, s := range []**Store{&a, &b} {
		var err error
		if *s, err = Open(context.Background(), dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*s).Close() })
		eventually(t, "the listener hears", (*s).listener.sure)
	}
	return a, b, newToken(t, a, "one")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 400 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func seenOnTheOther(t *testing.T, base string) {
	a, b, tok := twoServers(t, base)
	ctx := context.Background()
	o := newKey(tok.ID, "k")
	create(t, a, o)
	if got, err := b.Object(ctx, tok.ID, o.ID); err != nil || got.Version != 1 {
		t.Fatal(got, err)
	}
	n := *o
	n.Version = 2
	if err := a.Update(ctx, newRequest(tok.ID, "SetAttributes"), &n); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the change is seen", func() bool {
		got, err := b.Object(ctx, tok.ID, o.ID)
		return err == nil && got.Version == 2
	})
	t.Log("a change was seen after", time.Since(start))
	n.Version = 2
	if err := b.Update(ctx, newRequest(tok.ID, "SetAttributes"), &n); !errors.Is(err, ck.CKR_IBM_GREP11_CONFLICT) {
		t.Error("the other server's version was overwritten:", err)
	}
	for range 10 {
		if _, err := a.CountAttempt(ctx, tok.ID, ck.CKU_SO, 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.CountAttempt(ctx, tok.ID, ck.CKU_SO, 10); !errors.Is(err, ck.CKR_PIN_LOCKED) {
		t.Error("a PIN locked on one server is open on the other:", err)
	}
	r := newRequest(tok.ID, "DestroyObject")
	for _, s := range []*Store{b, a} { // the repeat goes to the other server
		if err := s.Destroy(ctx, r, o.ID); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the object is gone", func() bool {
		_, err := a.Object(ctx, tok.ID, o.ID)
		return errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID)
	})
}

func startTogether(t *testing.T, base string) {
	dsn := pgtest.Schema(t, base, t.Name())
	keys := make(chan string, 4)
	for range cap(keys) {
		go func() {
			s, err := Open(context.Background(), dsn)
			if err != nil {
				keys <- err.Error()
				return
			}
			keys <- fmt.Sprintf("%x", []byte(s.ServiceKey()))
			s.Close()
		}()
	}
	first := <-keys
	for range cap(keys) - 1 {
		if k := <-keys; k != first {
			t.Error("servers disagree:", first, k)
		}
	}
}

// Each version of an object is made once, and each object destroyed once,
// whichever of the servers is asked.
func changeTogether(t *testing.T, base string) {
	a, b, tok := twoServers(t, base)
	var updated, destroyed atomic.Int64
	var callers sync.WaitGroup
	objects := []*Object{newKey(tok.ID, "one"), newKey(tok.ID, "two"), newKey(tok.ID, "three")}
	create(t, a, objects...)
	for i := range 8 {
		callers.Go(func() {
			s := []*Store{a, b}[i%2]
			for _, o := range objects {
				for range 10 {
					n, err := s.Object(t.Context(), tok.ID, o.ID)
					if err != nil {
						t.Error(err)
						return
					}
					next := *n
					next.Version++
					err = s.Update(t.Context(), newRequest(tok.ID, "SetAttributes"), &next)
					if err == nil {
						updated.Add(1)
					} else if !errors.Is(err, ck.CKR_IBM_GREP11_CONFLICT) {
						t.Error(err)
					}
				}
			}
		})
	}
	callers.Wait()
	eventually(t, "as many versions as changes were answered", func() bool { // a hears of b's last one
		versions := int64(0)
		for _, o := range objects {
			n, err := a.Object(t.Context(), tok.ID, o.ID)
			if err != nil {
				t.Fatal(err)
			}
			versions += int64(n.Version) - 1
		}
		return versions > 0 && versions == updated.Load()
	})
	for i := range 8 {
		callers.Go(func() {
			err := []*Store{a, b}[i%2].Destroy(t.Context(), newRequest(tok.ID, "DestroyObject"), objects[i%3].ID)
			if err == nil {
				destroyed.Add(1)
			} else if !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if destroyed.Load() != 3 {
		t.Errorf("%d of 3 objects were destroyed", destroyed.Load())
	}
}

// The listener's connection is cut, so that no announcement arrives, and kept
// from coming back: what is cached must not be believed any longer.
func lostListener(t *testing.T, base string) {
	a, b, tok := twoServers(t, base)
	ctx := context.Background()
	o := newKey(tok.ID, "k")
	create(t, a, o)
	if _, err := b.Object(ctx, tok.ID, o.ID); err != nil {
		t.Fatal(err)
	}
	b.listener.stop() // as one that hangs: it forgets nothing and tries nothing
	until := time.Now().Add(sureFor)
	b.listener.until.Store(&until)
	if err := a.Destroy(ctx, newRequest(tok.ID, "DestroyObject"), o.ID); err != nil {
		t.Fatal(err)
	}
	time.Sleep(sureFor)
	if _, err := b.Object(ctx, tok.ID, o.ID); !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		t.Error("a destroyed object is used:", err)
	}
}

// All connections are cut, as by a restart of the database.
func brokenConnection(t *testing.T, base string) {
	a, _, tok := twoServers(t, base)
	ctx := context.Background()
	o := newKey(tok.ID, "before")
	create(t, a, o)
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'grep11'`); err != nil {
		t.Fatal(err)
	}
	r := newRequest(tok.ID, "CreateObject")
	n := newKey(tok.ID, "after")
	eventually(t, "a change works again", func() bool {
		_, err := a.Create(ctx, r, []*Object{n}, noResult)
		if err != nil && ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
			t.Error(err)
		}
		return err == nil
	})
	for _, label := range []string{"before", "after"} {
		if found, _, err := a.Find(ctx, tok.ID, byLabel(label)); err != nil || len(found) != 1 {
			t.Error(label, len(found), err)
		}
	}
	eventually(t, "the listener hears again", a.listener.sure)
}

// Callers are told soon, so that they have time left to ask another server, and
// the store works again when the database does.
func hangingDatabase(t *testing.T, c *pgtest.Cluster) {
	s, _, tok := twoServers(t, c.Base)
	o := newKey(tok.ID, "k")
	create(t, s, o)
	c.Signal(syscall.SIGSTOP)
	defer c.Signal(syscall.SIGCONT)
	eventually(t, "it is noticed", func() bool { return s.listener.here.check() != nil })
	start := time.Now()
	_, changed := s.Create(t.Context(), newRequest(tok.ID, "CreateObject"), []*Object{newKey(tok.ID, "n")}, noResult)
	_, read := s.Object(t.Context(), tok.ID, o.ID)
	for what, err := range map[string]error{"a change": changed, "a key": read} {
		if ck.RVOf(err) != ck.CKR_DEVICE_ERROR || !strings.Contains(err.Error(), "does not answer") {
			t.Error(what, err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Error("that took", took)
	}
	c.Signal(syscall.SIGCONT)
	eventually(t, "it is back", func() bool { return s.listener.sure() })
	create(t, s, newKey(tok.ID, "m"))
	if _, err := s.Object(t.Context(), tok.ID, o.ID); err != nil {
		t.Error(err)
	}
}

// What was read before the database went is served for as long as the owner allows;
// what was not, and changes, are not.
func outage(t *testing.T, c *pgtest.Cluster) {
	s, other, tok := twoServers(t, c.Base)
	for _, s := range []*Store{s, other} {
		s.BridgeOutage(time.Minute)
	}
	used, unused := newKey(tok.ID, "used"), newKey(tok.ID, "unused")
	create(t, s, used, unused)
	eventually(t, "it is remembered", func() bool {
		_, err := s.Object(t.Context(), tok.ID, used.ID)
		return err == nil && s.listener.sure()
	})
	if _, err := s.Object(t.Context(), tok.ID, used.ID); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	for range 20 {
		if o, err := s.Object(t.Context(), tok.ID, used.ID); err != nil || o.ID != used.ID {
			t.Fatal("a key in use:", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	eventually(t, "it is noticed", func() bool { return s.listener.here.check() != nil })
	_, inUse := s.Object(t.Context(), tok.ID, used.ID)
	_, notInUse := s.Object(t.Context(), tok.ID, unused.ID)
	_, change := s.Create(t.Context(), newRequest(tok.ID, "CreateObject"), []*Object{newKey(tok.ID, "n")}, noResult)
	if inUse != nil || ck.RVOf(notInUse) != ck.CKR_DEVICE_ERROR || ck.RVOf(change) != ck.CKR_DEVICE_ERROR {
		t.Errorf("in use: %v; not in use: %v; a change: %v", inUse, notInUse, change)
	}
	s.BridgeOutage(time.Nanosecond)
	if _, err := s.Object(t.Context(), tok.ID, used.ID); ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
		t.Error("after the time allowed:", err)
	}
	s.BridgeOutage(time.Minute)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.Await(t)
	eventually(t, "it is back", s.listener.sure)
	r := newRequest(tok.ID, "DestroyObject")
	eventually(t, "a change works again", func() bool { return other.Destroy(t.Context(), r, used.ID) == nil })
	eventually(t, "what was destroyed is gone", func() bool {
		_, err := s.Object(t.Context(), tok.ID, used.ID)
		return errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID)
	})
}

func moveFromFile(t *testing.T, base string) {
	path := filepath.Join(t.TempDir(), "from.db")
	from, tokens := filled(t, path)
	to, err := Open(context.Background(), pgtest.Schema(t, base, t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if done, err := imported(to, export(t, path)); err != nil || done.Objects != 1200 {
		t.Fatal(done, err)
	}
	if !reflect.DeepEqual(all(t, from, tokens[1].ID), all(t, to, tokens[1].ID)) {
		t.Error("other objects than before")
	}
}

func wrongAddresses(t *testing.T, base string) {
	for _, test := range []struct{ name, dsn, says string }{
		{"no server there", "postgres://user:hidden@127.0.0.1:1/db", "cannot be reached"},
		{"no such database", strings.Replace(base, "/postgres?", "/nowhere?", 1), "no such database"},
		{"no address at all", "postgres://user:hidden@host:port:port/", "not understood"},
		{"a schema that is not there", base + "&search_path=nowhere", "schema"},
	} {
		s, err := Open(context.Background(), test.dsn)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", test.name)
			continue
		}
		if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

func BenchmarkPostgreSQL(b *testing.B) {
	base := pgtest.Start(b)
	b.Setenv(testPostgres, base)
	b.Run("create from 16 callers", BenchmarkCreate16)
	b.Run("find by label of 5000", BenchmarkFindByLabel5000)
}
