package keystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
)

// PIN is what the store knows of one user's PIN.
type PIN struct {
	Hash     string // encoded with its parameters; empty: not initialised
	Failures int    // attempts since the last success, counted before the check
}

// Token is a token without its objects.
type Token struct {
	ID       ID
	Number   uint64 // order of creation, from 0; never used again
	Label    string
	Serial   string // 16 hexadecimal digits
	SO, User PIN
}

// PINOf is the PIN of CKU_SO or CKU_USER.
func (t Token) PINOf(u ck.UserType) PIN {
	if u == ck.CKU_SO {
		return t.SO
	}
	return t.User
}

const selectToken = `SELECT id, number, label, serial, so_pin, so_failures, user_pin, user_failures FROM tokens `

func scanToken(scan scanner) (t Token, err error) {
	var id []byte
	if err = scan(&id, &t.Number, &t.Label, &t.Serial, &t.SO.Hash, &t.SO.Failures, &t.User.Hash, &t.User.Failures); err != nil {
		return Token{}, err
	}
	t.ID, err = ParseID(id)
	return t, err
}

// Tokens lists all tokens in order of creation, and the number the next will have.
func (s *Store) Tokens(ctx context.Context) (tokens []Token, next uint64, err error) {
	rows, err := s.db.rows(ctx, selectToken+`ORDER BY number`)
	if err != nil {
		return nil, 0, explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		t, err := scanToken(rows.Scan)
		if err != nil {
			return nil, 0, explain(err)
		}
		tokens = append(tokens, t)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, explain(err)
	}
	err = s.db.row(ctx, `SELECT next_token FROM service`)(&next)
	return tokens, next, explain(err)
}

// Token reads one token; an unknown one is CKR_TOKEN_NOT_RECOGNIZED.
func (s *Store) Token(ctx context.Context, id ID) (Token, error) {
	return s.tokens.get(id, func() (Token, bool, error) {
		t, err := scanToken(s.db.row(ctx, selectToken+`WHERE id = $1`, id[:]))
		return t, true, noToken(id, err)
	})
}

func noToken(id ID, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("token %x is not here: %w", id[:], ck.CKR_TOKEN_NOT_RECOGNIZED)
	}
	return explain(err)
}

func (t *tx) token(id ID) (Token, error) {
	tok, err := scanToken(func(into ...any) error { return t.row(selectToken+`WHERE id = $1`, []any{id[:]}, into...) })
	return tok, noToken(id, err)
}

// CreateToken stores a new token, gives it the next number, and gives the id
// of the token that the request made.
func (s *Store) CreateToken(ctx context.Context, r Request, tok Token) (ID, error) {
	result, err := s.once(ctx, r, func(t *tx) ([]byte, error) {
		var err error
		if tok.Number, err = t.nextToken(0); err != nil {
			return nil, err
		}
		return tok.ID[:], t.insertToken(tok)
	})
	if err != nil {
		return ID{}, err
	}
	return ParseID(result)
}

// nextToken gives a number that no token ever had: the one wanted, if it is
// still to come, or the next.
func (t *tx) nextToken(wanted uint64) (number uint64, err error) {
	if err := t.row(`SELECT next_token FROM service`, nil, &number); err != nil {
		return 0, err
	}
	number = max(number, wanted)
	_, err = t.exec(`UPDATE service SET next_token = $1`, number+1)
	return number, err
}

func (t *tx) insertToken(tok Token) error {
	_, err := t.exec(`INSERT INTO tokens (id, number, label, serial, so_pin, so_failures, user_pin, user_failures)
		VALUES ($1, $2, $3, $4, $5, 0, $6, 0)`, tok.ID[:], tok.Number, tok.Label, tok.Serial, tok.SO.Hash, tok.User.Hash)
	return err
}

// ResetToken empties a token and names it anew: its objects, logins and user
// PIN are gone. soPIN is the hash that the SO PIN was checked against.
func (s *Store) ResetToken(ctx context.Context, r Request, label, soPIN string) error {
	_, err := s.once(ctx, r, func(t *tx) ([]byte, error) {
		old, err := t.token(r.Token)
		if err != nil {
			return nil, err
		}
		if old.SO.Hash != soPIN {
			return nil, errPINChanged
		}
		if err := t.empty(old); err != nil {
			return nil, err
		}
		_, err = t.exec(`UPDATE tokens SET label = $1, so_failures = 0, user_pin = '', user_failures = 0 WHERE id = $2`,
			label, r.Token[:])
		return nil, err
	})
	return err
}

// DeleteToken removes a token and all that is in it.
func (s *Store) DeleteToken(ctx context.Context, r Request) error {
	_, err := s.once(ctx, r, func(t *tx) ([]byte, error) {
		old, err := t.token(r.Token)
		if err != nil {
			return nil, err
		}
		if err := t.empty(old); err != nil {
			return nil, err
		}
		_, err = t.exec(`DELETE FROM tokens WHERE id = $1`, old.ID[:])
		return nil, err
	})
	return err
}

// empty removes a token's objects and logins.
func (t *tx) empty(tok Token) error {
	t.touch(touchedAll, ID{})
	for _, q := range []string{
		`DELETE FROM objects WHERE token = $1`,
		`DELETE FROM marks WHERE token = $1`,
		`DELETE FROM logins WHERE token = $1`,
	} {
		if _, err := t.exec(q, tok.Number); err != nil {
			return err
		}
	}
	return nil
}
