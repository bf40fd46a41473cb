package grep11client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// Token is a token of a service together with this process's login to it.
type Token struct {
	c     *Client
	id    []byte
	login atomic.Pointer[credential]
	renew sync.Mutex // one renewal at a time; held across the network by renewals only
}

// credential is a sealed proof of login; it is a secret, and expires.
type credential struct{ sealed ck.Secret }

// logoutPatience is how long a logout waits for the service to hear of it.
const logoutPatience = 500 * time.Millisecond

// Token gives the handle through which one token is used. Each carries its own
// login.
func (c *Client) Token(id []byte) *Token { return &Token{c: c, id: id} }

// call sends a request with the token and its login. A login that has expired
// is renewed, and the request repeated, once.
func (t *Token) call(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
	login := t.login.Load()
	resp, err := t.callAs(ctx, login, req)
	if login == nil || !errors.Is(err, ck.CKR_USER_NOT_LOGGED_IN) || !wire.IsTransient(err) {
		return resp, err
	}
	if login = t.renewed(ctx, login); login == nil {
		return nil, err
	}
	return t.callAs(ctx, login, req)
}

func (t *Token) callAs(ctx context.Context, login *credential, req *extpb.Request) (*extpb.Response, error) {
	req.Token = t.id
	req.Credential = nil
	if login != nil {
		req.Credential = login.sealed
	}
	return t.c.ask(ctx, req)
}

// renewed replaces an expired login, unless another call has done so already.
// It gives nil where the service does not renew it any more.
func (t *Token) renewed(ctx context.Context, old *credential) *credential {
	t.renew.Lock()
	defer t.renew.Unlock()
	if now := t.login.Load(); now != old {
		return now
	}
	resp, err := t.callAs(ctx, nil, &extpb.Request{Call: &extpb.Request_RenewLogin{
		RenewLogin: &extpb.RenewLoginRequest{Credential: old.sealed}}})
	if err != nil {
		return nil
	}
	fresh := &credential{resp.GetRenewLogin().GetCredential()}
	if !t.login.CompareAndSwap(old, fresh) {
		return t.login.Load() // a logout came between
	}
	return fresh
}

// Login opens a login, and keeps it alive until Logout. C_Login.
func (t *Token) Login(ctx context.Context, user ck.UserType, pin ck.Secret) error {
	sealed, err := t.openLogin(ctx, user, pin)
	if err != nil {
		return err
	}
	t.login.Store(&credential{sealed})
	return nil
}

func (t *Token) openLogin(ctx context.Context, user ck.UserType, pin ck.Secret) (ck.Secret, error) {
	resp, err := t.callAs(ctx, nil, &extpb.Request{Call: &extpb.Request_OpenLogin{
		OpenLogin: &extpb.OpenLoginRequest{Token: t.id, User: uint64(user), Pin: pin}}})
	return resp.GetOpenLogin().GetCredential(), err
}

// Logout makes the login void. It succeeds at once, whatever the network does:
// a service that is not connected or does not answer soon finds out when the
// credential expires.
func (t *Token) Logout(ctx context.Context) error {
	login := t.login.Swap(nil)
	if login == nil || t.c.live() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, logoutPatience)
	defer cancel()
	_, _ = t.callAs(ctx, login, &extpb.Request{Call: &extpb.Request_CloseLogin{
		CloseLogin: &extpb.CloseLoginRequest{Credential: login.sealed}}})
	return nil
}

// CheckPIN checks the PIN of the login that the token has (context login).
func (t *Token) CheckPIN(ctx context.Context, pin ck.Secret) error {
	_, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_OpenLogin{
		OpenLogin: &extpb.OpenLoginRequest{Token: t.id, User: uint64(ck.CKU_CONTEXT_SPECIFIC), Pin: pin}}})
	return err
}

// InitPIN sets the user PIN; the login must be the SO's.
func (t *Token) InitPIN(ctx context.Context, pin ck.Secret) error {
	_, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_InitPin{InitPin: &extpb.InitPinRequest{Pin: pin}}})
	return err
}

// SetPIN changes a PIN and keeps the own login valid.
func (t *Token) SetPIN(ctx context.Context, user ck.UserType, old, new ck.Secret) error {
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_SetPin{SetPin: &extpb.SetPinRequest{
		Token: t.id, User: uint64(user), OldPin: old, NewPin: new}}})
	if err != nil {
		return err
	}
	if sealed := resp.GetSetPin().GetCredential(); len(sealed) > 0 && t.login.Load() != nil {
		t.login.Store(&credential{sealed})
	}
	return nil
}
