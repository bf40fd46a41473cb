package pkcs11_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
	"grep11/server/unit"
)

const (
	soPIN   = "87654321"
	userPIN = "12345678"
)

// stack is a service with a token "dev", and modules that use it.
type stack struct {
	t      testing.TB
	dir    string
	master ck.Secret
	unit   func(unit.Unit) unit.Unit // what is made of the crypto unit; nil: nothing
	srv    *server.Server
	ended  chan error
}

func newStack(t testing.TB) *stack {
	t.Helper()
	return newStackOf(t, nil)
}

func newStackOf(t testing.TB, of func(unit.Unit) unit.Unit) *stack {
	t.Helper()
	// Sockets have short paths: t.TempDir would spell out the test's name.
	dir, err := os.MkdirTemp("", "p11")
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{t: t, dir: dir, master: make(ck.Secret, 32), unit: of}
	rand.Read(s.master)
	t.Cleanup(func() {
		s.stop()
		os.RemoveAll(dir)
	})
	s.start()
	if err := s.srv.EnsureToken(t.Context(), "dev", ck.Secret(soPIN), ck.Secret(userPIN)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stack) start() {
	s.t.Helper()
	c := server.Defaults()
	c.Keystore.Path = filepath.Join(s.dir, "db")
	store, err := keystore.Open(s.t.Context(), c.Keystore.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := soft.New(soft.Config{Name: "one", MasterKey: s.master})
	if err != nil {
		s.t.Fatal(err)
	}
	member := balancer.Member{Unit: u, Kind: "soft"}
	if s.unit != nil {
		member.Unit = s.unit(u)
	}
	if s.srv, err = server.New(c, store, []balancer.Member{member}, nil); err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(s.dir, "s"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.srv.ServeOn(l) }()
}

func (s *stack) stop() {
	if s.srv != nil {
		s.srv.Close()
		<-s.ended
		s.srv = nil
	}
}

// module initialises a library that knows the service; more is added to its
// configuration at the top.
func (s *stack) module(more string) *pkcs11.Module {
	s.t.Helper()
	text := fmt.Sprintf("%s\n[[slot]]\nendpoints = [\"unix:%s\"]\n", more, filepath.Join(s.dir, "s"))
	return s.configured(text)
}

func (s *stack) configured(text string) *pkcs11.Module {
	s.t.Helper()
	f, err := os.CreateTemp(s.dir, "client*.toml")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	m, err := pkcs11.New("config="+f.Name(), os.Getenv)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { m.Finalize(context.Background()) })
	return m
}

// user is a session of a module, read-write and logged in unless said otherwise.
type user struct {
	t testing.TB
	m *pkcs11.Module
	h ck.SessionHandle
}

const (
	rw = ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION
	ro = ck.CKF_SERIAL_SESSION
)

func open(t testing.TB, m *pkcs11.Module, flags ck.Flags) *user {
	t.Helper()
	h, err := m.OpenSession(t.Context(), 0, flags)
	if err != nil {
		t.Fatal(err)
	}
	return &user{t, m, h}
}

func login(t testing.TB, m *pkcs11.Module) *user {
	t.Helper()
	u := open(t, m, rw)
	if err := m.Login(t.Context(), u.h, ck.CKU_USER, ck.Secret(userPIN)); err != nil {
		t.Fatal(err)
	}
	return u
}

// start is a new stack with a session that is logged in.
func start(t testing.TB) *user {
	t.Helper()
	return login(t, newStack(t).module(""))
}

func wants(t testing.TB, name string, err, want error) {
	t.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
	}
}

// output calls f as an application does: for the length, with too short a
// buffer where that is possible, and with enough.
func output(t testing.TB, f func(*pkcs11.Output) error) ([]byte, error) {
	t.Helper()
	var n uint64
	if err := f(pkcs11.NewOutput(nil, &n)); err != nil {
		return nil, err
	}
	if n > 0 {
		short := uint64(0)
		err := f(pkcs11.NewOutput([]byte{}, &short))
		if err == nil && short == 0 {
			return nil, nil // a plaintext of no bytes fits
		}
		if !errors.Is(err, ck.CKR_BUFFER_TOO_SMALL) || short == 0 {
			return nil, fmt.Errorf("no buffer for %d bytes: %v, %d", n, err, short)
		}
	}
	buf := make([]byte, n)
	if err := f(pkcs11.NewOutput(buf, &n)); err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// get reads one attribute, as an application does.
func (u *user) get(o ck.ObjectHandle, at ck.AttributeType) ([]byte, error) {
	var n uint64
	want := []pkcs11.AttributeOutput{{Type: at, Len: &n}}
	if err := u.m.GetAttributeValue(u.t.Context(), u.h, o, want); err != nil {
		return nil, err
	}
	want[0].Buf = make([]byte, n)
	err := u.m.GetAttributeValue(u.t.Context(), u.h, o, want)
	return want[0].Buf, err
}

func (u *user) flag(o ck.ObjectHandle, at ck.AttributeType) bool {
	u.t.Helper()
	v, err := u.get(o, at)
	if err != nil {
		u.t.Errorf("%v: %v", at, err)
	}
	return len(v) == 1 && v[0] == ck.CK_TRUE
}

func (u *user) find(t ck.Template) []ck.ObjectHandle {
	u.t.Helper()
	ctx := u.t.Context()
	if err := u.m.FindObjectsInit(ctx, u.h, t); err != nil {
		u.t.Fatal(err)
	}
	var all []ck.ObjectHandle
	for {
		some, err := u.m.FindObjects(ctx, u.h, 3)
		if err != nil {
			u.t.Fatal(err)
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	if err := u.m.FindObjectsFinal(ctx, u.h); err != nil {
		u.t.Fatal(err)
	}
	return all
}

var (
	p256    = []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	ed25519 = []byte{6, 3, 0x2b, 0x65, 0x70}
	// round 3, 4-4
	dilithium = []byte{6, 11, 0x2b, 6, 1, 4, 1, 2, 0x82, 0x0b, 7, 4, 4}
)

func mechanism(t ck.MechanismType, p ...mech.Param) mech.Mechanism {
	m := mech.Mechanism{Type: t}
	if len(p) > 0 {
		m.Param = p[0]
	}
	return m
}

// pair makes a key pair; both templates get more.
func (u *user) pair(m ck.MechanismType, pub ck.Template, more ...ck.Attribute) (ck.ObjectHandle, ck.ObjectHandle) {
	u.t.Helper()
	p, q, err := u.m.GenerateKeyPair(u.t.Context(), u.h, mechanism(m), append(pub, more...), append(ck.Template{ck.Bool(ck.CKA_SIGN, true)}, more...))
	if err != nil {
		u.t.Fatal(err)
	}
	return p, q
}

func (u *user) ec(more ...ck.Attribute) (ck.ObjectHandle, ck.ObjectHandle) {
	u.t.Helper()
	return u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_VERIFY, true)}, more...)
}

func (u *user) aes(more ...ck.Attribute) ck.ObjectHandle {
	u.t.Helper()
	k, err := u.m.GenerateKey(u.t.Context(), u.h, mechanism(ck.CKM_AES_KEY_GEN), append(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)}, more...))
	if err != nil {
		u.t.Fatal(err)
	}
	return k
}
