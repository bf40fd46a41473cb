package keystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
)

// Request names a change so that its repeat is known: a caller that lost the
// answer asks again with the same id, on this server or another.
type Request struct {
	ID     ID
	Method string
	Token  ID // zero for a new token
}

// How long a request is remembered, and how many old rows go at a time.
const (
	keepRequests = 15 * time.Minute
	tidyEvery    = time.Second
	tidyRows     = 1000
	maxLogins    = 100_000
)

// Result gives the first answer to a request, if there was one.
func (s *Store) Result(ctx context.Context, r Request) (result []byte, done bool, err error) {
	return r.scan(s.db.row(ctx, `SELECT result, method, token FROM requests WHERE id = $1`, r.ID[:]))
}

func (r Request) scan(scan scanner) ([]byte, bool, error) {
	var result, token []byte
	var method string
	err := scan(&result, &method, &token)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, explain(err)
	case method != r.Method || ID(token) != r.Token:
		return nil, false, fmt.Errorf("the request id was used for another request (%s): %w", method, ck.CKR_IBM_GREP11_REPLAY)
	}
	return result, true, nil
}

// once runs a change unless the request was answered before, and gives the
// first answer. The request's row is part of the change's transaction.
func (s *Store) once(ctx context.Context, r Request, run func(*tx) (result []byte, err error)) (result []byte, err error) {
	err = s.writer.do(ctx, func(t *tx) error {
		var done bool
		if result, done, err = t.result(r); done || err != nil {
			return err
		}
		if result, err = run(t); err != nil {
			return err
		}
		return t.insertRequest(r, result, time.Now())
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (t *tx) insertRequest(r Request, result []byte, made time.Time) error {
	_, err := t.exec(`INSERT INTO requests (id, method, token, result, made) VALUES ($1, $2, $3, $4, $5)`,
		r.ID[:], r.Method, r.Token[:], notNull(result), made.Unix())
	return err
}

func (t *tx) result(r Request) ([]byte, bool, error) {
	return r.scan(func(into ...any) error {
		return t.row(`SELECT result, method, token FROM requests WHERE id = $1`, []any{r.ID[:]}, into...)
	})
}

// tidy removes what is too old, some rows at a time.
func (t *tx) tidy() error {
	now := time.Now()
	if now.Sub(t.w.tidied) < tidyEvery {
		return nil
	}
	t.w.tidied = now
	if _, err := t.exec(`DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE made < $1 ORDER BY made LIMIT $2)`,
		now.Add(-keepRequests).Unix(), tidyRows); err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE until < $1 ORDER BY until LIMIT $2)`,
		now.Unix(), tidyRows); err != nil {
		return err
	}
	return t.boundLogins()
}

// boundLogins ends the logins that were not renewed for longest: programs that
// log in and never out would fill the store.
func (t *tx) boundLogins() error {
	n, err := t.exec(`DELETE FROM logins WHERE id IN (SELECT id FROM logins ORDER BY until DESC LIMIT $1 OFFSET $2)`, tidyRows, maxLogins)
	if n > 0 {
		t.touch(touchedAll, ID{})
	}
	return err
}

// notNull makes an empty byte string of nil, which databases take as NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
