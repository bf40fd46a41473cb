package server

import (
	"context"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

func (x *extension) listTokens(ctx context.Context, c access.Caller, r *extpb.ListTokensRequest) (*extpb.ListTokensResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) initToken(ctx context.Context, c access.Caller, r *extpb.InitTokenRequest) (*extpb.InitTokenResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) deleteToken(ctx context.Context, c access.Caller, r *extpb.DeleteTokenRequest) (*extpb.DeleteTokenResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) initPin(ctx context.Context, c access.Caller, r *extpb.InitPinRequest) (*extpb.InitPinResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) setPin(ctx context.Context, c access.Caller, r *extpb.SetPinRequest) (*extpb.SetPinResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) openLogin(ctx context.Context, c access.Caller, r *extpb.OpenLoginRequest) (*extpb.OpenLoginResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) renewLogin(ctx context.Context, c access.Caller, r *extpb.RenewLoginRequest) (*extpb.RenewLoginResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

func (x *extension) closeLogin(ctx context.Context, c access.Caller, r *extpb.CloseLoginRequest) (*extpb.CloseLoginResponse, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}
