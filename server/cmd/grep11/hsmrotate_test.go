package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// TestAnHSMsMasterKeyIsReplaced while a caller signs: each restart is a delay, and in
// the end every key works without the old master key.
func TestAnHSMsMasterKeyIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "service")
	s := start(t, "--dir", dir, "--hsm", softHSM)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "softhsm2.conf"))
	f, err := grep11client.LoadConfig(s.vars["GREP11_PKCS11_CONFIG"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := grep11client.New(f.Slots[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	token, first := storedKey(t, c)
	keys := []grep11client.Key{first}
	more := func(n int) {
		for range n {
			_, k := storedKey(t, c)
			keys = append(keys, k)
		}
	}
	sign := func(k grep11client.Key) error {
		_, err := token.Single(context.Background(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, k, []byte("data"), nil, false)
		return err
	}
	more(20)
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var calls atomic.Int64
	defer callers.Wait()
	defer stop()
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if err := sign(first); err != nil {
					t.Error(err)
					return
				}
				calls.Add(1)
			}
		})
	}

	unit := func(status int, args ...string) string {
		return output(t, status, append([]string{"unit", "--config", filepath.Join(dir, "client.toml")}, args...)...)
	}
	if out := unit(1, "rewrap"); !strings.Contains(out, "next_master_key") {
		t.Error(out)
	}
	unit(0, "create", "--module", softHSM, "--token", devHSMToken, "--pin-file", filepath.Join(dir, "hsm.pin"), "--master-key", "second")
	old := unit(0, "list", "--json")
	s.stop(t)
	configure := func(key string) {
		path := filepath.Join(dir, "server.toml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, line := range strings.Split(string(text), "\n") {
			if !strings.Contains(line, "master_key") {
				lines = append(lines, line)
			}
			if strings.HasPrefix(line, "[[unit]]") {
				lines = append(lines, key+` = "second"`)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("next_master_key")
	s = serveFolder(t, dir)
	more(3)
	if out := unit(0, "rewrap"); !strings.Contains(out, "All stored keys are sealed under") {
		t.Error(out)
	}
	more(3)
	s.stop(t)
	s = serveFolder(t, dir)
	more(3) // the new master key seals, though the server was restarted
	s.stop(t)
	configure("master_key")
	serveFolder(t, dir)
	for i, k := range keys {
		if err := sign(k); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
	if unit(0, "list", "--json") == old {
		t.Error("the old master key is in use")
	}
	stop()
	callers.Wait()
	t.Logf("%d signatures meanwhile", calls.Load())
}
