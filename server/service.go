package server

import (
	"context"

	"grep11/grep11client/extpb"
	"grep11/server/access"
)

// Version of the service, set at the link.
var Version = "devel"

// Lengths of PINs, in bytes.
const (
	pinMinBytes = 4
	pinMaxBytes = 255
)

// GetService says what the service is and can do.
func (c *call) GetService(context.Context, *extpb.GetServiceRequest) (*extpb.GetServiceResponse, error) {
	out := &extpb.GetServiceResponse{Version: Version, PinMinBytes: pinMinBytes, PinMaxBytes: pinMaxBytes}
	for _, u := range c.srv.units.Units() {
		out.Units = append(out.Units, &extpb.UnitStatus{
			Name: u.Name, Zone: u.Zone, Kind: u.Kind, Healthy: u.Healthy, Detail: u.Detail, WrappingKey: u.WrappingKey,
			Drained: u.Drained, Load: uint64(u.Load),
		})
	}
	for _, row := range c.srv.units.Mechanisms() {
		out.Mechanisms = append(out.Mechanisms, &extpb.MechanismDetail{Mechanism: uint64(row.Type), Info: mechanismInfo(row)})
	}
	return out, nil
}

// caller is who the request's credential stands for.
func (c *call) caller(ctx context.Context) (access.Caller, error) {
	if len(c.credential) == 0 {
		return access.Caller{}, nil
	}
	return c.srv.ext.access.Check(ctx, c.credential)
}

// storedKey is the blob of a stored key that the caller may use.
func (c *call) storedKey(ctx context.Context, id []byte) ([]byte, error) {
	caller, err := c.caller(ctx)
	if err != nil {
		return nil, err
	}
	return c.srv.ext.storedKey(ctx, caller, c.token, id)
}
