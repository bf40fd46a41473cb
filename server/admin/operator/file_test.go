package operator

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

func TestFilesOpenOnlyWithTheirPassword(t *testing.T) {
	dir := t.TempDir()
	key, part := filepath.Join(dir, "a.key"), filepath.Join(dir, "a.part")
	if _, err := MakeKey(key, "a", "p521", ck.Secret("right")); err != nil {
		t.Fatal(err)
	}
	if _, err := MakePart(part, strings.Repeat("0a", 32), ck.Secret("right")); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"wrong", "", "right "} {
		if _, err := LoadKey(key, ck.Secret(wrong)); !errors.Is(err, ErrPassword) {
			t.Errorf("key with %q: %v", wrong, err)
		}
		if _, err := LoadPart(part, ck.Secret(wrong)); !errors.Is(err, ErrPassword) {
			t.Errorf("part with %q: %v", wrong, err)
		}
	}
	p, err := LoadPart(part, ck.Secret("right"))
	if err != nil || !bytes.Equal(p, bytes.Repeat([]byte{10}, 32)) {
		t.Error(err)
	}
	if _, err := LoadPart(key, ck.Secret("right")); err == nil {
		t.Error("a key was taken for a part")
	}
	if _, err := LoadKey(part, ck.Secret("right")); err == nil {
		t.Error("a part was taken for a key")
	}
	if _, err := MakePart(part, "", ck.Secret("right")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a part was overwritten: %v", err)
	}
	if _, err := MakePart(filepath.Join(dir, "b"), "", nil); err == nil {
		t.Error("a part without a password")
	}
	if _, err := MakePart(filepath.Join(dir, "c"), strings.Repeat("zz", 32), ck.Secret("x")); err == nil {
		t.Error("a part that is not hex")
	}
	for _, f := range []string{key, part} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "part")
	if _, err := MakePart(path, "", ck.Secret("right")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "cut": whole[:len(whole)/2], "text": []byte("hello"),
		"altered": append(append(bytes.Clone(whole[:len(whole)-60]), 'A'^whole[len(whole)-60]^'B'), whole[len(whole)-59:]...),
		"long":    make([]byte, maxFile+1),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPart(path, ck.Secret("right")); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestTokenURIs(t *testing.T) {
	for text, want := range map[string]TokenURI{
		"pkcs11:token=a%20b;object=k?module-path=/m.so":          {"a b", "k", "/m.so"},
		"pkcs11:object=k;token=t;type=private?module-path=/m%3b": {"t", "k", "/m;"},
	} {
		if got, err := ParseTokenURI(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"pkcs11:token=t;object=k", "file:x", "pkcs11:token=t;object=k?module-path=/m&pin-value=1234", "pkcs11:token=%zz;object=k?module-path=/m"} {
		if got, err := ParseTokenURI(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestUnitNamesDoNotLeaveTheirFolder(t *testing.T) {
	k := Known{Dir: t.TempDir()}
	for _, name := range []string{"", "../x", "a/b", ".hidden", "a\x00b"} {
		if err := k.Pin(name, []byte{1}); err == nil {
			t.Errorf("%q was pinned", name)
		}
	}
}
