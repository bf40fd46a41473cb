// Package access decides who may do what: who the peer is, PINs and their
// attempt counters, and the logins that credentials stand for.
package access

import (
	"context"
	"crypto/cipher"
	"runtime"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/server/keystore"
)

// Control checks PINs and credentials against a store. All methods may be
// called by many goroutines.
type Control struct {
	store  *keystore.Store
	seal   cipher.AEAD
	places chan struct{} // bounds the PIN hashes computed at the same time

	mu     sync.Mutex
	queues map[queue]*waiting // guarded by mu; only PINs under check
}

// New makes a Control over a store.
func New(store *keystore.Store) *Control {
	return &Control{
		store:  store,
		seal:   newSeal(store.ServiceKey()),
		places: make(chan struct{}, runtime.GOMAXPROCS(0)),
		queues: map[queue]*waiting{},
	}
}

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
	if len(credential) == 0 {
		return Caller{}, nil
	}
	cred, err := c.open(credential)
	if err != nil {
		return Caller{}, err
	}
	caller, err := c.live(ctx, cred)
	if err != nil {
		return Caller{}, err
	}
	return caller, cred.fresh()
}

// live asks the store whether a login was ended. The store is asked before the
// age is looked at, so that only what can be renewed is told to be.
func (c *Control) live(ctx context.Context, cred credential) (Caller, error) {
	l, err := c.store.Login(ctx, cred.login)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Token: l.Token, User: l.User, Login: l.ID, LoggedIn: true}, nil
}

// UserOf tells whether the caller is logged in to a token as its user.
func (c Caller) UserOf(token keystore.ID) bool { return c.is(token, ck.CKU_USER) }

// SOOf tells whether the caller is logged in to a token as its security officer.
func (c Caller) SOOf(token keystore.ID) bool { return c.is(token, ck.CKU_SO) }

func (c Caller) is(token keystore.ID, u ck.UserType) bool {
	return c.LoggedIn && c.User == u && c.Token == token
}

// MaySee tells whether an object exists for the caller: private ones do for
// the token's user alone. PKCS#11 v3.2 §4.4.
func (c Caller) MaySee(o *keystore.Object) bool { return !o.Private || c.UserOf(o.Token) }
