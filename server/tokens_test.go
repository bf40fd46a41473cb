package server

import (
	"testing"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
)

func (g *guest) info() *extpb.TokenInfo {
	g.t.Helper()
	list, err := g.tokens.ListTokens(g.ctx, &extpb.ListTokensRequest{})
	wantRV(g.t, err, ck.CKR_OK)
	for _, i := range list.Tokens {
		if string(i.Id) == string(g.token) {
			return i
		}
	}
	g.t.Fatalf("token is not in %v", list)
	return nil
}

func TestTokensAreListedInOrderOfCreation(t *testing.T) {
	g := newGuest(t)
	if i := g.info(); i.Number != 0 || i.Label != "a token" || len(i.Serial) != 16 || !i.UserPinInitialized {
		t.Error(i)
	}
	r := &extpb.InitTokenRequest{RequestId: newID(), Label: "second token  ", SoPin: []byte(testSOPIN)}
	for range 2 { // the second is a repeat
		made, err := g.tokens.InitToken(g.ctx, r)
		wantRV(t, err, ck.CKR_OK)
		if made.Token.Number != 1 || made.Token.Label != "second token" || made.Token.UserPinInitialized {
			t.Error(made)
		}
	}
	list, err := g.tokens.ListTokens(g.ctx, &extpb.ListTokensRequest{})
	wantRV(t, err, ck.CKR_OK)
	if len(list.Tokens) != 2 || list.NextNumber != 2 {
		t.Error(list)
	}
}

func TestInitTokenEmptiesIt(t *testing.T) {
	g := newGuest(t)
	user := g.user()
	_, err := user.makeAES(newID(), isTrue(ck.CKA_TOKEN))
	wantRV(t, err, ck.CKR_OK)
	init := func(pin string) error {
		_, err := g.tokens.InitToken(g.ctx, &extpb.InitTokenRequest{RequestId: newID(), Token: g.token, Label: "anew", SoPin: []byte(pin)})
		return err
	}
	wantRV(t, init("wrong PIN"), ck.CKR_PIN_INCORRECT)
	if i := g.info(); ck.Flags(i.Flags)&ck.CKF_SO_PIN_COUNT_LOW == 0 {
		t.Error("the failed attempt was not counted:", i)
	}
	wantRV(t, init(testSOPIN), ck.CKR_OK)
	if i := g.info(); i.Label != "anew" || i.UserPinInitialized || i.Number != 0 || ck.Flags(i.Flags)&ck.CKF_SO_PIN_COUNT_LOW != 0 {
		t.Error(i)
	}
	_, err = user.keys.FindObjects(user.ctx, &extpb.FindObjectsRequest{Token: g.token})
	wantRV(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	so := g.as(ck.CKU_SO, testSOPIN)
	_, err = so.tokens.InitPin(so.ctx, &extpb.InitPinRequest{Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_OK)
	if found := g.user().find(); len(found) != 0 {
		t.Error("still there:", found)
	}
}

func TestDeleteTokenIsForAdministratorsAndTheSO(t *testing.T) {
	g := newGuest(t)
	remove := func(g *guest) error {
		_, err := g.tokens.DeleteToken(g.ctx, &extpb.DeleteTokenRequest{RequestId: newID(), Token: g.token})
		return err
	}
	wantRV(t, remove(g), ck.CKR_ACTION_PROHIBITED)
	wantRV(t, remove(g.user()), ck.CKR_ACTION_PROHIBITED)
	wantRV(t, remove(g.as(ck.CKU_SO, testSOPIN)), ck.CKR_OK)
	_, err := g.tokens.OpenLogin(g.ctx, &extpb.OpenLoginRequest{Token: g.token, User: uint64(ck.CKU_USER), Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_TOKEN_NOT_RECOGNIZED)
}

func TestCredentialsOnTheWire(t *testing.T) {
	g := newGuest(t)
	l, err := g.tokens.OpenLogin(g.ctx, &extpb.OpenLoginRequest{Token: g.token, User: uint64(ck.CKU_USER), Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_OK)
	if l.ExpiresS != 43200 || len(l.Credential) == 0 {
		t.Error(l)
	}
	renewed, err := g.tokens.RenewLogin(g.ctx, &extpb.RenewLoginRequest{Credential: l.Credential})
	wantRV(t, err, ck.CKR_OK)
	user := g.with(renewed.Credential)
	context := func(pin string) error {
		_, err := user.tokens.OpenLogin(user.ctx, &extpb.OpenLoginRequest{Token: g.token, User: uint64(ck.CKU_CONTEXT_SPECIFIC), Pin: []byte(pin)})
		return err
	}
	wantRV(t, context(testUserPIN), ck.CKR_OK)
	wantRV(t, context("wrong"), ck.CKR_PIN_INCORRECT)
	changed, err := user.tokens.SetPin(user.ctx, &extpb.SetPinRequest{Token: g.token, User: uint64(ck.CKU_USER),
		OldPin: []byte(testUserPIN), NewPin: []byte("another PIN")})
	wantRV(t, err, ck.CKR_OK)
	wantRV(t, context("another PIN"), ck.CKR_USER_NOT_LOGGED_IN) // the old credential
	user = g.with(changed.Credential)
	if found := user.find(); len(found) != 0 {
		t.Error(found)
	}
	_, err = g.tokens.CloseLogin(g.ctx, &extpb.CloseLoginRequest{Credential: changed.Credential})
	wantRV(t, err, ck.CKR_OK)
	_, err = user.create(data(), nil)
	if d := detail(t, err); ck.RV(d.Code) != ck.CKR_USER_NOT_LOGGED_IN || d.Retry {
		t.Error("after logout:", d)
	}
	_, err = g.with([]byte("no credential")).create(data(), nil)
	wantRV(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	_, err = g.tokens.InitPin(g.ctx, &extpb.InitPinRequest{Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_USER_NOT_LOGGED_IN)
}
