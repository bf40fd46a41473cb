package access

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// maxLabel is the length of CK_TOKEN_INFO's label, in bytes.
const maxLabel = 32

// InitToken makes a token (r.Token zero), or empties one, for which soPIN must
// be its SO's PIN. It gives the token's id. C_InitToken.
func (c *Control) InitToken(ctx context.Context, r keystore.Request, label string, soPIN ck.Secret) (keystore.ID, error) {
	label = strings.TrimRight(label, " ")
	if len(label) > maxLabel || !utf8.ValidString(label) || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' }) {
		return keystore.ID{}, fmt.Errorf("token label of %d bytes is not up to %d bytes of text: %w", len(label), maxLabel, ck.CKR_ARGUMENTS_BAD)
	}
	if r.Token == (keystore.ID{}) {
		return c.newToken(ctx, r, label, soPIN)
	}
	return r.Token, c.resetToken(ctx, r, label, soPIN)
}

func (c *Control) newToken(ctx context.Context, r keystore.Request, label string, soPIN ck.Secret) (keystore.ID, error) {
	hash, err := c.hashNew(ctx, soPIN)
	if err != nil {
		return keystore.ID{}, err
	}
	id := keystore.NewID()
	return c.store.CreateToken(ctx, r, keystore.Token{
		ID: id, Label: label, Serial: fmt.Sprintf("%x", id[:8]), SO: keystore.PIN{Hash: hash},
	})
}

func (c *Control) resetToken(ctx context.Context, r keystore.Request, label string, soPIN ck.Secret) error {
	if _, done, err := c.store.Result(ctx, r); done || err != nil {
		return err
	}
	return c.attempt(ctx, r.Token, ck.CKU_SO, soPIN, func(hash string) error {
		return c.store.ResetToken(ctx, r, label, hash)
	})
}
