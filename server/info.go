package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// maxRandom is the documented limit of one request (grep11-wire 2.1).
const maxRandom = 1_000_000

func (c *call) GenerateRandom(ctx context.Context, r *pb.GenerateRandomRequest) (*pb.GenerateRandomResponse, error) {
	if r.Len == 0 || r.Len > maxRandom {
		return nil, fmt.Errorf("%d random bytes instead of 1 to %d: %w", r.Len, maxRandom, ck.CKR_ARGUMENTS_BAD)
	}
	out, err := onUnit(ctx, c, func(u unit.Unit) ([]byte, error) { return u.GenerateRandom(ctx, int(r.Len)) })
	return &pb.GenerateRandomResponse{Rnd: out}, err
}

func (c *call) GetMechanismList(context.Context, *pb.GetMechanismListRequest) (*pb.GetMechanismListResponse, error) {
	out := &pb.GetMechanismListResponse{}
	for _, row := range c.srv.units.Mechanisms() {
		out.Mechs = append(out.Mechs, uint64(row.Type))
	}
	return out, nil
}

func (c *call) GetMechanismInfo(_ context.Context, r *pb.GetMechanismInfoRequest) (*pb.GetMechanismInfoResponse, error) {
	t := ck.MechanismType(uint32(r.Mech)) // clients send sign-extended numbers
	row := c.offered(t)
	if row == nil {
		return nil, fmt.Errorf("mechanism %v: %w", t, ck.CKR_MECHANISM_INVALID)
	}
	return &pb.GetMechanismInfoResponse{MechInfo: mechanismInfo(row)}, nil
}

// offered is a mechanism's row if the units have it.
func (c *call) offered(t ck.MechanismType) *mech.Row {
	for _, row := range c.srv.units.Mechanisms() {
		if row.Type == t {
			return row
		}
	}
	return nil
}

func mechanismInfo(row *mech.Row) *pb.MechanismInfo {
	i := row.Info()
	return &pb.MechanismInfo{MinKeySize: i.MinKeySize, MaxKeySize: i.MaxKeySize, Flags: uint64(i.Flags)}
}

// GetAttributeValue fails as a whole when one attribute may not be read or is
// unknown: GREP11 cannot carry an answer beside an error (grep11-wire 13.3).
func (c *call) GetAttributeValue(ctx context.Context, r *pb.GetAttributeValueRequest) (*pb.GetAttributeValueResponse, error) {
	blob, err := c.object(ctx, r.Object)
	if err != nil {
		return nil, err
	}
	wanted := wantedTypes(r)
	t, err := onUnit(ctx, c, func(u unit.Unit) (ck.Template, error) { return u.Attributes(ctx, blob, wanted) })
	if err != nil {
		return nil, err
	}
	m, err := wire.EncodeTemplate(t)
	return &pb.GetAttributeValueResponse{Attributes: m, AttributesBytes: plainBytes(m)}, err
}

// object is the blob whose attributes a request is about.
func (c *call) object(ctx context.Context, given []byte) (unit.Blob, error) {
	if err := needBlob(given); err != nil || !isRetained(given) {
		return given, err
	}
	k, err := c.srv.ext.store.Retained(ctx, given)
	return k.Blob, err
}

func needBlob(object []byte) error {
	if len(object) == 0 {
		return fmt.Errorf("no key in the request: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	return nil
}

// wantedTypes are the keys of either map, reduced to 32 bits.
func wantedTypes(r *pb.GetAttributeValueRequest) []ck.AttributeType {
	seen := map[ck.AttributeType]bool{}
	for t := range r.Attributes {
		seen[ck.AttributeType(uint32(t))] = true
	}
	for t := range r.AttributesBytes {
		seen[ck.AttributeType(uint32(t))] = true
	}
	wanted := make([]ck.AttributeType, 0, len(seen))
	for t := range seen {
		wanted = append(wanted, t)
	}
	slices.Sort(wanted)
	return wanted
}

// plainBytes is the second form of the answer: a Boolean is one byte, an
// integer eight, big-endian.
func plainBytes(m wire.Attributes) map[uint64][]byte {
	out := make(map[uint64][]byte, len(m))
	for t, v := range m {
		switch v := v.OneAttr.(type) {
		case *pb.AttributeValue_AttributeB:
			out[t] = v.AttributeB
		case *pb.AttributeValue_AttributeI:
			out[t] = binary.BigEndian.AppendUint64(nil, uint64(v.AttributeI))
		case *pb.AttributeValue_AttributeTF:
			out[t] = []byte{0}
			if v.AttributeTF {
				out[t][0] = 1
			}
		}
	}
	return out
}

func (c *call) SetAttributeValue(ctx context.Context, r *pb.SetAttributeValueRequest) (*pb.SetAttributeValueResponse, error) {
	blob, err := c.object(ctx, r.Object)
	if err != nil {
		return nil, err
	}
	t, err := wire.DecodeTemplate(r.Attributes)
	if err != nil {
		return nil, err
	}
	k, err := onUnit(ctx, c, func(u unit.Unit) (unit.Key, error) { return u.SetAttributes(ctx, blob, t) })
	return &pb.SetAttributeValueResponse{Object: k.Blob}, err
}
