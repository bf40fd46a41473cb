package keystore

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

func export(t *testing.T, dsn string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Export(context.Background(), dsn, &b, func(int) {}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imported(s *Store, b []byte) (Imported, error) {
	return s.Import(context.Background(), bytes.NewReader(b), func(Imported) {})
}

// filled gives a store with two tokens and 1200 objects, some handles unused.
func filled(t *testing.T, path string) (*Store, []Token) {
	t.Helper()
	s := open(t, path)
	tokens := []Token{newToken(t, s, "one"), newToken(t, s, "gone"), newToken(t, s, "two")}
	create(t, s, newKey(tokens[1].ID, "gone"))
	if err := s.DeleteToken(context.Background(), newRequest(tokens[1].ID, "DeleteToken")); err != nil {
		t.Fatal(err)
	}
	tokens = []Token{tokens[0], tokens[2]}
	for i := range 12 {
		var objects []*Object
		for j := range 100 {
			objects = append(objects, newKey(tokens[i%2].ID, fmt.Sprint("key ", i, j)))
		}
		create(t, s, objects...)
	}
	return s, tokens
}

// all gives a token's objects with their blobs.
func all(t *testing.T, s *Store, token ID) (objects []*Object) {
	t.Helper()
	for q := (Query{Private: true}); ; {
		found, more, err := s.Find(context.Background(), token, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found {
			q.After = o.Handle
			if o, err = s.Object(context.Background(), token, o.ID); err != nil {
				t.Fatal(err)
			}
			objects = append(objects, o)
		}
		if !more {
			return objects
		}
	}
}

func TestRestoreGivesTheSameStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	from, tokens := filled(t, path)
	b := export(t, dsnOf(t, path)) // from is open
	to := open(t, filepath.Join(t.TempDir(), "to.db"))
	done, err := imported(to, b)
	if err != nil || done != (Imported{Tokens: 2, Objects: 1200}) {
		t.Fatal(done, err)
	}
	for _, tok := range tokens {
		if got, err := to.Token(context.Background(), tok.ID); err != nil || got != tok {
			t.Errorf("token %v became %v: %v", tok, got, err)
		}
		if !reflect.DeepEqual(all(t, from, tok.ID), all(t, to, tok.ID)) {
			t.Error("other objects than before")
		}
	}
	if next := newToken(t, to, "next"); next.Number != 3 {
		t.Error("a number came again:", next.Number)
	}
	o := newKey(tokens[0].ID, "after")
	create(t, to, o)
	if last := all(t, from, tokens[1].ID); o.Handle <= last[len(last)-1].Handle {
		t.Error("a handle came again:", o.Handle)
	}
}

func TestImportGoesOnAndChangesNothingThatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	from, tokens := filled(t, path)
	b := export(t, dsnOf(t, path))
	to := open(t, filepath.Join(t.TempDir(), "to.db"))
	own := newToken(t, to, "own")
	create(t, to, newKey(own.ID, "own"))
	before := all(t, to, own.ID)
	lines := bytes.SplitAfter(b, []byte("\n"))
	if _, err := imported(to, bytes.Join(lines[:700], nil)); err == nil {
		t.Fatal("half an export is taken as a whole")
	}
	done, err := imported(to, b)
	if err != nil || done.Known == 0 || done.Known+done.Objects != 1200 {
		t.Fatal(done, err)
	}
	again, err := imported(to, b)
	if err != nil || again != (Imported{Known: 1200}) {
		t.Fatal(again, err)
	}
	if !reflect.DeepEqual(before, all(t, to, own.ID)) {
		t.Error("own objects changed")
	}
	for _, tok := range tokens {
		if a, b := all(t, from, tok.ID), all(t, to, tok.ID); len(a) != len(b) || !bytes.Equal(a[0].Blob, b[0].Blob) {
			t.Error(len(a), len(b))
		}
	}
}

func TestDamagedExportsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	s := open(t, path)
	create(t, s, newKey(newToken(t, s, "one").ID, "k"))
	good := string(export(t, dsnOf(t, path)))
	lines := strings.SplitAfter(good, "\n")
	for _, test := range []struct{ name, text string }{
		{"nothing", ""},
		{"no JSON", "text\n"},
		{"no head", strings.Join(lines[1:], "")},
		{"no end", strings.Join(lines[:3], "")},
		{"no token", lines[0] + lines[2] + lines[3]},
		{"an object less", lines[0] + lines[1] + lines[3]},
		{"more after the end", good + lines[2]},
		{"a line that says nothing", lines[0] + "{}\n"},
		{"an export to come", strings.Replace(good, `"version":1`, `"version":2`, 1)},
		{"attributes that are none", strings.Replace(good, `"attributes":"`, `"attributes":"CQkJ`, 1)},
		{"a handle of session objects", strings.Replace(good, `"handle":1,`, `"handle":281474976710657,`, 1)},
		{"a short id", strings.Replace(good, `"object":{"handle":1,"id":"`, `"object":{"handle":1,"id":"AAAA`, 1)},
		{"an endless line", lines[0] + `{"token":{"label":"` + strings.Repeat("x", maxLine)},
	} {
		to := open(t, filepath.Join(t.TempDir(), "to.db"))
		if done, err := imported(to, []byte(test.text)); err == nil {
			t.Errorf("%s is taken: %v", test.name, done)
		}
	}
}

func TestExportNeedsAStore(t *testing.T) {
	if err := Export(context.Background(), filepath.Join(t.TempDir(), "nothing.db"), &bytes.Buffer{}, nil); ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
		t.Error(err)
	}
}
