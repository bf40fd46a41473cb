package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin/operator"
)

// owned is a service whose units its owners set up, all through the command.
type owned struct {
	*testing.T
	dir, people string
	s           *service
	binary      string // of the server
}

// newOwned makes three units in imprint mode, three administrators and the
// holders' key parts; each person has a password of their own.
func newOwned(t *testing.T, binary string) *owned {
	t.Helper()
	o := &owned{T: t, binary: binary, dir: filepath.Join(t.TempDir(), "service"), people: t.TempDir()}
	output(t, 0, "dev", "--dir", o.dir, "--units", "3", "--", "true") // certificates and configurations
	for _, name := range []string{"units", "keystore.db", "unit.key"} {
		if err := os.RemoveAll(filepath.Join(o.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		output(t, 0, "unit", "create", "--state", filepath.Join(o.dir, "units", fmt.Sprint("unit", i+1)), "--key-file", filepath.Join(o.dir, "unit.key"))
	}
	o.s = startAs(t, binary, "--dir", o.dir)
	for _, name := range []string{"alice", "bob", "carol"} {
		o.person(name + ".key")
		o.unit(0, "admin", "key", o.path(name+".key"))
	}
	o.parts("one", "two", "three")
	return o
}

func (o *owned) path(name string) string { return filepath.Join(o.people, name) }

// person thinks of a password.
func (o *owned) person(file string) {
	o.Helper()
	if err := os.WriteFile(o.path(file+".password"), []byte("of "+file+"\n"), 0o600); err != nil {
		o.Fatal(err)
	}
}

func (o *owned) parts(names ...string) (files []string) {
	o.Helper()
	for _, name := range names {
		o.person(name)
		o.unit(0, "mk", "part", o.path(name))
		files = append(files, o.path(name))
	}
	return files
}

// unit runs "grep11 unit" with everybody's password at hand.
func (o *owned) unit(status int, args ...string) string {
	o.Helper()
	return output(o.T, status, append(o.args(""), args...)...)
}

// signed is unit with signature keys.
func (o *owned) signed(status int, names string, args ...string) string {
	o.Helper()
	for _, n := range strings.Fields(names) {
		args = append(args, "--key", o.path(n+".key"))
	}
	return o.unit(status, args...)
}

// killed ends the server as a crash would, and starts it again.
func (o *owned) killed() {
	o.Helper()
	_ = o.s.cmd.Process.Kill()
	_ = o.s.cmd.Wait()
	o.s = startAs(o.T, o.binary, "--dir", o.dir)
}

func (o *owned) views() (views []*operator.View) {
	o.Helper()
	out := o.unit(0, "show", "--json")
	if err := json.Unmarshal([]byte(out[strings.Index(out, "["):]), &views); err != nil {
		o.Fatalf("%v in %s", err, out)
	}
	return views
}

func (o *owned) init() string {
	o.Helper()
	return o.signed(0, "alice bob", "init", "--signatures", "2", "--revocations", "2",
		"--admin", o.path("alice.key.crt"), "--admin", o.path("bob.key.crt"), "--admin", o.path("carol.key.crt"))
}

// TestTheOwnersOfAServiceAndTheirMasterKeys is the ceremony of the README: three
// administrators of whom two must sign, three part holders, three units, and
// the server killed between the steps; then a rotation under load.
func TestTheOwnersOfAServiceAndTheirMasterKeys(t *testing.T) {
	o := newOwned(t, quick)
	if got := o.unit(0, "list"); strings.Count(got, "set aside") != 3 {
		t.Errorf("units without a master key:\n%s", got)
	}
	o.init()
	o.killed()
	if v := o.views()[2]; v.State != "operational" || v.Signatures != 2 || len(v.Administrators) != 3 {
		t.Fatalf("after init: %+v", v)
	}
	three := []string{"mk", "load", o.path("one"), o.path("two"), o.path("three")}
	if got := o.signed(0, "carol", append(three, "--dry-run")...); strings.Count(got, "would load 3 key parts") != 3 {
		t.Errorf("dry run:\n%s", got)
	}
	o.signed(0, "carol", three...)
	o.killed()
	if got := o.signed(1, "bob", "mk", "commit"); !strings.Contains(got, "too few signatures") {
		t.Errorf("one signature of two:\n%s", got)
	}
	o.signed(0, "alice carol", "mk", "commit")
	o.killed()
	o.signed(0, "bob", "mk", "activate")
	o.killed()
	o.unit(0, "compare")
	first := o.views()[0].Current

	n := 10_000
	if testing.Short() {
		n = 300
	}
	load := o.load(n)
	fresh := o.parts("four", "five")
	o.signed(0, "alice bob", append([]string{"mk", "rotate"}, fresh...)...)
	load.stop()
	for _, v := range o.views() {
		if v.Current == first || v.Next != "" {
			t.Errorf("after the rotation: %+v", v)
		}
	}
	load.check()
	if got := o.unit(0, "audit"); !strings.Contains(got, "all chains are whole") {
		t.Errorf("audit:\n%s", got)
	}
}

// storeLoad is callers that use stored keys while something happens.
type storeLoad struct {
	o             *owned
	keys          []grep11client.Key
	made          []grep11client.Key // of the caller that makes keys, until stop
	token         *grep11client.Token
	calls, failed atomic.Int64
	want          [][]byte
	end           context.CancelFunc
	callers       sync.WaitGroup
}

// load stores n keys, remembers what each does, and goes on using them.
func (o *owned) load(n int) *storeLoad {
	o.Helper()
	c := clientOf(o.T, filepath.Join(o.dir, "client.toml"))
	tokens, _, err := c.Tokens(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	l := &storeLoad{o: o, token: c.Token(tokens[0].ID), keys: make([]grep11client.Key, n), want: make([][]byte, n)}
	if err := l.token.Login(o.Context(), ck.CKU_USER, ck.Secret(devPIN)); err != nil {
		o.Fatal(err)
	}
	l.all(func(i int) (err error) {
		k, err := l.token.GenerateKey(o.Context(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN},
			ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_ENCRYPT, true)})
		l.keys[i] = k.Key
		if err == nil && i%10 == 0 { // and is one that the service retains
			l.keys[i].Blob, err = l.token.WrapKey(o.Context(), mech.Mechanism{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{}}, k.Key, grep11client.Key{}, grep11client.Key{})
			l.keys[i].ID = nil
		}
		if err == nil {
			l.want[i], err = l.use(i)
		}
		return err
	})
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	for w := range 4 {
		l.callers.Go(func() {
			for i := w; ctx.Err() == nil; i += 7 {
				if _, err := l.use(i % n); err != nil {
					l.failed.Add(1)
					o.Errorf("under load: %v", err)
					return
				}
				l.calls.Add(1)
			}
		})
	}
	l.callers.Go(func() { // and one that makes keys meanwhile
		for ctx.Err() == nil {
			k, err := l.token.GenerateKey(context.Background(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN},
				ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_ENCRYPT, true)})
			if err != nil {
				o.Errorf("making keys under load: %v", err)
				return
			}
			l.made = append(l.made, k.Key)
			time.Sleep(5 * time.Millisecond)
		}
	})
	return l
}

func (l *storeLoad) use(i int) ([]byte, error) {
	return l.token.Single(context.Background(), mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_ECB}, l.keys[i], make([]byte, 16), nil, false)
}

// all runs f for every key, 16 at a time.
func (l *storeLoad) all(f func(i int) error) {
	l.o.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(l.keys); i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					l.o.Errorf("key %d: %v", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// wait ends the callers; what they made counts from then on.
func (l *storeLoad) wait() {
	l.end()
	l.callers.Wait()
	l.keys, l.want = append(l.keys, l.made...), append(l.want, make([][]byte, len(l.made))...)
}

func (l *storeLoad) stop() {
	l.o.Helper()
	l.wait()
	l.o.Logf("%d calls during the rotation, %d keys in all", l.calls.Load(), len(l.keys))
	if l.calls.Load() == 0 {
		l.o.Error("no call during the rotation")
	}
}

// check uses every key again, on the server as it is and after a restart.
func (l *storeLoad) check() {
	l.o.Helper()
	for range 2 {
		l.all(func(i int) error {
			got, err := l.use(i)
			if err == nil && l.want[i] != nil && string(got) != string(l.want[i]) {
				err = errors.New("another key")
			}
			return err
		})
		l.o.killed()
	}
}

// TestARotationThatIsKilledGoesOn kills the server all through a rotation.
func TestARotationThatIsKilledGoesOn(t *testing.T) {
	o := newOwned(t, self)
	o.init()
	parts := []string{o.path("one"), o.path("two")}
	o.signed(0, "alice bob", append([]string{"mk", "rotate"}, parts...)...) // the first key, in one go
	first := o.views()[0].Current
	load := o.load(200)
	load.wait()
	fresh := o.parts("four", "five")
	for wait := 50 * time.Millisecond; ; wait += wait / 3 {
		c := grep11(t, append(o.args("alice bob"), append([]string{"mk", "rotate"}, fresh...)...)...)
		var said strings.Builder
		c.Stderr = &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("a rotation that was not interrupted: %v", err)
			}
		case <-time.After(wait):
			o.killed()
			if <-done != nil {
				if !strings.Contains(said.String(), "Run the command again") {
					t.Errorf("it does not say what to do:\n%s", said.String())
				}
				continue
			}
		}
		break
	}
	for _, v := range o.views() {
		if v.Current == first || v.Next != "" {
			t.Errorf("after the rotation: %+v", v)
		}
	}
	load.check()
}

func (o *owned) args(names string) []string {
	args := []string{"unit", "--yes", "--config", filepath.Join(o.dir, "client.toml"), "--known-units", o.path("known")}
	files, _ := filepath.Glob(o.path("*.password")) // the pattern is a good one
	for _, f := range files {
		args = append(args, "--password-file", strings.TrimSuffix(f, ".password")+"="+f)
	}
	for _, n := range strings.Fields(names) {
		args = append(args, "--key", o.path(n+".key"))
	}
	return args
}

func TestWhatTheUnitCommandRefuses(t *testing.T) {
	o := newOwned(t, quick)
	if err := os.WriteFile(o.path("wrong"), []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admins := []string{"--admin", o.path("alice.key.crt"), "--signatures", "1", "--revocations", "1", "--key", o.path("alice.key")}
	config := []string{"unit", "--config", filepath.Join(o.dir, "client.toml"), "--known-units", o.path("known")}
	wrong := append(append(append([]string{}, config...), "init", "--password-file", o.path("wrong")), admins...)
	if got := output(t, 1, wrong...); !strings.Contains(got, "wrong password") {
		t.Errorf("a wrong password:\n%s", got)
	}
	if got := o.signed(1, "alice bob", "mk", "load", o.path("one"), o.path("two")); !strings.Contains(got, "not possible in imprint mode") {
		t.Errorf("a key in imprint mode:\n%s", got)
	}
	o.init()
	if got := o.unit(1, "mk", "load", o.path("one"), o.path("one"), "--key", o.path("alice.key")); !strings.Contains(got, "there twice") {
		t.Errorf("a part twice:\n%s", got)
	}
	if got := o.unit(1, "mk", "part", o.path("one")); !strings.Contains(got, "file exists") {
		t.Errorf("a part's file again:\n%s", got)
	}
	if got := o.signed(1, "alice bob", "policy", "lenient"); !strings.Contains(got, "neither a profile") {
		t.Errorf("an unknown policy:\n%s", got)
	}
	o.signed(0, "alice bob", "policy", "strict")
	if v := o.views()[1]; v.Profile != "strict" {
		t.Errorf("policy: %+v", v)
	}
	o.signed(0, "bob", "zeroize")
	if v := o.views()[1]; v.State != "imprint" || v.Instance != 2 {
		t.Errorf("zeroize: %+v", v)
	}
}
