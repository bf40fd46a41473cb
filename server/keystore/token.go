package keystore

import (
	"context"

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
	Serial   string
	SO, User PIN
}

// Tokens lists all tokens in order of creation, and the number the next will have.
func (s *Store) Tokens(ctx context.Context) (tokens []Token, next uint64, err error) {
	return nil, 0, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Token reads one token; an unknown one is CKR_TOKEN_NOT_PRESENT.
func (s *Store) Token(ctx context.Context, id ID) (Token, error) {
	return Token{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}
