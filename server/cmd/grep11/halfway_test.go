package main

import (
	"path/filepath"
	"strings"
	"testing"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// halfway is a service between two master keys, and a caller with keys of its own.
type halfway struct {
	*owned
	token *grep11client.Token
}

func newHalfway(t *testing.T) *halfway {
	h := &halfway{owned: newOwned(t, quick)}
	h.init()
	h.signed(0, "alice bob", "mk", "rotate", h.path("one"), h.path("two"))
	c := clientOf(t, filepath.Join(h.dir, "client.toml"))
	info, err := findToken(t.Context(), c, devToken)
	if err != nil {
		t.Fatal(err)
	}
	h.token = c.Token(info.ID)
	if err := h.token.Login(t.Context(), ck.CKU_USER, ck.Secret(devPIN)); err != nil {
		t.Fatal(err)
	}
	return h
}

// key makes a key: a blob for its caller alone, or one that is stored.
func (h *halfway) key(stored bool) grep11client.Key {
	h.Helper()
	k, err := h.token.GenerateKey(h.Context(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN},
		ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TOKEN, stored), ck.Bool(ck.CKA_ENCRYPT, true)})
	if err != nil {
		h.Fatal(err)
	}
	return k.Key
}

func (h *halfway) use(k grep11client.Key) error {
	_, err := h.token.Single(h.Context(), mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_ECB}, k, make([]byte, 16), nil, false)
	return err
}

// diagnosed runs the doctor.
func (h *halfway) diagnosed(status int, want ...string) {
	h.Helper()
	got := output(h.T, status, "doctor", "--config", filepath.Join(h.dir, "client.toml"))
	for _, w := range want {
		if !strings.Contains(got, w) {
			h.Errorf("not %q:\n%s", w, got)
		}
	}
}

// works uses a key often enough for each unit to have it.
func (h *halfway) works(k grep11client.Key, when string) {
	h.Helper()
	for range 12 {
		if err := h.use(k); err != nil {
			h.Fatalf("%s: %v", when, err)
		}
	}
}

// After a restart new keys are sealed under the new master key as before it, also
// where nothing is stored that would say so.
func TestARestartDoesNotGoBackToTheOldMasterKey(t *testing.T) {
	h := newHalfway(t)
	h.signed(0, "alice", append([]string{"mk", "load"}, h.parts("four", "five")...)...)
	h.signed(0, "alice bob", "mk", "commit")
	h.unit(0, "mk", "rewrap")
	h.killed()
	k := h.key(false)
	h.signed(0, "alice", "mk", "activate")
	h.works(k, "a key that was made between restart and activation")
}

func TestARotationIsTakenBackOrGoesOn(t *testing.T) {
	h := newHalfway(t)
	k := h.key(true)
	load := append([]string{"mk", "load"}, h.parts("four", "five")...)
	h.signed(0, "alice", load...)
	h.signed(0, "alice bob", "mk", "commit", "--unit", "unit1")
	if got := h.unit(1, "mk", "rewrap"); !strings.Contains(got, "has not committed") {
		t.Error(got)
	}
	h.works(h.key(true), "a key that was made before all units have committed")
	h.signed(0, "alice", "mk", "clear-new")
	h.works(k, "after nothing was sealed under the new master key")

	h.signed(0, "alice", load...)
	h.signed(0, "alice bob", "mk", "commit")
	h.unit(0, "mk", "rewrap")
	if got := h.signed(1, "alice", "mk", "clear-new"); !strings.Contains(got, "sealed under the new master key already") {
		t.Error(got)
	}
	h.works(k, "after its only master key was to be cleared")
	h.diagnosed(0, "stored keys", "all under a master key")
	h.signed(0, "alice", "mk", "clear-new", "--abandon-keys")
	if h.use(k) == nil {
		t.Error("the key works without its master key")
	}
	h.diagnosed(1, "stored keys", "a master key that no crypto unit has")
	h.signed(0, "alice", load...)
	h.signed(0, "alice bob", "mk", "commit", "--unit", "unit1")
	h.killed() // and starts, although only one unit has the keys' master key
	h.signed(0, "alice bob", "mk", "commit")
	h.works(k, "after its master key is back")
	h.signed(0, "alice", "mk", "activate", "--unit", "unit1")
	h.unit(0, "mk", "rewrap")
	h.signed(0, "alice", "mk", "activate")
	h.works(k, "after the activation")
}
