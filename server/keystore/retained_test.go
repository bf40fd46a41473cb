package keystore

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// retained retains a key and finds it by its handle.
func retained(t testing.TB, s *Store, credits int64) Retained {
	t.Helper()
	handle, err := s.Retain(context.Background(), []byte("blob"), credits, ck.Secret("refill"))
	if err != nil {
		t.Fatal(err)
	}
	return byHandle(t, s, handle)
}

func byHandle(t testing.TB, s *Store, handle []byte) Retained {
	t.Helper()
	k, err := s.Retained(context.Background(), handle)
	if err != nil || len(handle) != mech.LenRetained {
		t.Fatalf("handle of %d bytes: %v", len(handle), err)
	}
	return k
}

func TestRetainedKeyIsFoundByItsHandleAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	ctx := context.Background()
	handle, err := s.Retain(ctx, []byte("blob"), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if k := byHandle(t, s, handle); string(k.Blob) != "blob" || k.Credits != 2 {
		t.Error(k)
	}
	for i := range handle {
		bad := bytes.Clone(handle)
		bad[i] ^= 1
		if k, err := s.Retained(ctx, bad); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) || k.Blob != nil {
			t.Errorf("byte %d altered: %v, %v", i, k, err)
		}
	}
	k := byHandle(t, s, handle)
	if err := s.RemoveRetained(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"a use": s.Spend(ctx, k), "a refill": s.Refill(ctx, k.ID, 1, nil), "another removal": s.RemoveRetained(ctx, k.ID),
		"a look": func() error { _, err := s.Retained(ctx, handle); return err }(),
	} {
		if !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) {
			t.Errorf("%s after the removal: %v", name, err)
		}
	}
}

func TestCreditsAreSpentOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	ctx := context.Background()
	k := retained(t, s, 20)
	var paid, refused atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			switch err := s.Spend(ctx, k); {
			case err == nil:
				paid.Add(1)
			case errors.Is(err, ck.CKR_KEY_EXHAUSTED):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if paid.Load() != 20 || refused.Load() != 40 {
		t.Errorf("%d uses were paid, %d refused", paid.Load(), refused.Load())
	}
	free := retained(t, s, Unlimited)
	for range 3 {
		if err := s.Spend(ctx, free); err != nil {
			t.Error(err)
		}
	}
}

func TestRefill(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	ctx := context.Background()
	k := retained(t, s, 0)
	for name, refill := range map[string]ck.Secret{"other data": ck.Secret("other"), "none": nil} {
		if err := s.Refill(ctx, k.ID, 9, refill); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Spend(ctx, k); !errors.Is(err, ck.CKR_KEY_EXHAUSTED) {
		t.Error(err)
	}
	if err := s.Refill(ctx, k.ID, Unlimited, ck.Secret("refill")); err != nil {
		t.Fatal(err)
	}
	if err := s.Spend(ctx, k); err != nil { // k is as it was before
		t.Error(err)
	}
	handle, err := s.Retain(ctx, []byte("blob"), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Refill(ctx, ID(handle), 9, nil); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
		t.Errorf("a key that was made without refill data: %v", err)
	}
}

// Retained keys and objects have one order, in which all are listed and resealed.
func TestRetainedKeysAreSealedAmongObjects(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	ctx := context.Background()
	tok := newToken(t, s, "one")
	var want []ID
	for range 3 {
		o := newKey(tok.ID, "k")
		create(t, s, o)
		want = append(want, o.ID, retained(t, s, 1).ID)
	}
	var got []ID
	for after := ck.ObjectHandle(0); ; {
		page, err := s.Sealed(ctx, after, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			got, after = append(got, o.ID), o.Handle
			if err := s.Reseal(ctx, o, []byte("resealed")); err != nil {
				t.Error(err)
			}
			if err := s.Reseal(ctx, o, []byte("again")); !Changed(err) {
				t.Error("a blob that was resealed is resealed from its old state:", err)
			}
		}
		if len(page) < 4 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%x instead of %x", got, want)
	}
	keys, err := s.ListRetained(ctx, 0, 2)
	if err != nil || len(keys) != 2 || keys[0].ID != want[1] || string(keys[0].Blob) != "resealed" {
		t.Fatal(keys, err)
	}
	if keys, err = s.ListRetained(ctx, keys[1].Place, 2); err != nil || len(keys) != 1 || keys[0].ID != want[5] {
		t.Error(keys, err)
	}
}
