package server

import (
	"context"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func (c *call) DigestInit(ctx context.Context, r *pb.DigestInitRequest) (*pb.DigestInitResponse, error) {
	s, err := c.begin(ctx, mech.OpDigest, r.Mech, nil, nil)
	return &pb.DigestInitResponse{State: s}, err
}

func (c *call) DigestUpdate(ctx context.Context, r *pb.DigestUpdateRequest) (*pb.DigestUpdateResponse, error) {
	u, err := c.update(ctx, mech.OpDigest, r.State, r.Data)
	return &pb.DigestUpdateResponse{State: u.next}, err
}

func (c *call) DigestKey(ctx context.Context, r *pb.DigestKeyRequest) (*pb.DigestKeyResponse, error) {
	c.inParts = true
	blob, err := c.key(ctx, r.Key, r.LegacyKey)
	if err == nil {
		err = needBlob(blob)
	}
	if err != nil {
		return nil, err
	}
	s, err := onUnit(ctx, c, func(u unit.Unit) (unit.State, error) { return u.DigestKey(ctx, r.State, blob) })
	return &pb.DigestKeyResponse{State: s}, err
}

func (c *call) Digest(ctx context.Context, r *pb.DigestRequest) (*pb.DigestResponse, error) {
	out, err := c.finish(ctx, mech.OpDigest, r.State, unit.Input{Data: r.Data}, whole)
	return &pb.DigestResponse{Digest: out}, err
}

func (c *call) DigestFinal(ctx context.Context, r *pb.DigestFinalRequest) (*pb.DigestFinalResponse, error) {
	out, err := c.finish(ctx, mech.OpDigest, r.State, unit.Input{}, final)
	return &pb.DigestFinalResponse{Digest: out}, err
}

func (c *call) DigestSingle(ctx context.Context, r *pb.DigestSingleRequest) (*pb.DigestSingleResponse, error) {
	out, err := c.single(ctx, mech.OpDigest, r.Mech, nil, nil, unit.Input{Data: r.Data})
	return &pb.DigestSingleResponse{Digest: out}, err
}
