package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

func noService(context.Context, *extpb.Request) (*extpb.Response, error) {
	return nil, ck.CKR_DEVICE_REMOVED
}

// user is a logged-in caller of a store.
type user struct {
	t          testing.TB
	s          *Store
	token      []byte
	credential []byte
}

func newUser(t testing.TB, path string) *user {
	s := New(path, noService)
	t.Cleanup(s.Close)
	info, err := s.initToken(&extpb.InitTokenRequest{Label: "token", SoPin: []byte("87654321")})
	must(t, err)
	u := &user{t: t, s: s, token: info.Token.Id}
	u.login(ck.CKU_SO, "87654321")
	_, err = s.initPIN(u.credential, &extpb.InitPinRequest{Pin: []byte("12345678")})
	must(t, err)
	u.login(ck.CKU_USER, "12345678")
	return u
}

func (u *user) login(who ck.UserType, pin string) {
	u.t.Helper()
	r, err := u.s.openLogin(nil, &extpb.OpenLoginRequest{Token: u.token, User: uint64(who), Pin: []byte(pin)})
	must(u.t, err)
	u.credential = r.Credential
}

// elsewhere is the same user in another process.
func (u *user) elsewhere() *user {
	s := New(u.s.log.path, noService)
	u.t.Cleanup(s.Close)
	n := &user{t: u.t, s: s, token: u.token}
	n.login(ck.CKU_USER, "12345678")
	return n
}

func (u *user) create(label string) (*extpb.Object, error) {
	return u.add(ck.Bytes(ck.CKA_LABEL, []byte(label)))
}

func (u *user) add(a ck.Attribute) (*extpb.Object, error) {
	attrs, _ := wire.EncodeTemplate(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.Bool(ck.CKA_TOKEN, true), a})
	r, err := u.s.createObject(u.credential, &extpb.CreateObjectRequest{Token: u.token, Attributes: attrs})
	return r.GetObject(), err
}

func (u *user) count() int {
	u.t.Helper()
	r, err := u.s.findObjects(u.credential, &extpb.FindObjectsRequest{Token: u.token, Max: maxPage})
	must(u.t, err)
	return len(r.Objects)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err error, rv ck.RV) {
	t.Helper()
	if !errors.Is(err, rv) {
		t.Errorf("got %v, want %v", err, rv)
	}
}

func TestManyProcessesWriteOneFile(t *testing.T) {
	first := newUser(t, filepath.Join(t.TempDir(), "keys"))
	var wg sync.WaitGroup
	for p := range 4 {
		u := first.elsewhere()
		wg.Go(func() {
			for i := range 25 {
				if _, err := u.create(fmt.Sprint(p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := first.count(); n != 100 {
		t.Errorf("%d objects", n)
	}
	if n := first.elsewhere().count(); n != 100 {
		t.Errorf("%d objects for a newcomer", n)
	}
}

func TestAnUnfinishedRecordIsCutOff(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	_, err := u.create("kept")
	must(t, err)
	whole, err := os.ReadFile(u.s.log.path)
	must(t, err)
	_, err = u.create("torn")
	must(t, err)
	longer, err := os.ReadFile(u.s.log.path)
	must(t, err)
	for cut := len(whole); cut < len(longer); cut += 7 {
		must(t, os.WriteFile(u.s.log.path, longer[:cut], 0o600))
		n := u.elsewhere()
		if n.count() != 1 {
			t.Fatalf("cut at %d: %d objects", cut, n.count())
		}
		_, err = n.create("after")
		must(t, err)
		if n.elsewhere().count() != 2 {
			t.Fatalf("cut at %d: the next object is lost", cut)
		}
	}
}

func TestOutdatedRecordsGo(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	other := u.elsewhere()
	big := wire.Attributes{}
	attrs, _ := wire.EncodeTemplate(ck.Template{ck.Bytes(ck.CKA_VALUE, make([]byte, compactAbove/4)), ck.Bool(ck.CKA_TOKEN, true)})
	for k, v := range attrs {
		big[k] = v
	}
	var last uint64
	for range 20 {
		r, err := u.s.createObject(u.credential, &extpb.CreateObjectRequest{Token: u.token, Attributes: big})
		must(t, err)
		if r.Object.Handle <= last {
			t.Errorf("handle %d comes after %d", r.Object.Handle, last)
		}
		last = r.Object.Handle
		if n := other.count(); n != 1 {
			t.Fatalf("another process sees %d objects", n)
		}
		_, err = u.s.destroyObject(u.credential, &extpb.DestroyObjectRequest{Token: u.token, Id: r.Object.Id})
		must(t, err)
	}
	info, err := os.Stat(u.s.log.path)
	must(t, err)
	if info.Size() > 2*compactAbove {
		t.Errorf("%d bytes for nothing", info.Size())
	}
}

// TestWhoMayUseTheStoreMayUseAll: an administrator who lets a group use the store
// knows of no other file, and a store written anew stays the group's.
func TestWhoMayUseTheStoreMayUseAll(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	must(t, os.Chmod(u.s.log.path, 0o660))
	if os.Geteuid() == 0 {
		must(t, os.Chown(u.s.log.path, 65534, 65533))
	}
	want, err := os.Stat(u.s.log.path)
	must(t, err)
	u.login(ck.CKU_USER, "12345678")
	must(t, u.s.log.exclusively(func() error { return u.s.log.replace(&extpb.StoreRecord{}) }))
	got, err := os.Stat(u.s.log.path)
	must(t, err)
	a, b := got.Sys().(*syscall.Stat_t), want.Sys().(*syscall.Stat_t)
	if got.Mode() != want.Mode() || a.Uid != b.Uid || a.Gid != b.Gid {
		t.Errorf("%v of %d:%d, it was %v of %d:%d", got.Mode(), a.Uid, a.Gid, want.Mode(), b.Uid, b.Gid)
	}
	files, err := os.ReadDir(filepath.Dir(u.s.log.path))
	must(t, err)
	if len(files) != 1 {
		t.Errorf("files beside the store: %v", files)
	}
}

// TestAForkedChildHoldsNoLock: it has the files that its parent had while it wrote.
func TestAForkedChildHoldsNoLock(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	must(t, u.s.log.exclusively(func() error {
		open, err := os.ReadDir("/proc/self/fd")
		for _, f := range open {
			if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, u.s.log.path) {
				fd, _ := strconv.Atoi(f.Name())
				child, err := syscall.Dup(fd)
				must(t, err)
				t.Cleanup(func() { _ = syscall.Close(child) })
			}
		}
		return err
	}))
	begun := time.Now()
	must(t, u.s.log.exclusively(func() error { return nil }))
	if waited := time.Since(begun); waited > lockPatience/2 {
		t.Errorf("waited for %v", waited)
	}
}

// TestAWriterWaitsForTheStoreThatIs: and not for the one it replaced.
func TestAWriterWaitsForTheStoreThatIs(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	other := &log{path: u.s.log.path}
	var inside atomic.Int32
	var writers sync.WaitGroup
	for _, l := range []*log{&u.s.log, other} {
		writers.Go(func() {
			for range 200 {
				err := l.exclusively(func() error {
					if inside.Add(1) != 1 {
						t.Error("two writers at once")
					}
					err := l.replace(&extpb.StoreRecord{})
					runtime.Gosched()
					inside.Add(-1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	other.close()
}

func TestWrongPINsLock(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	for i := range maxFail {
		want(t, u.elsewhereCheck("wrong"), ck.CKR_PIN_INCORRECT)
		list, err := u.s.listTokens()
		must(t, err)
		flags := ck.Flags(list.Tokens[0].Flags)
		if flags&ck.CKF_USER_PIN_COUNT_LOW == 0 && i < maxFail-1 || (flags&ck.CKF_USER_PIN_LOCKED != 0) != (i == maxFail-1) {
			t.Errorf("after %d: flags %x", i+1, flags)
		}
	}
	want(t, u.elsewhereCheck("12345678"), ck.CKR_PIN_LOCKED)
	u.login(ck.CKU_SO, "87654321")
	_, err := u.s.initPIN(u.credential, &extpb.InitPinRequest{Pin: []byte("12345678")})
	must(t, err)
	must(t, u.elsewhereCheck("12345678"))
}

// elsewhereCheck checks a PIN as another process would.
func (u *user) elsewhereCheck(pin string) error {
	s := New(u.s.log.path, noService)
	defer s.Close()
	return s.checkPIN(u.token, ck.CKU_USER, ck.Secret(pin))
}

func TestWhatIsRefused(t *testing.T) {
	u := newUser(t, filepath.Join(t.TempDir(), "keys"))
	_, err := u.s.initToken(&extpb.InitTokenRequest{SoPin: []byte("123")})
	want(t, err, ck.CKR_PIN_LEN_RANGE)
	_, err = u.s.initToken(&extpb.InitTokenRequest{Token: u.token, SoPin: []byte("not the PIN")})
	want(t, err, ck.CKR_PIN_INCORRECT)
	_, err = u.s.initPIN(u.credential, &extpb.InitPinRequest{Pin: []byte("12345678")})
	want(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	_, err = u.s.openLogin(nil, &extpb.OpenLoginRequest{Token: u.token, User: 7, Pin: []byte("12345678")})
	want(t, err, ck.CKR_USER_TYPE_INVALID)
	_, err = u.s.openLogin(nil, &extpb.OpenLoginRequest{Token: []byte("none"), User: 1, Pin: []byte("12345678")})
	want(t, err, ck.CKR_TOKEN_NOT_PRESENT)
	_, err = u.s.getObject([]byte("made up"), &extpb.GetObjectRequest{Token: u.token, Handle: 1})
	want(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	_, err = u.s.getObject(nil, &extpb.GetObjectRequest{Token: u.token, Handle: 99})
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	hidden, err := u.add(ck.Bool(ck.CKA_PRIVATE, true))
	must(t, err)
	_, err = u.s.getObject(nil, &extpb.GetObjectRequest{Token: u.token, Handle: hidden.Handle})
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	_, err = u.s.getObject(nil, &extpb.GetObjectRequest{Token: u.token, Id: hidden.Id})
	want(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	o, err := u.create("x")
	must(t, err)
	_, err = u.s.initToken(&extpb.InitTokenRequest{Token: u.token, Label: "anew", SoPin: []byte("87654321")})
	must(t, err)
	_, err = u.s.getObject(nil, &extpb.GetObjectRequest{Token: u.token, Id: o.Id})
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	_, err = u.create("y")
	want(t, err, ck.CKR_USER_NOT_LOGGED_IN)
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(path, []byte("something else entirely"), 0o600))
	s := New(path, noService)
	_, err := s.listTokens()
	want(t, err, ck.CKR_DEVICE_ERROR)
	_, err = s.initToken(&extpb.InitTokenRequest{SoPin: []byte("87654321")})
	want(t, err, ck.CKR_DEVICE_ERROR)
	if b, _ := os.ReadFile(path); string(b) != "something else entirely" {
		t.Error("it was changed")
	}
}

// FuzzFile: any file is read without a panic, and takes a token afterwards or
// is refused.
func FuzzFile(f *testing.F) {
	record, _ := appendRecord([]byte(magic), &extpb.StoreRecord{NextHandle: 5, Objects: []*extpb.StoreObject{{Token: []byte("t"), Object: &extpb.Object{Id: []byte("o"), Handle: 1}}},
		Tokens: []*extpb.StoreToken{{Info: &extpb.TokenInfo{Id: []byte("t")}, SoPin: &extpb.StorePin{}}}})
	f.Add(record)
	bad, _ := appendRecord([]byte(magic), &extpb.StoreRecord{Tokens: []*extpb.StoreToken{{}}, Objects: []*extpb.StoreObject{{}}})
	f.Add(bad)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "keys")
		must(t, os.WriteFile(path, b, 0o600))
		s := New(path, noService)
		defer s.Close()
		if _, err := s.listTokens(); err != nil {
			return
		}
		_, _ = s.findObjects(nil, &extpb.FindObjectsRequest{Token: []byte("t")})
		_, _ = s.getObject(nil, &extpb.GetObjectRequest{Token: []byte("t"), Id: []byte("o")})
	})
}
