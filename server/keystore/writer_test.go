package keystore

import (
	"context"
	"errors"
	"testing"
	"time"

	"grep11/pkcs11/ck"
)

func TestFullDiskIsSaidAndLosesNothing(t *testing.T) {
	s, tok := withToken(t)
	ctx := context.Background()
	create(t, s, newKey(tok.ID, "before"))
	err := s.writer.do(ctx, func(t *tx) error {
		var limit int // the pages there are
		return errors.Join(t.row(`PRAGMA page_count`, nil, &limit), t.row(`PRAGMA max_page_count = 1`, nil, &limit))
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; err == nil && n < 100; n++ {
		o := newKey(tok.ID, "in between")
		o.Blob = make([]byte, 1<<16)
		_, err = s.Create(ctx, newRequest(tok.ID, "CreateObject"), []*Object{o}, noResult)
	}
	if !errors.Is(err, ck.CKR_DEVICE_MEMORY) {
		t.Fatal(err)
	}
	// The connection that could not write is given up; the limit was its own.
	create(t, s, newKey(tok.ID, "after"))
	for _, label := range []string{"before", "after"} {
		if found, _, err := s.Find(ctx, tok.ID, byLabel(label)); err != nil || len(found) != 1 {
			t.Errorf("%s: found %d: %v", label, len(found), err)
		}
	}
}

func TestRefusedChangeLeavesTheRestOfItsBatch(t *testing.T) {
	s, tok := withToken(t)
	var batch []*change
	refused := errors.New("refused")
	for i := range 4 {
		o := newKey(tok.ID, "k")
		batch = append(batch, &change{ctx: context.Background(), done: make(chan struct{}), run: func(t *tx) error {
			encoded, err := encodeTemplate(o.Attributes)
			if err == nil {
				err = t.insert(tok, o, encoded)
			}
			if i%2 == 1 {
				err = errors.Join(err, refused)
			}
			return err
		}})
	}
	s.writer.stop() // this test is the owner now
	if err := s.writer.commit(batch); err != nil {
		t.Fatal(err)
	}
	for i, c := range batch {
		if got := c.err != nil; got != (i%2 == 1) {
			t.Errorf("change %d: %v", i, c.err)
		}
	}
	if found, _, err := s.Find(context.Background(), tok.ID, byLabel("k")); err != nil || len(found) != 2 {
		t.Error(len(found), err)
	}
	s.writer.disconnect()
}

func TestOldRowsGo(t *testing.T) {
	s, tok := withToken(t)
	ctx := context.Background()
	now := time.Now()
	old, young, late := NewID(), NewID(), NewID()
	rows := func() (n int) {
		if err := s.db.row(ctx, `SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM logins)`)(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := rows()
	err := s.writer.do(ctx, func(t *tx) error {
		t.w.tidied = time.Time{}
		return errors.Join(
			t.insertLogin(tok, Login{ID: old, Until: now.Add(-time.Hour)}),
			t.insertLogin(tok, Login{ID: young, Until: now.Add(time.Hour)}),
			t.insertRequest(Request{ID: old, Method: "x"}, nil, now.Add(-2*keepRequests)),
			t.insertRequest(Request{ID: late, Method: "x"}, nil, now.Add(-keepRequests/2)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := rows() - before; n != 2 {
		t.Errorf("%d rows stay", n)
	}
	if _, err := s.Login(ctx, young); err != nil {
		t.Error(err)
	}
	if _, err := s.Login(ctx, old); !errors.Is(err, ck.CKR_USER_NOT_LOGGED_IN) {
		t.Error(err)
	}
}
