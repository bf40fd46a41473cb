package keystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"grep11/pkcs11/ck"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dsnOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newRequest(token ID, method string) Request {
	return Request{ID: NewID(), Method: method, Token: token}
}

func newToken(t testing.TB, s *Store, label string) Token {
	t.Helper()
	tok := Token{ID: NewID(), Label: label, Serial: "0123456789abcdef", SO: PIN{Hash: "so"}}
	id, err := s.CreateToken(context.Background(), newRequest(ID{}, "InitToken"), tok)
	if err != nil {
		t.Fatal(err)
	}
	tok, err = s.Token(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func newKey(token ID, label string) *Object {
	id := NewID()
	return &Object{
		ID: id, Token: token, Version: 1, Private: true, Blob: make([]byte, 400),
		Attributes: ck.Template{
			ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES),
			ck.Bytes(ck.CKA_LABEL, []byte(label)), ck.Bytes(ck.CKA_ID, id[:]), ck.Bool(ck.CKA_TOKEN, true),
			ck.Bool(ck.CKA_PRIVATE, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_ENCRYPT, true),
			ck.Bool(ck.CKA_EXTRACTABLE, false), ck.Bool(ck.CKA_SENSITIVE, true), ck.Ulong(ck.CKA_VALUE_LEN, 32),
			ck.Bytes(ck.CKA_UNIQUE_ID, fmt.Appendf(nil, "%x", id[:])),
		},
	}
}

func noResult() ([]byte, error) { return nil, nil }

func create(t testing.TB, s *Store, objects ...*Object) {
	t.Helper()
	if _, err := s.Create(context.Background(), newRequest(objects[0].Token, "CreateObject"), objects, noResult); err != nil {
		t.Fatal(err)
	}
}

func byLabel(label string) Query {
	return Query{Template: ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Bytes(ck.CKA_LABEL, []byte(label))}, Private: true}
}

func TestStoredObjectIsFoundAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20?#.db")
	s := open(t, path)
	tok := newToken(t, s, "one")
	o := newKey(tok.ID, "k")
	create(t, s, o, newKey(tok.ID, "other"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	found, more, err := s.Find(context.Background(), tok.ID, byLabel("k"))
	if err != nil || more || len(found) != 1 || found[0].ID != o.ID || found[0].Handle != o.Handle {
		t.Fatalf("found %v, more %v: %v", found, more, err)
	}
	got, err := s.ObjectByHandle(context.Background(), tok.ID, o.Handle)
	if err != nil || len(got.Blob) != 400 || !Matches(got.Attributes, o.Attributes) {
		t.Fatalf("object %v: %v", got, err)
	}
}

func TestDestroyedObjectIsGone(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	tok := newToken(t, s, "one")
	o := newKey(tok.ID, "k")
	create(t, s, o)
	ctx := context.Background()
	if _, err := s.Object(ctx, tok.ID, o.ID); err != nil {
		t.Fatal(err)
	}
	r := newRequest(tok.ID, "DestroyObject")
	for range 2 { // the second is a repeat
		if err := s.Destroy(ctx, r, o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Object(ctx, tok.ID, o.ID); !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		t.Error(err)
	}
	if found, _, err := s.Find(ctx, tok.ID, byLabel("k")); len(found) != 0 || err != nil {
		t.Error(found, err)
	}
}

func BenchmarkCreate16(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"))
	tok := newToken(b, s, "one")
	var wg sync.WaitGroup
	b.ResetTimer()
	for g := range 16 {
		wg.Go(func() {
			for i := g; i < b.N; i += 16 {
				create(b, s, newKey(tok.ID, fmt.Sprint("key ", i)))
			}
		})
	}
	wg.Wait()
}

func benchFind(b *testing.B, n int) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"))
	tok := newToken(b, s, "one")
	for i := 0; i < n; i += 100 {
		var objects []*Object
		for j := range 100 {
			objects = append(objects, newKey(tok.ID, fmt.Sprint("key ", i+j)))
		}
		create(b, s, objects...)
	}
	for i := 0; b.Loop(); i++ {
		found, _, err := s.Find(context.Background(), tok.ID, byLabel(fmt.Sprint("key ", i*7919%n)))
		if err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkFindByLabel5000(b *testing.B)   { benchFind(b, 5000) }
func BenchmarkFindByLabel100000(b *testing.B) { benchFind(b, 100000) }
