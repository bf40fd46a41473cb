package pkcs11_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

func TestServerRestartIsADelay(t *testing.T) {
	s := newStack(t)
	u := login(t, s.module(""))
	pub, key := u.ec(isToken)
	k := u.aes(ck.Bool(ck.CKA_ENCRYPT, true))
	_ = pub
	s.stop()
	go func() {
		time.Sleep(300 * time.Millisecond)
		s.start()
	}()
	_, err := u.sign(mechanism(ck.CKM_ECDSA), key, []byte("x"), 0)
	wants(t, "the old handle, the old login", err, nil)
	_, err = encryption.run(u, mechanism(ck.CKM_AES_ECB), k, make([]byte, 16), 0)
	wants(t, "a session key", err, nil)
}

func TestServerDown(t *testing.T) {
	s := newStack(t)
	known := login(t, s.module("[timeouts]\ncall = \"1s\"\nunreachable = \"300ms\"\nconnect = \"200ms\""))
	_, key := known.ec(isToken)
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	began := time.Now()
	m := s.module("[timeouts]\ncall = \"1s\"\nunreachable = \"300ms\"\nconnect = \"200ms\"")
	all, err := m.GetSlotList(ctx, false)
	if err != nil || len(all) != 1 {
		t.Errorf("slots %v, %v", all, err)
	}
	if some, err := m.GetSlotList(ctx, true); err != nil || len(some) != 0 {
		t.Errorf("slots with tokens %v, %v", some, err)
	}
	if info, err := m.GetSlotInfo(ctx, 0); err != nil || info.Flags&ck.CKF_TOKEN_PRESENT != 0 {
		t.Errorf("slot %+v, %v", info, err)
	}
	_, err = m.GetTokenInfo(ctx, 0)
	wants(t, "no token", err, ck.CKR_TOKEN_NOT_PRESENT)
	_, err = m.OpenSession(ctx, 0, ro)
	wants(t, "no session", err, ck.CKR_TOKEN_NOT_PRESENT)
	mech := mechanism(ck.CKM_ECDSA)
	wants(t, "init is local", known.m.SignInit(ctx, known.h, &mech, key), nil)
	n := uint64(64)
	wants(t, "the call says why", known.m.Sign(ctx, known.h, []byte("x"), pkcs11.NewOutput(make([]byte, 64), &n)), ck.CKR_DEVICE_REMOVED)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("all that took %v", took)
	}
	s.start()
	_, err = known.sign(mech, key, []byte("x"), 0)
	wants(t, "when it is back", err, nil)
}

func TestConfigurations(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("GREP11_PKCS11_CONFIG", "")
	ctx := t.Context()
	m, err := pkcs11.New("", os.Getenv)
	wants(t, "none", err, nil)
	if _, e := os.Stat("/etc/grep11/client.toml"); os.IsNotExist(e) {
		if ids, err := m.GetSlotList(ctx, false); err != nil || len(ids) != 0 || m.ConfigFile() != "" {
			t.Errorf("slots %v, %v", ids, err)
		}
	}
	wants(t, "finalize", m.Finalize(ctx), nil)

	path, log := filepath.Join(dir, "client.toml"), filepath.Join(dir, "log")
	text := fmt.Sprintf("[[slot]]\nendpiont = 1\n[log]\nfile = %q\n", log)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err = pkcs11.New("config="+path, os.Getenv)
	wants(t, "a wrong file is no error", err, nil)
	if ids, err := m.GetSlotList(ctx, false); err != nil || len(ids) != 1 {
		t.Errorf("slots %v, %v", ids, err)
	}
	if ids, err := m.GetSlotList(ctx, true); err != nil || len(ids) != 0 {
		t.Errorf("slots with tokens %v, %v", ids, err)
	}
	if info, err := m.GetSlotInfo(ctx, 0); err != nil || info.Flags != 0 {
		t.Errorf("slot %+v, %v", info, err)
	}
	_, err = m.GetTokenInfo(ctx, 0)
	wants(t, "no token", err, ck.CKR_TOKEN_NOT_PRESENT)
	_, err = m.GetMechanismList(ctx, 0)
	wants(t, "no mechanisms", err, ck.CKR_TOKEN_NOT_PRESENT)
	_, err = m.OpenSession(ctx, 0, ro)
	wants(t, "no session", err, ck.CKR_TOKEN_NOT_PRESENT)
	wants(t, "no new token", m.InitToken(ctx, 0, ck.Secret("1234"), "x"), ck.CKR_TOKEN_NOT_PRESENT)
	wants(t, "finalize", m.Finalize(ctx), nil)
	lines, err := os.ReadFile(log)
	if err != nil || strings.Count(string(lines), "\n") != 1 {
		t.Fatalf("log %q, %v", lines, err)
	}
	for _, part := range []string{path, "line 2", "endpiont"} {
		if !strings.Contains(string(lines), part) {
			t.Errorf("log %s lacks %s", lines, part)
		}
	}
}

func TestLogSurvivesRotation(t *testing.T) {
	s := newStack(t)
	log := filepath.Join(s.dir, "log")
	text := fmt.Sprintf("[log]\nfile = %q\nlevel = \"debug\"\n[[slot]]\nendpoints = [\"unix:%s/s\"]\n", log, s.dir)
	m := s.configured(text)
	m.Log().Debug("first")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	m.Log().Debug("second")
	if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), "second") || strings.Contains(string(b), "first") {
		t.Errorf("log %q, %v", b, err)
	}
}

func TestOneTokenSlots(t *testing.T) {
	s := newStack(t)
	first := s.module("")
	wants(t, "another token", first.InitToken(t.Context(), 1, ck.Secret("so-pin-1"), "other"), nil)
	slot := func(token string) string {
		return fmt.Sprintf("[[slot]]\ntoken = %q\nendpoints = [\"unix:%s/s\"]\n", token, s.dir)
	}
	m := s.configured(slot("other") + slot("none") + slot("dev"))
	ctx := t.Context()
	if ids, err := m.GetSlotList(ctx, true); err != nil || len(ids) != 2 || ids[0] != 0 || ids[1] != 2 {
		t.Errorf("slots %v, %v", ids, err)
	}
	for id, label := range map[ck.SlotID]string{0: "other", 2: "dev"} {
		if info, err := m.GetTokenInfo(ctx, id); err != nil || info.Label != label {
			t.Errorf("slot %d: %+v, %v", id, info, err)
		}
	}
	_, err := m.GetTokenInfo(ctx, 1)
	wants(t, "a token that is not there", err, ck.CKR_TOKEN_NOT_PRESENT)
	whole := fmt.Sprintf("[[slot]]\nendpoints = [\"unix:%s/s\"]\n", s.dir)
	both := s.configured(whole + slot("dev"))
	if ids, err := both.GetSlotList(ctx, false); err != nil || len(ids) != 4 || ids[3] != 1<<16 {
		t.Errorf("slots %v, %v", ids, err)
	}
}

func TestFinalizeLeavesNothing(t *testing.T) {
	s := newStack(t)
	rounds := func(n int) (goroutines, files int) {
		for range n {
			m := s.module("")
			h, err := m.OpenSession(t.Context(), 0, ro)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.GetSessionInfo(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			if err := m.Finalize(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(300 * time.Millisecond) // connections end on the server's side, too
		fds, _ := os.ReadDir("/proc/self/fd")
		return runtime.NumGoroutine(), len(fds)
	}
	g0, f0 := rounds(5)
	g1, f1 := rounds(100)
	if g1 > g0+5 || f1 > f0+5 {
		t.Errorf("goroutines %d to %d, files %d to %d", g0, g1, f0, f1)
	}
}

func TestFinalizeEndsCalls(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	u := login(t, m)
	s.stop() // calls wait for the server
	done := make(chan error, 1)
	go func() { done <- m.GenerateRandom(t.Context(), u.h, make([]byte, 8)) }()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	wants(t, "finalize", m.Finalize(t.Context()), nil)
	if err := <-done; err == nil {
		t.Error("a call without server succeeded")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("that took %v", took)
	}
	s.start()
}

func TestManyThreads(t *testing.T) {
	s := newStack(t)
	m := s.module("")
	first := login(t, m)
	pub, key := first.ec(isToken)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				u := open(t, m, rw)
				sig, err := u.sign(mechanism(ck.CKM_ECDSA_SHA256), key, []byte("x"), 0)
				wants(t, "sign", err, nil)
				wants(t, "verify", u.verify(mechanism(ck.CKM_ECDSA_SHA256), pub, []byte("x"), sig, 0), nil)
				o := u.create(data("x"))
				u.find(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA)})
				wants(t, "destroy", m.DestroyObject(t.Context(), u.h, o), nil)
				wants(t, "close", m.CloseSession(t.Context(), u.h), nil)
			}
		})
	}
	wait.Wait()
}

func BenchmarkOpenClose(b *testing.B) {
	m := newStack(b).module("")
	login(b, m)
	for b.Loop() {
		h, err := m.OpenSession(b.Context(), 0, ro)
		if err != nil {
			b.Fatal(err)
		}
		m.CloseSession(b.Context(), h)
	}
}

func BenchmarkSignP256(b *testing.B) {
	u := start(b)
	_, key := u.ec(isToken)
	m := mechanism(ck.CKM_ECDSA)
	buf, digest := make([]byte, 64), make([]byte, 32)
	for b.Loop() {
		if err := u.m.SignInit(b.Context(), u.h, &m, key); err != nil {
			b.Fatal(err)
		}
		n := uint64(64)
		if err := u.m.Sign(b.Context(), u.h, digest, pkcs11.NewOutput(buf, &n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	u := start(b)
	m := mechanism(ck.CKM_SHA256)
	buf, text := make([]byte, 32), make([]byte, 32)
	for b.Loop() {
		if err := u.m.DigestInit(b.Context(), u.h, &m); err != nil {
			b.Fatal(err)
		}
		n := uint64(32)
		if err := u.m.Digest(b.Context(), u.h, text, pkcs11.NewOutput(buf, &n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindByLabel(b *testing.B) {
	u := start(b)
	u.ec(isToken, ck.Bytes(ck.CKA_LABEL, []byte("it")))
	for b.Loop() {
		if found := u.find(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Bytes(ck.CKA_LABEL, []byte("it"))}); len(found) != 1 {
			b.Fatal(found)
		}
	}
}
