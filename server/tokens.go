package server

import (
	"context"
	"fmt"
	"time"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/keystore"
)

func tokenInfo(t keystore.Token) *extpb.TokenInfo {
	return &extpb.TokenInfo{
		Id: t.ID[:], Number: t.Number, Label: t.Label, Serial: t.Serial,
		UserPinInitialized: t.User.Hash != "", Flags: uint64(access.Flags(t)),
	}
}

// request names a change, so that its repeat is answered and not done again.
func request(id []byte, method string, token keystore.ID) (keystore.Request, error) {
	i, err := keystore.ParseID(id)
	if err != nil {
		return keystore.Request{}, fmt.Errorf("request: %w", err)
	}
	return keystore.Request{ID: i, Method: method, Token: token}, nil
}

func (x *extension) listTokens(ctx context.Context, _ access.Caller, _ *extpb.ListTokensRequest) (*extpb.ListTokensResponse, error) {
	tokens, next, err := x.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &extpb.ListTokensResponse{NextNumber: next}
	for _, t := range tokens {
		out.Tokens = append(out.Tokens, tokenInfo(t))
	}
	return out, nil
}

func (x *extension) initToken(ctx context.Context, _ access.Caller, r *extpb.InitTokenRequest) (*extpb.InitTokenResponse, error) {
	var token keystore.ID
	var err error
	if len(r.Token) > 0 {
		if token, err = keystore.ParseID(r.Token); err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
	} else if err := x.mayMakeToken(ctx); err != nil {
		return nil, err
	}
	req, err := request(r.RequestId, "InitToken", token)
	if err != nil {
		return nil, err
	}
	id, err := x.access.InitToken(ctx, req, r.Label, r.SoPin)
	if err != nil {
		return nil, err
	}
	t, err := x.store.Token(ctx, id)
	return &extpb.InitTokenResponse{Token: tokenInfo(t)}, err
}

// mayMakeToken: a new token is for those whom the configuration lets make one,
// and there is a bound, for making one needs no PIN.
func (x *extension) mayMakeToken(ctx context.Context) error {
	if id := access.IdentityOf(ctx); x.onlyAdmins && !id.Admin {
		return fmt.Errorf("%q may not make tokens (auth.token_makers, auth.admins): %w", id.Name, ck.CKR_ACTION_PROHIBITED)
	}
	tokens, _, err := x.store.Tokens(ctx)
	if err == nil && len(tokens) >= x.maxTokens {
		err = fmt.Errorf("%d tokens are as many as keystore.tokens allows: %w", len(tokens), ck.CKR_DEVICE_MEMORY)
	}
	return err
}

// deleteToken is for administrators, and for the token's own SO.
func (x *extension) deleteToken(ctx context.Context, c access.Caller, r *extpb.DeleteTokenRequest) (*extpb.DeleteTokenResponse, error) {
	token, err := keystore.ParseID(r.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	req, err := request(r.RequestId, "DeleteToken", token)
	if err != nil {
		return nil, err
	}
	if id := access.IdentityOf(ctx); !id.Admin && !c.SOOf(token) {
		return nil, fmt.Errorf("%q is neither an administrator of the service nor the token's SO: %w", id.Name, ck.CKR_ACTION_PROHIBITED)
	}
	return &extpb.DeleteTokenResponse{}, x.store.DeleteToken(ctx, req)
}

func (x *extension) initPin(ctx context.Context, c access.Caller, r *extpb.InitPinRequest) (*extpb.InitPinResponse, error) {
	return &extpb.InitPinResponse{}, x.access.InitPIN(ctx, c, r.Pin)
}

func (x *extension) setPin(ctx context.Context, c access.Caller, r *extpb.SetPinRequest) (*extpb.SetPinResponse, error) {
	token, err := keystore.ParseID(r.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	credential, err := x.access.SetPIN(ctx, c, token, ck.UserType(r.User), r.OldPin, r.NewPin)
	return &extpb.SetPinResponse{Credential: credential}, err
}

const expiresSeconds = uint64(access.Lifetime / time.Second)

func (x *extension) openLogin(ctx context.Context, c access.Caller, r *extpb.OpenLoginRequest) (*extpb.OpenLoginResponse, error) {
	token, err := keystore.ParseID(r.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	credential, err := x.access.OpenLogin(ctx, c, token, ck.UserType(r.User), r.Pin)
	return &extpb.OpenLoginResponse{Credential: credential, ExpiresS: expiresSeconds}, err
}

func (x *extension) renewLogin(ctx context.Context, _ access.Caller, r *extpb.RenewLoginRequest) (*extpb.RenewLoginResponse, error) {
	credential, err := x.access.Renew(ctx, r.Credential)
	return &extpb.RenewLoginResponse{Credential: credential, ExpiresS: expiresSeconds}, err
}

func (x *extension) closeLogin(ctx context.Context, _ access.Caller, r *extpb.CloseLoginRequest) (*extpb.CloseLoginResponse, error) {
	return &extpb.CloseLoginResponse{}, x.access.CloseLogin(ctx, r.Credential)
}
