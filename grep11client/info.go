package grep11client

import (
	"context"
	"errors"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/local"
	"grep11/pkcs11/ck"
)

// TokenInfo is a token as the service lists it. Number is the order of
// creation, from 0. Flags holds the CKF_ bits of PIN counters and
// CKF_USER_PIN_INITIALIZED.
type TokenInfo struct {
	ID     []byte
	Number uint64
	Label  string
	Serial string
	Flags  ck.Flags
}

// Service is what a service says of itself.
type Service struct {
	Version                  string
	Mechanisms               []MechanismDetail
	Units                    []UnitStatus
	PINMinBytes, PINMaxBytes uint64
}

// MechanismDetail is a mechanism of the service.
type MechanismDetail struct {
	Type ck.MechanismType
	Info ck.MechanismInfo
}

// UnitStatus is a crypto unit of the service; Detail says why it is not healthy.
type UnitStatus struct {
	Name, Zone, Kind string
	Healthy          bool
	Detail           string
	WrappingKey      []byte
	Drained          bool   // gets no new requests
	Load             uint64 // requests inside it, or waiting for it
}

// Tokens lists the service's tokens in order of creation, and the number the
// next one will have.
func (c *Client) Tokens(ctx context.Context) (tokens []TokenInfo, next uint64, err error) {
	resp, err := c.ask(ctx, &extpb.Request{Call: &extpb.Request_ListTokens{ListTokens: &extpb.ListTokensRequest{}}})
	if err != nil {
		return nil, 0, err
	}
	list := resp.GetListTokens()
	for _, t := range list.Tokens {
		tokens = append(tokens, tokenInfo(t))
	}
	return tokens, list.NextNumber, nil
}

func tokenInfo(t *extpb.TokenInfo) TokenInfo {
	flags := ck.Flags(t.GetFlags())
	if t.GetUserPinInitialized() {
		flags |= ck.CKF_USER_PIN_INITIALIZED
	}
	return TokenInfo{ID: t.GetId(), Number: t.GetNumber(), Label: t.GetLabel(), Serial: t.GetSerial(), Flags: flags}
}

// Service asks what the service is and can do.
func (c *Client) Service(ctx context.Context) (Service, error) {
	resp, err := c.call(ctx, &extpb.Request{Call: &extpb.Request_GetService{GetService: &extpb.GetServiceRequest{}}})
	if errors.Is(err, ck.CKR_FUNCTION_NOT_SUPPORTED) {
		return c.plainService(ctx)
	}
	if err != nil {
		return Service{}, err
	}
	w := resp.GetGetService()
	s := Service{Version: w.Version, PINMinBytes: w.PinMinBytes, PINMaxBytes: w.PinMaxBytes}
	for _, m := range w.Mechanisms {
		s.Mechanisms = append(s.Mechanisms, mechanismDetail(m.Mechanism, m.Info))
	}
	for _, u := range w.Units {
		s.Units = append(s.Units, UnitStatus{Name: u.Name, Zone: u.Zone, Kind: u.Kind, Healthy: u.Healthy, Drained: u.Drained, Load: u.Load,
			Detail: u.Detail, WrappingKey: u.WrappingKey})
	}
	return s, nil
}

// plainService asks a server that has only grep11.Crypto.
func (c *Client) plainService(ctx context.Context) (Service, error) {
	resp, err := c.call(ctx, &extpb.Request{Call: &extpb.Request_GetMechanismList{GetMechanismList: &grep11pb.GetMechanismListRequest{}}})
	if err != nil {
		return Service{}, err
	}
	s := Service{Version: "grep11.Crypto", PINMinBytes: local.MinPIN, PINMaxBytes: local.MaxPIN}
	for _, m := range resp.GetGetMechanismList().Mechs {
		info, err := c.call(ctx, &extpb.Request{Call: &extpb.Request_GetMechanismInfo{
			GetMechanismInfo: &grep11pb.GetMechanismInfoRequest{Mech: m}}})
		if err != nil {
			return Service{}, err
		}
		s.Mechanisms = append(s.Mechanisms, mechanismDetail(m, info.GetGetMechanismInfo().GetMechInfo()))
	}
	return s, nil
}

func mechanismDetail(m uint64, i *grep11pb.MechanismInfo) MechanismDetail {
	return MechanismDetail{ck.MechanismType(m & 0xFFFFFFFF),
		ck.MechanismInfo{MinKeySize: i.GetMinKeySize(), MaxKeySize: i.GetMaxKeySize(), Flags: ck.Flags(i.GetFlags())}}
}

// InitToken makes a token (id nil) or empties one. C_InitToken.
func (c *Client) InitToken(ctx context.Context, id []byte, label string, soPIN ck.Secret) (TokenInfo, error) {
	resp, err := c.ask(ctx, &extpb.Request{Call: &extpb.Request_InitToken{InitToken: &extpb.InitTokenRequest{
		RequestId: requestID(), Token: id, Label: label, SoPin: soPIN}}})
	return tokenInfo(resp.GetInitToken().GetToken()), err
}

// DeleteToken removes a token with all its objects.
func (c *Client) DeleteToken(ctx context.Context, id []byte) error {
	_, err := c.ask(ctx, &extpb.Request{Call: &extpb.Request_DeleteToken{DeleteToken: &extpb.DeleteTokenRequest{
		RequestId: requestID(), Token: id}}})
	return err
}
