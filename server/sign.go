package server

import (
	"context"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func (c *call) SignInit(ctx context.Context, r *pb.SignInitRequest) (*pb.SignInitResponse, error) {
	s, err := c.begin(ctx, mech.OpSign, r.Mech, r.PrivKey, r.LegacyPrivKey)
	return &pb.SignInitResponse{State: s}, err
}

func (c *call) VerifyInit(ctx context.Context, r *pb.VerifyInitRequest) (*pb.VerifyInitResponse, error) {
	s, err := c.begin(ctx, mech.OpVerify, r.Mech, r.PubKey, r.LegacyPubKey)
	return &pb.VerifyInitResponse{State: s}, err
}

func (c *call) SignUpdate(ctx context.Context, r *pb.SignUpdateRequest) (*pb.SignUpdateResponse, error) {
	u, err := c.update(ctx, mech.OpSign, r.State, r.Data)
	return &pb.SignUpdateResponse{State: u.next}, err
}

func (c *call) VerifyUpdate(ctx context.Context, r *pb.VerifyUpdateRequest) (*pb.VerifyUpdateResponse, error) {
	u, err := c.update(ctx, mech.OpVerify, r.State, r.Data)
	return &pb.VerifyUpdateResponse{State: u.next}, err
}

func (c *call) SignFinal(ctx context.Context, r *pb.SignFinalRequest) (*pb.SignFinalResponse, error) {
	out, err := c.finish(ctx, mech.OpSign, r.State, unit.Input{}, final)
	return &pb.SignFinalResponse{Signature: out}, err
}

func (c *call) VerifyFinal(ctx context.Context, r *pb.VerifyFinalRequest) (*pb.VerifyFinalResponse, error) {
	_, err := c.finish(ctx, mech.OpVerify, r.State, unit.Input{Signature: r.Signature}, final)
	return &pb.VerifyFinalResponse{}, err
}

func (c *call) Sign(ctx context.Context, r *pb.SignRequest) (*pb.SignResponse, error) {
	out, err := c.finish(ctx, mech.OpSign, r.State, unit.Input{Data: r.Data}, whole)
	return &pb.SignResponse{Signature: out}, err
}

func (c *call) Verify(ctx context.Context, r *pb.VerifyRequest) (*pb.VerifyResponse, error) {
	_, err := c.finish(ctx, mech.OpVerify, r.State, unit.Input{Data: r.Data, Signature: r.Signature}, whole)
	return &pb.VerifyResponse{}, err
}

func (c *call) SignSingle(ctx context.Context, r *pb.SignSingleRequest) (*pb.SignSingleResponse, error) {
	out, err := c.single(ctx, mech.OpSign, r.Mech, r.PrivKey, r.LegacyPrivKey, unit.Input{Data: r.Data})
	return &pb.SignSingleResponse{Signature: out}, err
}

func (c *call) VerifySingle(ctx context.Context, r *pb.VerifySingleRequest) (*pb.VerifySingleResponse, error) {
	_, err := c.single(ctx, mech.OpVerify, r.Mech, r.PubKey, r.LegacyPubKey, unit.Input{Data: r.Data, Signature: r.Signature})
	return &pb.VerifySingleResponse{}, err
}
