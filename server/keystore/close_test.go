package keystore

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAClosedStoreIsOneFile: whoever copies it has all of it.
func TestAClosedStoreIsOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path)
	tok := newToken(t, s, "one")
	create(t, s, newKey(tok.ID, "k"))
	if _, _, err := s.Find(t.Context(), tok.ID, byLabel("k")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("part of the store is beside it")
	}
}
