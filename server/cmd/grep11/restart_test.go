package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// A restart, clean or not, is invisible to callers but for the delay: the login
// and the stored key go on.
func TestARestartIsInvisible(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "service")
			s := startAs(t, self, "--dir", dir)
			f, err := grep11client.LoadConfig(s.vars["GREP11_PKCS11_CONFIG"])
			if err != nil {
				t.Fatal(err)
			}
			c, err := grep11client.New(f.Slots[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			token, key := storedKey(t, c)
			var calls, failures atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					for ctx.Err() == nil {
						_, err := token.Single(context.Background(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, key, []byte("data"), nil, false)
						calls.Add(1)
						if err != nil {
							failures.Add(1)
							t.Error(err)
							return
						}
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			before := calls.Load()
			_ = s.cmd.Process.Signal(signal)
			_ = s.cmd.Wait()
			startAs(t, self, "--dir", dir)
			time.Sleep(500 * time.Millisecond)
			stop()
			callers.Wait()
			if before == 0 || calls.Load() <= before+8 || failures.Load() > 0 {
				t.Errorf("%d calls before, %d in all, %d failed", before, calls.Load(), failures.Load())
			}
		})
	}
}

// storedKey logs in and makes a token key.
func storedKey(t *testing.T, c *grep11client.Client) (*grep11client.Token, grep11client.Key) {
	t.Helper()
	info, err := findToken(t.Context(), c, devToken)
	if err != nil {
		t.Fatal(err)
	}
	token := c.Token(info.ID)
	if err := token.Login(t.Context(), ck.CKU_USER, ck.Secret(devPIN)); err != nil {
		t.Fatal(err)
	}
	pub := ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bool(ck.CKA_TOKEN, true)}
	priv := ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_PRIVATE, true)}
	_, key, err := token.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, pub, priv)
	if err != nil {
		t.Fatal(err)
	}
	return token, grep11client.Key{ID: key.ID}
}

// What dev leaves behind is a configuration for serve.
func TestServeRunsTheFolderOfDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "service")
	s := start(t, "--dir", dir)
	s.stop(t)
	serveFolder(t, dir).stop(t)
}

// serveFolder runs serve on what dev left in a folder, and waits until it answers.
func serveFolder(t *testing.T, dir string) *service {
	t.Helper()
	s := &service{cmd: grep11(t, "serve", "--config", filepath.Join(dir, "server.toml"))}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		d := grep11(t, "doctor", "--config", filepath.Join(dir, "client.toml"))
		if out, err := d.CombinedOutput(); err == nil {
			return s
		} else if time.Now().After(end) {
			t.Fatalf("%s", out)
		}
	}
}
