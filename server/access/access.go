// Package access decides who may do what: who the peer is, PINs and their
// attempt counters, and the logins that credentials stand for.
package access

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// Control checks PINs and credentials against a store. All methods may be
// called by many goroutines.
type Control struct{}

// New makes a Control over a store.
func New(store *keystore.Store) *Control { return &Control{} }

// Caller is who makes a request. The zero Caller is not logged in.
type Caller struct {
	Token    keystore.ID
	User     ck.UserType // CKU_SO or CKU_USER; of meaning only when LoggedIn
	Login    keystore.ID
	LoggedIn bool
}

// Check opens a credential; an empty one is the zero Caller. A credential that
// has to be renewed is CKR_USER_NOT_LOGGED_IN and wire.IsTransient, a void one
// is CKR_USER_NOT_LOGGED_IN.
func (c *Control) Check(ctx context.Context, credential []byte) (Caller, error) {
	return Caller{}, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// User tells whether the caller is logged in to a token as its user.
func (c Caller) UserOf(token keystore.ID) bool {
	return c.LoggedIn && c.User == ck.CKU_USER && c.Token == token
}

// SOOf tells whether the caller is logged in to a token as its security officer.
func (c Caller) SOOf(token keystore.ID) bool {
	return c.LoggedIn && c.User == ck.CKU_SO && c.Token == token
}

// MaySee tells whether an object exists for the caller: private ones do for
// the token's user alone. PKCS#11 v3.2 §4.4.
func (c Caller) MaySee(o *keystore.Object) bool { return !o.Private || c.UserOf(o.Token) }
