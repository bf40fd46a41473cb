package keystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
)

// Login is a login that was not closed yet. What ends it removes its row:
// logout, a change of the PIN, a reset of the token, or its time.
type Login struct {
	ID    ID
	Token ID
	User  ck.UserType
	Until time.Time
}

var errPINChanged = fmt.Errorf("the PIN was changed meanwhile: %w", ck.CKR_PIN_INCORRECT)

// pinColumns names the columns of a user's PIN; what is no row is no user.
var pinColumns = map[ck.UserType]struct{ count, settle, change string }{
	ck.CKU_SO: {
		`UPDATE tokens SET so_failures = so_failures + 1 WHERE id = $1 AND so_failures < $2`,
		`UPDATE tokens SET so_failures = 0 WHERE id = $1 AND so_pin = $2`,
		`UPDATE tokens SET so_pin = $1, so_failures = 0 WHERE id = $2`,
	},
	ck.CKU_USER: {
		`UPDATE tokens SET user_failures = user_failures + 1 WHERE id = $1 AND user_failures < $2`,
		`UPDATE tokens SET user_failures = 0 WHERE id = $1 AND user_pin = $2`,
		`UPDATE tokens SET user_pin = $1, user_failures = 0 WHERE id = $2`,
	},
}

// CountAttempt counts a failed attempt before the PIN is checked, so that no
// crash makes it free, and gives the PIN to check against. At the limit there
// is none: CKR_PIN_LOCKED.
func (s *Store) CountAttempt(ctx context.Context, token ID, u ck.UserType, limit int) (p PIN, err error) {
	err = s.writer.do(ctx, func(t *tx) error {
		tok, err := t.token(token)
		if err != nil {
			return err
		}
		t.touch(touchedToken, token)
		n, err := t.exec(pinColumns[u].count, token[:], limit)
		if err == nil && n == 0 {
			err = fmt.Errorf("PIN of %v after %d failed attempts: %w", u, tok.PINOf(u).Failures, ck.CKR_PIN_LOCKED)
		}
		p = tok.PINOf(u)
		return err
	})
	return p, err
}

// Settle takes back the failed attempts after a success, and opens a login
// unless l has no id. hash is what the PIN was checked against.
func (s *Store) Settle(ctx context.Context, token ID, u ck.UserType, hash string, l Login) error {
	return s.writer.do(ctx, func(t *tx) error {
		tok, err := t.token(token)
		if err != nil {
			return err
		}
		t.touch(touchedToken, token)
		n, err := t.exec(pinColumns[u].settle, token[:], hash)
		if err == nil && n == 0 {
			err = errPINChanged
		}
		if err != nil || l.ID == (ID{}) {
			return err
		}
		return t.insertLogin(tok, l)
	})
}

func (t *tx) insertLogin(tok Token, l Login) error {
	_, err := t.exec(`INSERT INTO logins (id, token, role, until) VALUES ($1, $2, $3, $4)`,
		l.ID[:], tok.Number, uint64(l.User), l.Until.Unix())
	return err
}

// ChangePIN sets a PIN, forgets its failed attempts and ends the logins made
// with the old one; l is the only one after it, unless it has no id. hash is
// what the old PIN was checked against; empty: it was not.
func (s *Store) ChangePIN(ctx context.Context, token ID, u ck.UserType, hash, changed string, l Login) error {
	return s.writer.do(ctx, func(t *tx) error {
		tok, err := t.token(token)
		if err != nil {
			return err
		}
		if hash != "" && tok.PINOf(u).Hash != hash {
			return errPINChanged
		}
		t.touch(touchedAll, ID{})
		if _, err := t.exec(pinColumns[u].change, changed, token[:]); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM logins WHERE token = $1 AND role = $2`, tok.Number, uint64(u)); err != nil {
			return err
		}
		if l.ID == (ID{}) {
			return nil
		}
		return t.insertLogin(tok, l)
	})
}

// Login finds a login that was not ended; any other is CKR_USER_NOT_LOGGED_IN.
func (s *Store) Login(ctx context.Context, id ID) (Login, error) {
	l, err := s.logins.get(id, func() (Login, bool, error) {
		l := Login{ID: id}
		var token []byte
		var until int64
		err := s.db.row(ctx, `SELECT t.id, l.role, l.until FROM logins l, tokens t WHERE l.id = $1 AND t.number = l.token`,
			id[:])(&token, (*uint64)(&l.User), &until)
		if err != nil {
			return l, false, noLogin(err)
		}
		l.Until = time.Unix(until, 0)
		l.Token, err = ParseID(token)
		return l, true, err
	})
	if err == nil && time.Now().After(l.Until) {
		return Login{}, noLogin(sql.ErrNoRows)
	}
	return l, err
}

func noLogin(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the login was ended: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	return explain(err)
}

// ExtendLogin moves a login's end.
func (s *Store) ExtendLogin(ctx context.Context, id ID, until time.Time) error {
	return s.writer.do(ctx, func(t *tx) error {
		t.touch(touchedLogin, id)
		n, err := t.exec(`UPDATE logins SET until = $1 WHERE id = $2`, until.Unix(), id[:])
		if err == nil && n == 0 {
			err = noLogin(sql.ErrNoRows)
		}
		return err
	})
}

// EndLogin ends a login, if it is not ended already.
func (s *Store) EndLogin(ctx context.Context, id ID) error {
	return s.writer.do(ctx, func(t *tx) error {
		t.touch(touchedLogin, id)
		_, err := t.exec(`DELETE FROM logins WHERE id = $1`, id[:])
		return err
	})
}
