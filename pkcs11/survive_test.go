package pkcs11_test

import (
	"bytes"
	"crypto/rand"
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
	"grep11/server/keystore/pgtest"
	"grep11/server/soft"
)

// twoServers are one service: one database and, in two units each, one master key.
type twoServers struct {
	t       *testing.T
	dir, db string
	master  ck.Secret
	servers [2]*server.Server
	ended   [2]chan error
}

func newTwoServers(t *testing.T) *twoServers {
	t.Helper()
	dir, err := os.MkdirTemp("", "p11")
	if err != nil {
		t.Fatal(err)
	}
	s := &twoServers{t: t, dir: dir, db: pgtest.Schema(t, pgtest.Start(t), t.Name()), master: make(ck.Secret, 32)}
	rand.Read(s.master)
	for i := range s.servers {
		s.start(i)
	}
	t.Cleanup(func() {
		s.stop(0)
		s.stop(1)
		os.RemoveAll(dir)
	})
	if err := s.servers[0].EnsureToken(t.Context(), "dev", ck.Secret(soPIN), ck.Secret(userPIN)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *twoServers) start(i int) {
	s.t.Helper()
	if s.servers[i] != nil {
		return
	}
	store, err := keystore.Open(s.t.Context(), s.db)
	if err != nil {
		s.t.Fatal(err)
	}
	var members []balancer.Member
	for _, name := range []string{"one", "two"} {
		u, err := soft.New(soft.Config{Name: name, MasterKey: s.master})
		if err != nil {
			s.t.Fatal(err)
		}
		members = append(members, balancer.Member{Unit: u, Kind: "soft"})
	}
	if s.servers[i], err = server.New(server.Defaults(), store, members, nil); err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(s.dir, fmt.Sprint("s", i)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.ended[i] = make(chan error, 1)
	go func() { s.ended[i] <- s.servers[i].ServeOn(l) }()
}

// stop ends a server's connections and calls at once, as its death would.
func (s *twoServers) stop(i int) {
	s.t.Helper()
	if s.servers[i] != nil {
		s.servers[i].Close()
		<-s.ended[i]
		s.servers[i] = nil
	}
}

func (s *twoServers) module() *pkcs11.Module {
	s.t.Helper()
	path := filepath.Join(s.dir, "client.toml")
	text := fmt.Sprintf("local_public_ops = false\n[[slot]]\nendpoints = [\"unix:%s/s0\", \"unix:%s/s1\"]\n", s.dir, s.dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	m, err := pkcs11.New("config="+path, os.Getenv)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { m.Finalize(s.t.Context()) })
	return m
}

// An operation's state travels with its requests. So its parts may be served by
// one server and unit after the other, each dead before the next part comes.
func TestAnOperationOutlivesItsServersAndUnits(t *testing.T) {
	s := newTwoServers(t)
	u := login(t, s.module())
	ctx := t.Context()
	token := ck.Bool(ck.CKA_TOKEN, true)
	secret := u.aes(token, ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_SIGN, true))
	cbc, cmac, sha := mechanism(ck.CKM_AES_CBC, mech.IV(make([]byte, 16))), mechanism(ck.CKM_AES_CMAC), mechanism(ck.CKM_SHA256)
	hashes := func() error {
		if err := u.m.DigestInit(ctx, u.h, &sha); err != nil {
			return err
		}
		return u.m.DigestKey(ctx, u.h, secret)
	}
	for _, op := range []struct {
		name, method string
		start        func() error
		add          func(part []byte, o *pkcs11.Output) error
		end          func(o *pkcs11.Output) error
	}{
		{"a signature", "SignUpdate", func() error { return u.m.SignInit(ctx, u.h, &cmac, secret) },
			func(part []byte, _ *pkcs11.Output) error { return u.m.SignUpdate(ctx, u.h, part) },
			func(o *pkcs11.Output) error { return u.m.SignFinal(ctx, u.h, o) }},
		{"an encryption", "EncryptUpdate", func() error { return u.m.EncryptInit(ctx, u.h, &cbc, secret) },
			func(part []byte, o *pkcs11.Output) error { return u.m.EncryptUpdate(ctx, u.h, part, o) },
			func(o *pkcs11.Output) error { return u.m.EncryptFinal(ctx, u.h, o) }},
		{"a digest with a key", "DigestUpdate", hashes,
			func(part []byte, _ *pkcs11.Output) error { return u.m.DigestUpdate(ctx, u.h, part) },
			func(o *pkcs11.Output) error { return u.m.DigestFinal(ctx, u.h, o) }},
	} {
		run := func(before func(part int)) (out []byte) {
			wants(t, op.name, op.start(), nil)
			buf := make([]byte, 64)
			for i := range 6 {
				before(i)
				n := uint64(len(buf))
				o := pkcs11.NewOutput(buf, &n)
				if err := op.add(bytes.Repeat([]byte{byte(i)}, 16), o); err != nil {
					t.Fatalf("%s, part %d: %v", op.name, i, err)
				}
				if op.method == "EncryptUpdate" {
					out = append(out, buf[:n]...)
				}
			}
			before(6)
			n := uint64(len(buf))
			wants(t, op.name, op.end(pkcs11.NewOutput(buf, &n)), nil)
			return append(out, buf[:n]...)
		}
		want := run(func(int) {})
		got := run(func(part int) {
			s.start((part + 1) % 2)
			s.stop(part % 2)
			s.servers[(part+1)%2].FailNext(op.method, ck.CKR_DEVICE_REMOVED)
		})
		if !bytes.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: %x, undisturbed %x", op.name, got, want)
		}
	}
}
