package grep11client

import (
	"context"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/local"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Key names a key: by the id of the stored object, or by its blob.
type Key struct{ ID, Blob []byte }

// wire is nil for no key. An id goes without the blob, which would count.
func (k Key) wire() *grep11pb.KeyBlob {
	switch {
	case len(k.ID) > 0:
		return &grep11pb.KeyBlob{KeyBlobID: k.ID}
	case len(k.Blob) > 0:
		return &grep11pb.KeyBlob{KeyBlobs: [][]byte{k.Blob}}
	}
	return nil
}

// Object is a stored object, or a key that is not stored (Handle 0, no ID).
// Attributes are all the service knows, except sensitive ones.
type Object struct {
	Key
	Handle     ck.ObjectHandle
	Version    uint64
	Attributes ck.Template
}

// GenerateKey makes a key; CKA_TOKEN in the template says whether it is stored,
// in the same step.
func (t *Token) GenerateKey(ctx context.Context, m mech.Mechanism, tmpl ck.Template) (Object, error) {
	w, attrs, err := encode(m, tmpl)
	if err != nil {
		return Object{}, err
	}
	req := &grep11pb.GenerateKeyRequest{Mech: w, Template: attrs}
	if stored(tmpl) {
		return t.makeOne(ctx, &extpb.MakeKeyRequest{How: &extpb.MakeKeyRequest_GenerateKey{GenerateKey: req}})
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_GenerateKey{GenerateKey: req}})
	if err != nil {
		return Object{}, err
	}
	how := local.Made{Mechanism: m.Type, Class: ck.CKO_SECRET_KEY, Generated: true}
	return sessionKey(tmpl, resp.GetGenerateKey().GetKey(), resp.GetGenerateKey().GetKeyBytes(), how)
}

// GenerateKeyPair makes a pair; each template says whether that key is stored.
func (t *Token) GenerateKeyPair(ctx context.Context, m mech.Mechanism, pub, priv ck.Template) (pubKey, privKey Object, err error) {
	w, pubAttrs, err := encode(m, pub)
	if err != nil {
		return Object{}, Object{}, err
	}
	privAttrs, err := wire.EncodeTemplate(priv)
	if err != nil {
		return Object{}, Object{}, err
	}
	req := &grep11pb.GenerateKeyPairRequest{Mech: w, PubKeyTemplate: pubAttrs, PrivKeyTemplate: privAttrs}
	if stored(pub) || stored(priv) {
		made, _, err := t.make(ctx, &extpb.MakeKeyRequest{How: &extpb.MakeKeyRequest_GenerateKeyPair{GenerateKeyPair: req}}, 2)
		if err != nil {
			return Object{}, Object{}, err
		}
		return made[0], made[1], nil
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_GenerateKeyPair{GenerateKeyPair: req}})
	if err != nil {
		return Object{}, Object{}, err
	}
	pair := resp.GetGenerateKeyPair()
	how := local.Made{Mechanism: m.Type, Class: ck.CKO_PUBLIC_KEY, Generated: true, Public: pair.GetPubKeyBytes()}
	if pubKey, err = sessionKey(pub, pair.GetPubKey(), pair.GetPubKeyBytes(), how); err != nil {
		return Object{}, Object{}, err
	}
	how.Class = ck.CKO_PRIVATE_KEY
	privKey, err = sessionKey(priv, pair.GetPrivKey(), pair.GetPrivKeyBytes(), how)
	return pubKey, privKey, err
}

// WrapKey gives a key encrypted under another; mac is for attribute-bound wrapping.
func (t *Token) WrapKey(ctx context.Context, m mech.Mechanism, key, kek, mac Key) ([]byte, error) {
	w, err := wire.EncodeMechanism(m)
	if err != nil {
		return nil, err
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_WrapKey{WrapKey: &grep11pb.WrapKeyRequest{
		Mech: w, Key: key.wire(), KeK: kek.wire(), MacKey: mac.wire()}}})
	if err != nil {
		return nil, err
	}
	return resp.GetWrapKey().GetWrapped(), nil
}

// UnwrapKey makes a key from what WrapKey gave.
func (t *Token) UnwrapKey(ctx context.Context, m mech.Mechanism, wrapped []byte, kek, mac Key, tmpl ck.Template) (Object, error) {
	w, attrs, err := encode(m, tmpl)
	if err != nil {
		return Object{}, err
	}
	req := &grep11pb.UnwrapKeyRequest{Mech: w, Wrapped: wrapped, KeK: kek.wire(), MacKey: mac.wire(), Template: attrs}
	if stored(tmpl) {
		return t.makeOne(ctx, &extpb.MakeKeyRequest{How: &extpb.MakeKeyRequest_UnwrapKey{UnwrapKey: req}})
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_UnwrapKey{UnwrapKey: req}})
	if err != nil {
		return Object{}, err
	}
	answer := resp.GetUnwrapKey()
	how := local.Made{Class: local.ClassOf(tmpl), Public: answer.GetCheckSum()} // of private keys it starts with the SPKI
	if m.Type == ck.CKM_IBM_TRANSPORTKEY {
		how = local.Made{Class: ck.CKO_PUBLIC_KEY, Public: answer.GetUnwrappedBytes()}
	}
	return sessionKey(tmpl, answer.GetUnwrapped(), answer.GetUnwrappedBytes(), how)
}

// DeriveKey also gives the checksum, which some mechanisms put results in.
func (t *Token) DeriveKey(ctx context.Context, m mech.Mechanism, base Key, data []byte, tmpl ck.Template) (Object, []byte, error) {
	w, attrs, err := encode(m, tmpl)
	if err != nil {
		return Object{}, nil, err
	}
	req := &grep11pb.DeriveKeyRequest{Mech: w, BaseKey: base.wire(), Data: data, Template: attrs}
	if stored(tmpl) {
		made, sum, err := t.make(ctx, &extpb.MakeKeyRequest{How: &extpb.MakeKeyRequest_DeriveKey{DeriveKey: req}}, 1)
		if err != nil {
			return Object{}, nil, err
		}
		return made[0], sum, nil
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_DeriveKey{DeriveKey: req}})
	if err != nil {
		return Object{}, nil, err
	}
	key, err := sessionKey(tmpl, resp.GetDeriveKey().GetNewKey(), resp.GetDeriveKey().GetNewKeyBytes(), local.Made{Class: local.ClassOf(tmpl)})
	return key, resp.GetDeriveKey().GetCheckSum(), err
}

func encode(m mech.Mechanism, tmpl ck.Template) (*grep11pb.Mechanism, wire.Attributes, error) {
	w, err := wire.EncodeMechanism(m)
	if err != nil {
		return nil, nil, err
	}
	attrs, err := wire.EncodeTemplate(tmpl)
	return w, attrs, err
}

// stored tells whether a template asks for a token object. What is no CK_BBOOL
// fails when it is encoded.
func stored(tmpl ck.Template) bool {
	token, _ := tmpl.Bool(ck.CKA_TOKEN, false)
	return token
}

// make makes keys and stores those whose templates say so, as one change.
func (t *Token) make(ctx context.Context, req *extpb.MakeKeyRequest, want int) ([]Object, []byte, error) {
	req.RequestId, req.Token = requestID(), t.id
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_MakeKey{MakeKey: req}})
	if err != nil {
		return nil, nil, err
	}
	answer := resp.GetMakeKey()
	if len(answer.GetObjects()) != want {
		return nil, nil, fmt.Errorf("%d keys came instead of %d: %w", len(answer.GetObjects()), want, ck.CKR_DEVICE_ERROR)
	}
	made, err := objects(answer.GetObjects())
	return made, answer.GetCheckSum(), err
}

func (t *Token) makeOne(ctx context.Context, req *extpb.MakeKeyRequest) (Object, error) {
	made, _, err := t.make(ctx, req, 1)
	if err != nil {
		return Object{}, err
	}
	return made[0], nil
}

// sessionKey is a key that is not stored: its attributes are those it was
// asked with, as the service corrected and completed them.
func sessionKey(tmpl ck.Template, key *grep11pb.KeyBlob, blob []byte, how local.Made) (Object, error) {
	if b := key.GetKeyBlobs(); len(b) > 0 {
		blob = b[0]
	}
	if len(blob) == 0 {
		return Object{}, fmt.Errorf("the service gave no key blob: %w", ck.CKR_DEVICE_ERROR)
	}
	if how.Class == ck.CKO_PUBLIC_KEY && how.Public == nil {
		how.Public = blob
	}
	known, err := decodeKnown(key.GetAttributes())
	if err != nil {
		return Object{}, err
	}
	settled, err := tmpl.Without(sensitive...).Settle(known)
	return Object{Key: Key{Blob: blob}, Attributes: local.Complete(settled, how)}, err
}

// decodeKnown reads attributes that the service sends: what it cannot say
// properly is its fault, not the caller's.
func decodeKnown(m wire.Attributes) (ck.Template, error) {
	known, err := wire.DecodeTemplate(m)
	if err != nil {
		return nil, fmt.Errorf("attributes from the service: %v: %w", err, ck.CKR_DEVICE_ERROR)
	}
	return known, nil
}

// sensitive values are never kept beside a key.
var sensitive = []ck.AttributeType{ck.CKA_VALUE, ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2,
	ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT, ck.CKA_SEED}
