package keystore

import (
	"context"
	"errors"
	"testing"

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
