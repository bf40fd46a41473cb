package server

import (
	"context"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func (c *call) EncryptInit(ctx context.Context, r *pb.EncryptInitRequest) (*pb.EncryptInitResponse, error) {
	s, err := c.begin(ctx, mech.OpEncrypt, r.Mech, r.Key, r.LegacyKey)
	return &pb.EncryptInitResponse{State: s}, err
}

func (c *call) DecryptInit(ctx context.Context, r *pb.DecryptInitRequest) (*pb.DecryptInitResponse, error) {
	s, err := c.begin(ctx, mech.OpDecrypt, r.Mech, r.Key, r.LegacyKey)
	return &pb.DecryptInitResponse{State: s}, err
}

func (c *call) EncryptUpdate(ctx context.Context, r *pb.EncryptUpdateRequest) (*pb.EncryptUpdateResponse, error) {
	u, err := c.update(ctx, mech.OpEncrypt, r.State, r.Plain)
	return &pb.EncryptUpdateResponse{State: u.next, Ciphered: u.out}, err
}

func (c *call) DecryptUpdate(ctx context.Context, r *pb.DecryptUpdateRequest) (*pb.DecryptUpdateResponse, error) {
	u, err := c.update(ctx, mech.OpDecrypt, r.State, r.Ciphered)
	return &pb.DecryptUpdateResponse{State: u.next, Plain: u.out}, err
}

func (c *call) Encrypt(ctx context.Context, r *pb.EncryptRequest) (*pb.EncryptResponse, error) {
	out, err := c.finish(ctx, mech.OpEncrypt, r.State, unit.Input{Data: r.Plain}, whole)
	return &pb.EncryptResponse{Ciphered: out}, err
}

func (c *call) Decrypt(ctx context.Context, r *pb.DecryptRequest) (*pb.DecryptResponse, error) {
	out, err := c.finish(ctx, mech.OpDecrypt, r.State, unit.Input{Data: r.Ciphered}, whole)
	return &pb.DecryptResponse{Plain: out}, err
}

func (c *call) EncryptFinal(ctx context.Context, r *pb.EncryptFinalRequest) (*pb.EncryptFinalResponse, error) {
	out, err := c.finish(ctx, mech.OpEncrypt, r.State, unit.Input{}, final)
	return &pb.EncryptFinalResponse{Ciphered: out}, err
}

func (c *call) DecryptFinal(ctx context.Context, r *pb.DecryptFinalRequest) (*pb.DecryptFinalResponse, error) {
	out, err := c.finish(ctx, mech.OpDecrypt, r.State, unit.Input{}, final)
	return &pb.DecryptFinalResponse{Plain: out}, err
}

func (c *call) EncryptSingle(ctx context.Context, r *pb.EncryptSingleRequest) (*pb.EncryptSingleResponse, error) {
	out, err := c.single(ctx, mech.OpEncrypt, r.Mech, r.Key, r.LegacyKey, unit.Input{Data: r.Plain})
	return &pb.EncryptSingleResponse{Ciphered: out}, err
}

func (c *call) DecryptSingle(ctx context.Context, r *pb.DecryptSingleRequest) (*pb.DecryptSingleResponse, error) {
	out, err := c.single(ctx, mech.OpDecrypt, r.Mech, r.Key, r.LegacyKey, unit.Input{Data: r.Ciphered})
	return &pb.DecryptSingleResponse{Plain: out}, err
}

func (c *call) ReencryptSingle(ctx context.Context, r *pb.ReencryptSingleRequest) (*pb.ReencryptSingleResponse, error) {
	decMech, decKey, err := c.mechanismAndKey(ctx, r.DecMech, r.DecKey, nil)
	if err != nil {
		return nil, err
	}
	encMech, encKey, err := c.mechanismAndKey(ctx, r.EncMech, r.EncKey, nil)
	if err != nil {
		return nil, err
	}
	out, err := onUnit(ctx, c, func(u unit.Unit) ([]byte, error) {
		return u.Reencrypt(ctx, decMech, decKey, encMech, encKey, r.Ciphered)
	})
	return &pb.ReencryptSingleResponse{Reciphered: out}, err
}

// How an operation ends: with all of its data, or after parts.
const (
	whole = true
	final = false
)

// single, begin, update and finish serve all families of operations.
func (c *call) single(ctx context.Context, op mech.Op, m *pb.Mechanism, k *pb.KeyBlob, legacy []byte, in unit.Input) ([]byte, error) {
	mm, blob, err := c.operand(ctx, op, m, k, legacy)
	if err != nil {
		return nil, err
	}
	in.Prehashed = c.prehashed && (op == mech.OpSign || op == mech.OpVerify)
	return onUnit(ctx, c, func(u unit.Unit) ([]byte, error) { return u.Single(ctx, op, mm, blob, in) })
}

func (c *call) begin(ctx context.Context, op mech.Op, m *pb.Mechanism, k *pb.KeyBlob, legacy []byte) (unit.State, error) {
	c.inParts = true
	mm, blob, err := c.operand(ctx, op, m, k, legacy)
	if err != nil {
		return nil, err
	}
	return onUnit(ctx, c, func(u unit.Unit) (unit.State, error) { return u.Init(ctx, op, mm, blob) })
}

// operand decodes mechanism and key; a digest has no key.
func (c *call) operand(ctx context.Context, op mech.Op, m *pb.Mechanism, k *pb.KeyBlob, legacy []byte) (mech.Mechanism, unit.Blob, error) {
	if op == mech.OpDigest {
		mm, err := c.mechanism(m)
		return mm, nil, err
	}
	return c.mechanismAndKey(ctx, m, k, legacy)
}

type updated struct {
	out  []byte
	next unit.State
}

func (c *call) update(ctx context.Context, op mech.Op, s, data []byte) (updated, error) {
	return onUnit(ctx, c, func(u unit.Unit) (updated, error) {
		out, next, err := u.Update(ctx, op, s, data)
		return updated{out, next}, err
	})
}

func (c *call) finish(ctx context.Context, op mech.Op, s []byte, in unit.Input, whole bool) ([]byte, error) {
	return onUnit(ctx, c, func(u unit.Unit) ([]byte, error) { return u.Finish(ctx, op, s, in, whole) })
}
