package keystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"grep11/pkcs11/ck"
)

func withToken(t testing.TB) (*Store, Token) {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	return s, newToken(t, s, "one")
}

func TestChangesRefused(t *testing.T) {
	s, tok := withToken(t)
	other := newToken(t, s, "two")
	o := newKey(tok.ID, "k")
	create(t, s, o)
	used := newRequest(tok.ID, "DestroyObject")
	if err := s.Destroy(context.Background(), used, createdID(t, s, tok.ID)); err != nil {
		t.Fatal(err)
	}
	update := func(change func(*Object)) func(context.Context) error {
		return func(ctx context.Context) error {
			n := *o
			n.Version++
			change(&n)
			return s.Update(ctx, newRequest(tok.ID, "SetAttributes"), &n)
		}
	}
	add := func(r Request, change func(*Object)) func(context.Context) error {
		return func(ctx context.Context) error {
			n := newKey(tok.ID, "new")
			change(n)
			_, err := s.Create(ctx, r, []*Object{n}, noResult)
			return err
		}
	}
	for _, test := range []struct {
		name string
		call func(context.Context) error
		rv   ck.RV
	}{
		{"an update of an older version", update(func(n *Object) { n.Version = 1 }), ck.CKR_IBM_GREP11_CONFLICT},
		{"an update of a version to come", update(func(n *Object) { n.Version = 5 }), ck.CKR_IBM_GREP11_CONFLICT},
		{"an update of an unknown object", update(func(n *Object) { n.ID = NewID() }), ck.CKR_OBJECT_HANDLE_INVALID},
		{"an update with a Boolean of two bytes", update(func(n *Object) {
			n.Attributes = n.Attributes.Set(ck.Bytes(ck.CKA_SIGN, []byte{1, 1}))
		}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an object that is too large", add(newRequest(tok.ID, "CreateObject"), func(n *Object) {
			n.Attributes = n.Attributes.Set(ck.Bytes(ck.CKA_SUBJECT, make([]byte, MaxEncoded)))
		}), ck.CKR_DEVICE_MEMORY},
		{"an object with too many attributes", add(newRequest(tok.ID, "CreateObject"), func(n *Object) {
			for i := range ck.MaxAttributes {
				n.Attributes = append(n.Attributes, ck.Bytes(ck.AttributeType(0x90000000+i), nil))
			}
		}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an object on an unknown token", add(newRequest(NewID(), "CreateObject"), func(*Object) {}), ck.CKR_TOKEN_NOT_RECOGNIZED},
		{"a request id of another method", add(Request{used.ID, "CreateObject", tok.ID}, func(*Object) {}), ck.CKR_IBM_GREP11_REPLAY},
		{"a request id of another token", add(Request{used.ID, "DestroyObject", other.ID}, func(*Object) {}), ck.CKR_IBM_GREP11_REPLAY},
		{"destruction through another token", func(ctx context.Context) error {
			return s.Destroy(ctx, newRequest(other.ID, "DestroyObject"), o.ID)
		}, ck.CKR_OBJECT_HANDLE_INVALID},
		{"a caller that gave up", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return s.Destroy(ctx, newRequest(tok.ID, "DestroyObject"), o.ID)
		}, ck.CKR_FUNCTION_CANCELED},
	} {
		if err := test.call(context.Background()); ck.RVOf(err) != test.rv {
			t.Errorf("%s: %v, want %v", test.name, err, test.rv)
		}
	}
	if _, err := s.Object(context.Background(), other.ID, o.ID); !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		t.Error("an object of another token:", err)
	}
	if found, _, err := s.Find(context.Background(), tok.ID, byLabel("new")); err != nil || len(found) != 0 {
		t.Error("refused objects are there:", found, err)
	}
}

func createdID(t *testing.T, s *Store, token ID) ID {
	t.Helper()
	o := newKey(token, "gone")
	create(t, s, o)
	return o.ID
}

func TestChangedLabelIsFoundAndTheOldOneNot(t *testing.T) {
	s, tok := withToken(t)
	o := newKey(tok.ID, "before")
	create(t, s, o)
	ctx := context.Background()
	if _, err := s.Object(ctx, tok.ID, o.ID); err != nil { // into the cache
		t.Fatal(err)
	}
	n := *o
	n.Version++
	n.Attributes = o.Attributes.Set(ck.Bytes(ck.CKA_LABEL, []byte("after")))
	n.Blob = []byte("another blob")
	if err := s.Update(ctx, newRequest(tok.ID, "SetAttributes"), &n); err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]int{"before": 0, "after": 1} {
		if found, _, err := s.Find(ctx, tok.ID, byLabel(label)); err != nil || len(found) != want {
			t.Errorf("%s: found %d: %v", label, len(found), err)
		}
	}
	got, err := s.Object(ctx, tok.ID, o.ID)
	if err != nil || string(got.Blob) != "another blob" || got.Version != 2 || got.Handle != o.Handle {
		t.Errorf("%+v: %v", got, err)
	}
}

func TestCreateIsAllOrNothing(t *testing.T) {
	s, tok := withToken(t)
	a, b := newKey(tok.ID, "half"), newKey(tok.ID, "half")
	b.ID = a.ID // the second insert fails
	if _, err := s.Create(context.Background(), newRequest(tok.ID, "MakeKey"), []*Object{a, b}, noResult); err == nil {
		t.Fatal("two objects have one id")
	}
	if found, _, err := s.Find(context.Background(), tok.ID, byLabel("half")); err != nil || len(found) != 0 {
		t.Error(found, err)
	}
	create(t, s, newKey(tok.ID, "the writer goes on"))
}

func TestRepeatGetsTheFirstResult(t *testing.T) {
	s, tok := withToken(t)
	r := newRequest(tok.ID, "MakeKey")
	var wg sync.WaitGroup
	results := make([]string, 20)
	for i := range results {
		wg.Go(func() {
			got, err := s.Create(context.Background(), r, []*Object{newKey(tok.ID, "k")},
				func() ([]byte, error) { return fmt.Append(nil, i), nil })
			if err != nil {
				t.Error(err)
			}
			results[i] = string(got)
		})
	}
	wg.Wait()
	for _, got := range results {
		if got != results[0] {
			t.Error(results)
		}
	}
	if found, _, err := s.Find(context.Background(), tok.ID, byLabel("k")); err != nil || len(found) != 1 {
		t.Error(len(found), err)
	}
}

func TestResetAndDeleteEmptyAToken(t *testing.T) {
	s, tok := withToken(t)
	other := newToken(t, s, "two")
	ctx := context.Background()
	o, stays := newKey(tok.ID, "k"), newKey(other.ID, "k")
	create(t, s, o)
	create(t, s, stays)
	if _, err := s.Object(ctx, tok.ID, o.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.ResetToken(ctx, newRequest(tok.ID, "InitToken"), "anew", "so"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Token(ctx, tok.ID)
	if err != nil || got.Label != "anew" || got.Number != tok.Number || got.SO.Hash != "so" {
		t.Error(got, err)
	}
	if _, err := s.Object(ctx, tok.ID, o.ID); !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		t.Error(err)
	}
	n := newKey(tok.ID, "k")
	create(t, s, n)
	if n.Handle <= stays.Handle {
		t.Error("a handle came again")
	}
	if err := s.DeleteToken(ctx, newRequest(tok.ID, "DeleteToken")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(ctx, tok.ID); !errors.Is(err, ck.CKR_TOKEN_NOT_RECOGNIZED) {
		t.Error(err)
	}
	if _, err := s.Object(ctx, other.ID, stays.ID); err != nil {
		t.Error("another token's object:", err)
	}
	if third := newToken(t, s, "three"); third.Number != 2 {
		t.Error("a number came again:", third.Number)
	}
}

// Readers, writers and the cache at once: what was destroyed is never seen
// after the answer, and what is seen is whole.
func TestManyChangesAtOnce(t *testing.T) {
	s, tok := withToken(t)
	ctx := context.Background()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				o := newKey(tok.ID, fmt.Sprint(g, " ", i))
				create(t, s, o)
				n := *o
				n.Version, n.Blob = 2, []byte{byte(g)}
				if err := s.Update(ctx, newRequest(tok.ID, "SetAttributes"), &n); err != nil {
					t.Error(err)
				}
				if got, err := s.Object(ctx, tok.ID, o.ID); err != nil || !reflect.DeepEqual(got.Blob, n.Blob) {
					t.Error("an old object:", got, err)
				}
				if i%2 == 0 {
					continue
				}
				if err := s.Destroy(ctx, newRequest(tok.ID, "DestroyObject"), o.ID); err != nil {
					t.Error(err)
				}
				if _, err := s.Object(ctx, tok.ID, o.ID); !errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
					t.Error("a destroyed object:", err)
				}
			}
		})
	}
	wg.Wait()
	found, _, err := s.Find(ctx, tok.ID, Query{Private: true})
	if err != nil || len(found) != 80 {
		t.Error(len(found), err)
	}
}

func TestTwoUpdatesAtOnceOneWins(t *testing.T) {
	s, tok := withToken(t)
	o := newKey(tok.ID, "k")
	create(t, s, o)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			n := *o
			n.Version++
			errs[i] = s.Update(context.Background(), newRequest(tok.ID, "SetAttributes"), &n)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ck.CKR_IBM_GREP11_CONFLICT) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d updates of one version", won)
	}
}
