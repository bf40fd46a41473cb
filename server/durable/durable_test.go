package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	want := func(text string, mode os.FileMode) {
		t.Helper()
		b, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(b) != text || info.Mode() != mode {
			t.Errorf("%q, %v, %v; want %q, %v", b, info.Mode(), err, text, mode)
		}
		if all, _ := os.ReadDir(dir); len(all) != 1 {
			t.Errorf("left behind: %v", all)
		}
	}
	if err := Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("one", 0o600)
	if err := Create(path, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that was there: %v", err)
	}
	want("one", 0o600)
	if err := Replace(path, []byte("three"), 0o644); err != nil {
		t.Fatal(err)
	}
	want("three", 0o644)
	if err := Replace(filepath.Join(dir, "no", "folder"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
