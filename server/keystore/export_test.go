package keystore

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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
		{"an export to come", strings.Replace(good, `"version":2`, `"version":3`, 1)},
		{"an export of before there were any", strings.Replace(good, `"version":2`, `"version":0`, 1)},
		{"a retained key less", strings.Replace(good, `"retained":0`, `"retained":1`, 1)},
		{"a retained key without a secret", strings.Replace(good, `{"end"`, `{"retained":{"id":"AAAAAAAAAAAAAAAAAAAAAA==","blob":"AAAA","credits":1}}`+"\n"+`{"end"`, 1)},
		{"a retained key with fewer credits than none", strings.Replace(good, `{"end"`, lineOfRetained(-2)+`{"end"`, 1)},
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

// lineOfRetained is a retained key's line in an export.
func lineOfRetained(credits int) string {
	zeros := base64.StdEncoding.EncodeToString(make([]byte, 32))
	return fmt.Sprintf(`{"retained":{"id":%q,"secret":%q,"refill":"","credits":%d,"made":1,"blob":%q}}`+"\n",
		base64.StdEncoding.EncodeToString(make([]byte, 16)), zeros, credits, zeros)
}

// TestExportsOfBeforeAreTaken: version 1 had neither lines nor a count of retained keys.
func TestExportsOfBeforeAreTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	s := open(t, path)
	create(t, s, newKey(newToken(t, s, "one").ID, "k"))
	old := strings.NewReplacer(`"version":2`, `"version":1`, `,"retained":0`, "").Replace(string(export(t, dsnOf(t, path))))
	to := open(t, filepath.Join(t.TempDir(), "to.db"))
	if done, err := imported(to, []byte(old)); err != nil || done != (Imported{Tokens: 1, Objects: 1}) {
		t.Error(done, err)
	}
}

func TestRetainedKeysMoveWithTheirCredits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	from := open(t, path)
	create(t, from, newKey(newToken(t, from, "one").ID, "k"))
	ctx := context.Background()
	counted, err := from.Retain(ctx, []byte("counted"), 3, ck.Secret("refill"))
	if err != nil {
		t.Fatal(err)
	}
	free, err := from.Retain(ctx, []byte("free"), Unlimited, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := export(t, dsnOf(t, path))
	if bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(counted)[:80])) {
		t.Error("the export holds a handle")
	}
	to := open(t, filepath.Join(t.TempDir(), "to.db"))
	for _, want := range []Imported{{Tokens: 1, Objects: 1, Retained: 2}, {Known: 3}} {
		if done, err := imported(to, b); err != nil || done != want {
			t.Fatal(done, err)
		}
		k, err := to.Retained(ctx, counted)
		if err != nil || string(k.Blob) != "counted" {
			t.Fatal(k, err)
		}
		if err := to.Spend(ctx, k); err != nil { // a second import gives no credits
			t.Error(err)
		}
	}
	k, err := to.Retained(ctx, counted)
	if err != nil || k.Credits != 1 || to.Refill(ctx, k.ID, 5, ck.Secret("refill")) != nil {
		t.Error(k, err)
	}
	if k, err := to.Retained(ctx, free); err != nil || k.Credits != Unlimited || time.Since(k.Made) > time.Minute {
		t.Error(k, err)
	}
}

func TestExportNeedsAStore(t *testing.T) {
	if err := Export(context.Background(), filepath.Join(t.TempDir(), "nothing.db"), &bytes.Buffer{}, nil); ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
		t.Error(err)
	}
}
