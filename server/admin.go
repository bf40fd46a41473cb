package server

import (
	"context"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/admin"
	"grep11/server/admin/command"
)

// administered is a crypto unit whose owners administer it by signed commands.
type administered interface{ Administration() *admin.Domain }

// administrator refuses callers that the configuration does not name. Who
// may change a unit is for its own administrators' signatures to say; this keeps
// others from asking at all.
func administrator(ctx context.Context) error {
	if id := access.IdentityOf(ctx); !id.Admin {
		return fmt.Errorf("%q is not an administrator of the service (auth.admins): %w", id.Name, ck.CKR_ACTION_PROHIBITED)
	}
	return nil
}

// ListCryptoUnits shows the units as the service sees them.
func (c *call) ListCryptoUnits(ctx context.Context, _ *extpb.ListCryptoUnitsRequest) (*extpb.ListCryptoUnitsResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	out := &extpb.ListCryptoUnitsResponse{}
	for _, u := range c.srv.units.Units() {
		cu := &extpb.CryptoUnit{Name: u.Name, Zone: u.Zone, Kind: u.Kind, Healthy: u.Healthy, Detail: u.Detail,
			Current: u.WrappingKey, Next: c.srv.units.CommittedKey(u.Name)}
		if a, ok := c.srv.units.Unit(u.Name).(administered); ok && a.Administration() != nil {
			describe(cu, a.Administration().Status())
		}
		out.Units = append(out.Units, cu)
	}
	return out, nil
}

func describe(cu *extpb.CryptoUnit, s admin.Status) {
	cu.Administered = true
	cu.Module, cu.Domain = s.Module.Bytes(), s.Domain.Bytes()
	cu.Flags, cu.Administrators = s.Flags, uint32(s.Administrators)
	cu.Current, cu.Next = s.Current, s.Next
}

// ExecuteAdmin gives a block to a unit. What the unit refuses is an answer too.
func (c *call) ExecuteAdmin(ctx context.Context, r *extpb.ExecuteAdminRequest) (*extpb.ExecuteAdminResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	if len(r.Block) > command.MaxBlock || len(r.Signatures) > command.MaxSignatures {
		return nil, fmt.Errorf("block of %d bytes, signatures of %d: %w", len(r.Block), len(r.Signatures), ck.CKR_DATA_LEN_RANGE)
	}
	d, err := c.domain(r.Unit)
	if err != nil {
		return nil, err
	}
	block, signature, err := d.Execute(ctx, r.Block, r.Signatures)
	if err != nil {
		return nil, fmt.Errorf("crypto unit %q: %w", r.Unit, err)
	}
	c.srv.units.Recheck(ctx, r.Unit)
	return &extpb.ExecuteAdminResponse{Block: block, Signature: signature}, nil
}

func (c *call) domain(name string) (*admin.Domain, error) {
	u := c.srv.units.Unit(name)
	if u == nil {
		return nil, fmt.Errorf("no crypto unit is called %q: %w", name, ck.CKR_ARGUMENTS_BAD)
	}
	if a, ok := u.(administered); ok && a.Administration() != nil {
		return a.Administration(), nil
	}
	return nil, fmt.Errorf("crypto unit %q takes no administration commands: %w", name, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

// DrainUnit is for whoever has work to do on a unit.
func (c *call) DrainUnit(ctx context.Context, r *extpb.DrainUnitRequest) (*extpb.DrainUnitResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	load, err := c.srv.units.Drain(r.Unit, r.Drained)
	if err != nil {
		return nil, err
	}
	return &extpb.DrainUnitResponse{Load: uint64(load)}, nil
}
