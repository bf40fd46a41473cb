package server

import (
	"context"

	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// The handlers fill both forms of each result: the older dialect's bytes and
// the KeyBlob (grep11-wire 9.1). The halves that make the key are apart, since
// the key store's MakeKey uses them too.

func (c *call) GenerateKey(ctx context.Context, r *pb.GenerateKeyRequest) (*pb.GenerateKeyResponse, error) {
	k, err := c.generate(ctx, r)
	if err != nil {
		return nil, err
	}
	kb, err := keyBlob(k)
	return &pb.GenerateKeyResponse{KeyBytes: k.Blob, CheckSum: k.CheckSum, Key: kb}, err
}

func (c *call) generate(ctx context.Context, r *pb.GenerateKeyRequest) (unit.Key, error) {
	m, err := c.mechanism(r.Mech)
	if err != nil {
		return unit.Key{}, err
	}
	t, err := wire.DecodeTemplate(r.Template)
	if err != nil {
		return unit.Key{}, err
	}
	c.slow = searchesPrimes[m.Type]
	return onUnit(ctx, c, func(u unit.Unit) (unit.Key, error) { return u.GenerateKey(ctx, m, t) })
}

// searchesPrimes are the mechanisms that take long.
var searchesPrimes = map[ck.MechanismType]bool{
	ck.CKM_RSA_PKCS_KEY_PAIR_GEN: true, ck.CKM_RSA_X9_31_KEY_PAIR_GEN: true,
	ck.CKM_DSA_PARAMETER_GEN: true, ck.CKM_DH_PKCS_PARAMETER_GEN: true,
}

func (c *call) GenerateKeyPair(ctx context.Context, r *pb.GenerateKeyPairRequest) (*pb.GenerateKeyPairResponse, error) {
	p, err := c.generatePair(ctx, r)
	if err != nil {
		return nil, err
	}
	pub, err := keyBlob(p.pub)
	if err != nil {
		return nil, err
	}
	priv, err := keyBlob(p.priv)
	return &pb.GenerateKeyPairResponse{PrivKeyBytes: p.priv.Blob, PubKeyBytes: p.pub.Blob, PrivKey: priv, PubKey: pub}, err
}

type pair struct{ pub, priv unit.Key }

func (c *call) generatePair(ctx context.Context, r *pb.GenerateKeyPairRequest) (pair, error) {
	m, err := c.mechanism(r.Mech)
	if err != nil {
		return pair{}, err
	}
	pub, err := wire.DecodeTemplate(r.PubKeyTemplate)
	if err != nil {
		return pair{}, err
	}
	priv, err := wire.DecodeTemplate(r.PrivKeyTemplate)
	if err != nil {
		return pair{}, err
	}
	c.slow = searchesPrimes[m.Type]
	return onUnit(ctx, c, func(u unit.Unit) (p pair, err error) {
		p.pub, p.priv, err = u.GenerateKeyPair(ctx, m, pub, priv)
		return p, err
	})
}

func (c *call) WrapKey(ctx context.Context, r *pb.WrapKeyRequest) (*pb.WrapKeyResponse, error) {
	m, err := c.mechanism(r.Mech)
	if err != nil {
		return nil, err
	}
	if m.Type == ck.CKM_IBM_RETAINKEY {
		handle, err := c.retain(ctx, m, r.Key, r.LegacyKey)
		return &pb.WrapKeyResponse{Wrapped: handle}, err
	}
	kek, err := c.keyFor(ctx, m, r.KeK, r.LegacyKeK)
	if err != nil {
		return nil, err
	}
	key, err := c.keyFor(ctx, m, r.Key, r.LegacyKey)
	if err != nil {
		return nil, err
	}
	mac, err := c.key(ctx, r.MacKey, r.LegacyMacKey)
	if err != nil {
		return nil, err
	}
	out, err := onUnit(ctx, c, func(u unit.Unit) ([]byte, error) { return u.WrapKey(ctx, m, key, kek, mac) })
	return &pb.WrapKeyResponse{Wrapped: out}, err
}

func (c *call) UnwrapKey(ctx context.Context, r *pb.UnwrapKeyRequest) (*pb.UnwrapKeyResponse, error) {
	k, err := c.unwrap(ctx, r)
	if err != nil {
		return nil, err
	}
	kb, err := keyBlob(k)
	return &pb.UnwrapKeyResponse{UnwrappedBytes: k.Blob, CheckSum: k.CheckSum, Unwrapped: kb}, err
}

func (c *call) unwrap(ctx context.Context, r *pb.UnwrapKeyRequest) (unit.Key, error) {
	m, kek, err := c.mechanismAndKey(ctx, r.Mech, r.KeK, r.LegacyKeK)
	if err != nil {
		return unit.Key{}, err
	}
	mac, err := c.key(ctx, r.MacKey, r.LegacyMacKey)
	if err != nil {
		return unit.Key{}, err
	}
	t, err := wire.DecodeTemplate(r.Template)
	if err != nil {
		return unit.Key{}, err
	}
	return onUnit(ctx, c, func(u unit.Unit) (unit.Key, error) { return u.UnwrapKey(ctx, m, r.Wrapped, kek, mac, t) })
}

func (c *call) DeriveKey(ctx context.Context, r *pb.DeriveKeyRequest) (*pb.DeriveKeyResponse, error) {
	k, err := c.derive(ctx, r)
	if err != nil {
		return nil, err
	}
	kb, err := keyBlob(k)
	return &pb.DeriveKeyResponse{NewKeyBytes: k.Blob, CheckSum: k.CheckSum, NewKey: kb}, err
}

func (c *call) derive(ctx context.Context, r *pb.DeriveKeyRequest) (unit.Key, error) {
	m, base, err := c.mechanismAndKey(ctx, r.Mech, r.BaseKey, r.LegacyBaseKey)
	if err != nil {
		return unit.Key{}, err
	}
	t, err := wire.DecodeTemplate(r.Template)
	if err != nil {
		return unit.Key{}, err
	}
	data, err := c.second(ctx, m, r.Data)
	if err != nil {
		return unit.Key{}, err
	}
	return onUnit(ctx, c, func(u unit.Unit) (unit.Key, error) { return u.DeriveKey(ctx, m, base, data, t) })
}

func (c *call) RewrapKeyBlob(ctx context.Context, r *pb.RewrapKeyBlobRequest) (*pb.RewrapKeyBlobResponse, error) {
	given, err := c.given(ctx, r.WrappedKey, r.WrappedKeyBytes)
	if err == nil {
		err = needBlob(given)
	}
	if err != nil {
		return nil, err
	}
	out, err := c.rewrapped(ctx, given)
	if err != nil {
		return nil, err
	}
	kb := &pb.KeyBlob{Attributes: r.WrappedKey.GetAttributes(), KeyBlobs: [][]byte{out}}
	return &pb.RewrapKeyBlobResponse{RewrappedKeyBytes: out, RewrappedKey: kb}, nil
}

func (c *call) rewrapped(ctx context.Context, given unit.Blob) (unit.Blob, error) {
	if isRetained(given) {
		return given, c.rewrapRetained(ctx, given)
	}
	return onUnit(ctx, c, func(u unit.Unit) (unit.Blob, error) { return u.Rewrap(ctx, given) })
}
