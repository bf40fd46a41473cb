package keystore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"grep11/pkcs11/ck"
)

// indexed lists the attributes that have marks, the most telling first: a
// search walks the marks of the first that its template has.
var indexed = []ck.AttributeType{
	ck.CKA_ID, ck.CKA_LABEL, ck.CKA_MODULUS, ck.CKA_EC_POINT, ck.CKA_SERIAL_NUMBER, ck.CKA_OBJECT_ID,
	ck.CKA_SUBJECT, ck.CKA_ISSUER, ck.CKA_APPLICATION,
	ck.CKA_CERTIFICATE_TYPE, ck.CKA_KEY_TYPE, ck.CKA_CLASS,
}

// mark is the digest of an attribute's type and value.
type mark [16]byte

func markOf(a ck.Attribute) (m mark, err error) {
	value, err := a.Portable()
	if err != nil {
		return m, err
	}
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, uint64(a.Type)), value...))
	return mark(sum[:len(m)]), nil
}

// marksOf gives the marks of a template, in the order of indexed. Empty values
// have none: they are too common to find anything by.
func marksOf(t ck.Template) ([]mark, error) {
	var marks []mark
	for _, at := range indexed {
		a, ok := t.Get(at)
		if !ok || len(a.Value) == 0 {
			continue
		}
		m, err := markOf(a)
		if err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	return marks, nil
}

func (t *tx) addMarks(tok Token, o *Object) error {
	return t.eachMark(o, func(m mark) error {
		_, err := t.exec(`INSERT INTO marks (token, mark, handle) VALUES ($1, $2, $3)`, tok.Number, m[:], uint64(o.Handle))
		return err
	})
}

func (t *tx) removeMarks(tok Token, o *Object) error {
	return t.eachMark(o, func(m mark) error {
		_, err := t.exec(`DELETE FROM marks WHERE token = $1 AND mark = $2 AND handle = $3`, tok.Number, m[:], uint64(o.Handle))
		return err
	})
}

func (t *tx) eachMark(o *Object, do func(mark) error) error {
	marks, err := marksOf(o.Attributes)
	if err != nil {
		return err
	}
	for _, m := range marks {
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

// Query is a page of a search.
type Query struct {
	Template ck.Template     // empty: all objects
	After    ck.ObjectHandle // objects with greater handles only
	Max      int             // at most MaxPage
	Private  bool            // private objects too
}

// MaxPage is the most objects that one page has.
const MaxPage = 1000

// Find gives a page of a token's objects that match a template, in the order
// of their handles, and whether more follow.
func (s *Store) Find(ctx context.Context, token ID, q Query) (found []*Object, more bool, err error) {
	tok, err := s.Token(ctx, token)
	if err != nil {
		return nil, false, err
	}
	if a, ok := q.Template.Get(ck.CKA_UNIQUE_ID); ok {
		return s.findUnique(ctx, token, q, a.Value)
	}
	marks, err := marksOf(q.Template)
	if err != nil {
		return nil, false, nil // no stored value has that form
	}
	if q.Max <= 0 || q.Max > MaxPage {
		q.Max = MaxPage
	}
	p := page{query: q}
	for chunk := q.Max + 1; ; chunk = MaxPage {
		n, err := s.scan(ctx, tok, marks, &p, chunk)
		if err != nil {
			return nil, false, explain(err)
		}
		if p.more || n < chunk {
			return p.found, p.more, nil
		}
	}
}

// page gathers what matches, up to a number and a size.
type page struct {
	query Query // After moves on
	found []*Object
	bytes int
	more  bool
}

// maxPageBytes ends a page early when its objects are large.
const maxPageBytes = 8 << 20

func (p *page) add(o *Object) {
	p.query.After = o.Handle
	if !Matches(o.Attributes, p.query.Template) {
		return
	}
	if len(p.found) == p.query.Max || p.bytes > maxPageBytes {
		p.more = true
		return
	}
	p.found = append(p.found, o)
	p.bytes += o.size()
}

func (s *Store) findUnique(ctx context.Context, token ID, q Query, text []byte) ([]*Object, bool, error) {
	var id ID
	if n, err := hex.Decode(id[:], text[:min(len(text), 2*len(id))]); err != nil || n != len(id) {
		return nil, false, nil
	}
	o, err := s.Object(ctx, token, id)
	switch {
	case ck.RVOf(err) == ck.CKR_OBJECT_HANDLE_INVALID:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case o.Handle <= q.After || o.Private && !q.Private || !Matches(o.Attributes, q.Template):
		return nil, false, nil
	}
	return []*Object{o}, false, nil
}

// scan adds the next objects that have all the marks, and tells how many it saw.
func (s *Store) scan(ctx context.Context, tok Token, marks []mark, p *page, limit int) (n int, err error) {
	args := []any{tok.Number, int64(p.query.After), truth(p.query.Private)}
	for _, m := range marks {
		args = append(args, m[:])
	}
	rows, err := s.db.rows(ctx, findSQL(len(marks)), append(args, limit)...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next() && !p.more && ctx.Err() == nil; n++ {
		o, err := scanObject(tok.ID, rows.Scan)
		if err != nil {
			return n, err
		}
		p.add(o)
	}
	return n, errors.Join(rows.Err(), ctx.Err())
}

// findSQL makes the query for a number of marks. The join's order is fixed: a
// planner cannot know which mark is rare.
func findSQL(marks int) string {
	if marks == 0 {
		return selectFound + `FROM objects o WHERE o.token = $1 AND o.handle > $2 AND o.private <= $3 ORDER BY o.handle LIMIT $4`
	}
	var q strings.Builder
	q.WriteString(selectFound + `FROM marks m CROSS JOIN objects o
		WHERE m.token = $1 AND m.handle > $2 AND o.handle = m.handle AND o.private <= $3 AND m.mark = $4`)
	for i := 1; i < marks; i++ {
		fmt.Fprintf(&q, ` AND EXISTS (SELECT 1 FROM marks x WHERE x.token = $1 AND x.mark = $%d AND x.handle = m.handle)`, 4+i)
	}
	fmt.Fprintf(&q, ` ORDER BY m.handle LIMIT $%d`, 4+marks)
	return q.String()
}

// Matches tells whether attributes have all values of a template.
func Matches(attributes, template ck.Template) bool {
	return !slices.ContainsFunc(template, func(want ck.Attribute) bool {
		a, ok := attributes.Get(want.Type)
		return !ok || !equal(a, want)
	})
}

func equal(a, b ck.Attribute) bool {
	if len(a.Sub) == 0 && len(b.Sub) == 0 {
		return bytes.Equal(a.Value, b.Value)
	}
	x, errX := a.Portable()
	y, errY := b.Portable()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
