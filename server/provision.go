package server

import (
	"context"
	"crypto/rand"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// EnsureToken makes a token with a user PIN, unless one of the label is there.
// For services that set themselves up.
func (s *Server) EnsureToken(ctx context.Context, label string, soPIN, userPIN ck.Secret) error {
	ctx = access.WithIdentity(ctx, access.Identity{Name: "provision", Admin: true})
	list, err := s.ext.listTokens(ctx, access.Caller{}, &extpb.ListTokensRequest{})
	if err != nil {
		return err
	}
	for _, t := range list.Tokens {
		if t.Label == label && t.UserPinInitialized {
			return nil
		}
		if t.Label == label {
			return s.setUserPIN(ctx, t.Id, soPIN, userPIN)
		}
	}
	request := make([]byte, 16)
	rand.Read(request)
	made, err := s.ext.initToken(ctx, access.Caller{}, &extpb.InitTokenRequest{RequestId: request, Label: label, SoPin: soPIN})
	if err != nil {
		return err
	}
	return s.setUserPIN(ctx, made.Token.Id, soPIN, userPIN)
}

func (s *Server) setUserPIN(ctx context.Context, token []byte, soPIN, userPIN ck.Secret) error {
	login, err := s.ext.openLogin(ctx, access.Caller{}, &extpb.OpenLoginRequest{Token: token, User: uint64(ck.CKU_SO), Pin: soPIN})
	if err != nil {
		return err
	}
	so, err := s.ext.access.Check(ctx, login.Credential)
	if err != nil {
		return err
	}
	if _, err := s.ext.initPin(ctx, so, &extpb.InitPinRequest{Pin: userPIN}); err != nil {
		return err
	}
	_, err = s.ext.closeLogin(ctx, so, &extpb.CloseLoginRequest{Credential: login.Credential})
	return err
}
