package grep11client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// CryptoUnit is a crypto unit as its server describes it to administrators.
// What counts is what the unit itself answers, signed.
type CryptoUnit struct {
	UnitStatus
	Administered bool
	Module       []byte
	Flags        ck.Flags // CK_IBM_DOM_*
	Next         []byte   // pattern of the new master key
}

// CryptoUnits lists the crypto units of the server that the client has a
// connection to. With several servers, use a client with one endpoint.
func (c *Client) CryptoUnits(ctx context.Context) ([]CryptoUnit, error) {
	out := &extpb.ListCryptoUnitsResponse{}
	if err := c.invoke(ctx, extpb.Admin_ListCryptoUnits_FullMethodName, &extpb.ListCryptoUnitsRequest{}, out); err != nil {
		return nil, err
	}
	var units []CryptoUnit
	for _, u := range out.Units {
		units = append(units, CryptoUnit{
			UnitStatus:   UnitStatus{Name: u.Name, Zone: u.Zone, Kind: u.Kind, Healthy: u.Healthy, Detail: u.Detail, WrappingKey: u.Current},
			Administered: u.Administered, Module: u.Module, Flags: ck.Flags(u.Flags), Next: u.Next,
		})
	}
	return units, nil
}

// ExecuteAdmin gives a block to a crypto unit. It is sent once: a repeat
// would be refused as a replay.
func (c *Client) ExecuteAdmin(ctx context.Context, unit string, block, signatures []byte) (response, signature []byte, err error) {
	out := &extpb.ExecuteAdminResponse{}
	err = c.invoke(ctx, extpb.Admin_ExecuteAdmin_FullMethodName,
		&extpb.ExecuteAdminRequest{Unit: unit, Block: block, Signatures: signatures}, out)
	return out.Block, out.Signature, err
}

// Rewrapped is what a batch of RewrapStore came to.
type Rewrapped struct{ Seen, Left, Rewrapped, Foreign, Next uint64 }

// RewrapStore seals a batch of stored keys under the new master key, or only
// counts those that are not.
func (c *Client) RewrapStore(ctx context.Context, pattern []byte, after uint64, count bool) (Rewrapped, error) {
	out := &extpb.RewrapStoreResponse{}
	err := c.invoke(ctx, extpb.Admin_RewrapStore_FullMethodName,
		&extpb.RewrapStoreRequest{Pattern: pattern, After: after, CountOnly: count}, out)
	return Rewrapped{out.Seen, out.Left, out.Rewrapped, out.Foreign, out.Next}, err
}

// DrainUnit takes a crypto unit out of its server's service, or back in, and
// tells how many requests are inside it.
func (c *Client) DrainUnit(ctx context.Context, unit string, drained bool) (load uint64, err error) {
	out := &extpb.DrainUnitResponse{}
	err = c.invoke(ctx, extpb.Admin_DrainUnit_FullMethodName, &extpb.DrainUnitRequest{Unit: unit, Drained: drained}, out)
	return out.Load, err
}

// RetainedKey is a key that CKM_IBM_RETAINKEY moved into the service.
type RetainedKey struct {
	ID         []byte // the first 16 bytes of its handle
	Class      ck.ObjectClass
	Type       ck.KeyType
	CheckValue []byte // of a secret key
	Detail     string // why class and type are not known
	Credits    uint64 // uses left, unless Unlimited
	Unlimited  bool
	Made       time.Time
}

// Retained lists all retained keys of the service.
func (c *Client) Retained(ctx context.Context) (keys []RetainedKey, err error) {
	for after, more := uint64(0), true; more; {
		out := &extpb.ListRetainedResponse{}
		if err := c.invoke(ctx, extpb.Admin_ListRetained_FullMethodName, &extpb.ListRetainedRequest{After: after}, out); err != nil {
			return nil, err
		}
		for _, k := range out.Keys {
			keys = append(keys, RetainedKey{ID: k.Id, Class: ck.ObjectClass(k.Class), Type: ck.KeyType(k.KeyType), CheckValue: k.CheckValue,
				Detail: k.Detail, Credits: k.Credits, Unlimited: k.Unlimited, Made: time.Unix(k.Made, 0)})
		}
		after, more = out.Next, out.Next != 0
	}
	return keys, nil
}

// RemoveRetained ends a retained key.
func (c *Client) RemoveRetained(ctx context.Context, id []byte) error {
	return c.invoke(ctx, extpb.Admin_RemoveRetained_FullMethodName, &extpb.RemoveRetainedRequest{Id: id}, &extpb.RemoveRetainedResponse{})
}

// invoke makes a unary call that no stream carries, once.
func (c *Client) invoke(ctx context.Context, method string, in, out proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Generate)
	defer cancel()
	b := c.newBudget(ctx, &extpb.Request{})
	l, err := c.pick(ctx, &b)
	if err != nil {
		return err
	}
	l.calls.enter(0)
	defer l.calls.leave()
	if ctx, err = c.bearer.on(ctx); err != nil {
		return err
	}
	if err := l.conn.Invoke(ctx, method, in, out); err != nil {
		return fmt.Errorf("%s: %w", l.ep.Address, wire.DecodeStatus(err))
	}
	return nil
}
