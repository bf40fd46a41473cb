package access

import (
	"context"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// OpenLogin checks a PIN and gives a credential. For CKU_CONTEXT_SPECIFIC it
// checks the PIN of the caller's own role and gives none.
func (c *Control) OpenLogin(ctx context.Context, caller Caller, token keystore.ID, u ck.UserType, pin ck.Secret) ([]byte, error) {
	if u == ck.CKU_CONTEXT_SPECIFIC {
		return nil, c.again(ctx, caller, token, pin)
	}
	if err := checkUser(u); err != nil {
		return nil, err
	}
	l := newLogin(token, u)
	err := c.attempt(ctx, token, u, pin, func(hash string) error { return c.store.Settle(ctx, token, u, hash, l) })
	if err != nil {
		return nil, err
	}
	return c.issue(l.ID), nil
}

func (c *Control) again(ctx context.Context, caller Caller, token keystore.ID, pin ck.Secret) error {
	if !caller.LoggedIn || caller.Token != token {
		return fmt.Errorf("context login without a login: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	return c.attempt(ctx, token, caller.User, pin, func(hash string) error {
		return c.store.Settle(ctx, token, caller.User, hash, keystore.Login{})
	})
}

func newLogin(token keystore.ID, u ck.UserType) keystore.Login {
	return keystore.Login{ID: keystore.NewID(), Token: token, User: u, Until: time.Now().Add(renewable)}
}

// Renew gives a fresh credential for one whose login was not ended, however
// old it is.
func (c *Control) Renew(ctx context.Context, sealed []byte) ([]byte, error) {
	cred, err := c.open(sealed)
	if err != nil {
		return nil, err
	}
	l, err := c.store.Login(ctx, cred.login)
	if err != nil {
		return nil, err
	}
	// A day more or less does not matter, but each move is a write; one that an
	// outage of the database holds up is made at the next renewal.
	until := time.Now().Add(renewable)
	if until.Sub(l.Until) > 24*time.Hour {
		err := c.store.ExtendLogin(ctx, l.ID, until)
		if err != nil && ck.RVOf(err) != ck.CKR_DEVICE_ERROR {
			return nil, err
		}
	}
	return c.issue(l.ID), nil
}

// CloseLogin ends a login; one that is ended already stays so.
func (c *Control) CloseLogin(ctx context.Context, sealed []byte) error {
	cred, err := c.open(sealed)
	if err != nil {
		return err
	}
	return c.store.EndLogin(ctx, cred.login)
}

// InitPIN sets the user's PIN; the caller is the token's SO. Logins of the
// user end, and a locked PIN is open again.
func (c *Control) InitPIN(ctx context.Context, caller Caller, pin ck.Secret) error {
	if !caller.SOOf(caller.Token) {
		return fmt.Errorf("only the SO sets the user's PIN: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	hash, err := c.hashNew(ctx, pin)
	if err != nil {
		return err
	}
	return c.store.ChangePIN(ctx, caller.Token, ck.CKU_USER, "", hash, keystore.Login{})
}

// SetPIN changes a PIN after checking the old one, and ends all logins made
// with it. A caller that was logged in so gets a credential of a new login.
func (c *Control) SetPIN(ctx context.Context, caller Caller, token keystore.ID, u ck.UserType, old, pin ck.Secret) ([]byte, error) {
	if err := checkUser(u); err != nil {
		return nil, err
	}
	changed, err := c.hashNew(ctx, pin)
	if err != nil {
		return nil, err
	}
	var l keystore.Login
	if caller.is(token, u) {
		l = newLogin(token, u)
	}
	err = c.attempt(ctx, token, u, old, func(hash string) error {
		return c.store.ChangePIN(ctx, token, u, hash, changed, l)
	})
	if err != nil || l.ID == (keystore.ID{}) {
		return nil, err
	}
	return c.issue(l.ID), nil
}

func (c *Control) hashNew(ctx context.Context, pin ck.Secret) (string, error) {
	if err := checkLen(pin); err != nil {
		return "", err
	}
	return c.hash(ctx, pin)
}
