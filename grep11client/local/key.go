package local

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// made is a key that the service made, with the template it was asked for.
type made struct {
	template wire.Attributes
	key      *grep11pb.KeyBlob
	blob     []byte
	how      Made
}

// object is the key with all that is known of it.
func (k *made) object() (*extpb.Object, error) {
	if b := k.key.GetKeyBlobs(); len(b) > 0 {
		k.blob = b[0]
	}
	if len(k.blob) == 0 {
		return nil, fmt.Errorf("the service gave no key blob: %w", ck.CKR_DEVICE_ERROR)
	}
	known, err := k.settled()
	if err != nil {
		return nil, err
	}
	if token, ok := k.template[uint64(ck.CKA_TOKEN)]; ok { // services ignore it
		known = known.Set(ck.Bool(ck.CKA_TOKEN, token.GetAttributeTF()))
	}
	attributes, err := wire.EncodeTemplate(Complete(known, k.how))
	return &extpb.Object{Blob: k.blob, Attributes: attributes}, err
}

func (k *made) settled() (ck.Template, error) {
	asked, err := wire.DecodeTemplate(k.template)
	if err != nil {
		return nil, err
	}
	known, err := wire.DecodeTemplate(k.key.GetAttributes())
	if err != nil {
		return nil, err
	}
	return asked.Settle(known)
}

// makeKey lets the service make keys, and stores those whose templates say so.
func (s *Store) makeKey(ctx context.Context, credential []byte, r *extpb.MakeKeyRequest) (*extpb.MakeKeyResponse, error) {
	keys, sum, err := s.ask(ctx, credential, r)
	if err != nil {
		return nil, err
	}
	out := &extpb.MakeKeyResponse{CheckSum: sum}
	var stored []*extpb.Object
	for _, k := range keys {
		o, err := k.object()
		if err != nil {
			return nil, err
		}
		if isTrue(o, ck.CKA_TOKEN, false) {
			stored = append(stored, o)
		}
		out.Objects = append(out.Objects, o)
	}
	if err := s.add(r.Token, credential, stored...); err != nil {
		return nil, err
	}
	for i, o := range out.Objects {
		if o.Handle != 0 {
			out.Objects[i] = public(o, false)
		}
	}
	return out, nil
}

// ask makes the call that a MakeKey stands for. Public keys come first.
func (s *Store) ask(ctx context.Context, credential []byte, r *extpb.MakeKeyRequest) (keys []made, sum []byte, err error) {
	req := &extpb.Request{Credential: credential, Token: r.Token}
	var pub, tmpl wire.Attributes
	switch how := r.How.(type) {
	case *extpb.MakeKeyRequest_GenerateKey:
		req.Call, tmpl = &extpb.Request_GenerateKey{GenerateKey: how.GenerateKey}, how.GenerateKey.GetTemplate()
	case *extpb.MakeKeyRequest_GenerateKeyPair:
		req.Call = &extpb.Request_GenerateKeyPair{GenerateKeyPair: how.GenerateKeyPair}
		pub, tmpl = how.GenerateKeyPair.GetPubKeyTemplate(), how.GenerateKeyPair.GetPrivKeyTemplate()
	case *extpb.MakeKeyRequest_UnwrapKey:
		req.Call, tmpl = &extpb.Request_UnwrapKey{UnwrapKey: how.UnwrapKey}, how.UnwrapKey.GetTemplate()
	case *extpb.MakeKeyRequest_DeriveKey:
		req.Call, tmpl = &extpb.Request_DeriveKey{DeriveKey: how.DeriveKey}, how.DeriveKey.GetTemplate()
	}
	if err := s.Resolve(req); err != nil {
		return nil, nil, err
	}
	resp, err := s.service(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	asked, err := wire.DecodeTemplate(tmpl)
	if err != nil {
		return nil, nil, err
	}
	switch w := resp.Result.(type) {
	case *extpb.Response_GenerateKey:
		how := Made{Mechanism: mechanism(req.GetGenerateKey().GetMech()), Class: ck.CKO_SECRET_KEY, Generated: true}
		return []made{{tmpl, w.GenerateKey.Key, w.GenerateKey.KeyBytes, how}}, w.GenerateKey.CheckSum, nil
	case *extpb.Response_GenerateKeyPair:
		p := w.GenerateKeyPair
		how := Made{Mechanism: mechanism(req.GetGenerateKeyPair().GetMech()), Class: ck.CKO_PUBLIC_KEY, Generated: true, Public: p.PubKeyBytes}
		other := how
		other.Class = ck.CKO_PRIVATE_KEY
		return []made{{pub, p.PubKey, p.PubKeyBytes, how}, {tmpl, p.PrivKey, p.PrivKeyBytes, other}}, nil, nil
	case *extpb.Response_UnwrapKey:
		how := Made{Class: ClassOf(asked), Public: w.UnwrapKey.CheckSum} // of private keys it starts with the SPKI
		if req.GetUnwrapKey().GetMech().GetMechanism() == uint64(ck.CKM_IBM_TRANSPORTKEY) {
			how = Made{Class: ck.CKO_PUBLIC_KEY, Public: w.UnwrapKey.UnwrappedBytes}
		}
		return []made{{tmpl, w.UnwrapKey.Unwrapped, w.UnwrapKey.UnwrappedBytes, how}}, w.UnwrapKey.CheckSum, nil
	case *extpb.Response_DeriveKey:
		how := Made{Class: ClassOf(asked)}
		return []made{{tmpl, w.DeriveKey.NewKey, w.DeriveKey.NewKeyBytes, how}}, w.DeriveKey.CheckSum, nil
	}
	return nil, nil, fmt.Errorf("no way to make a key: %w", ck.CKR_GENERAL_ERROR)
}

func mechanism(m *grep11pb.Mechanism) ck.MechanismType {
	return ck.MechanismType(m.GetMechanism() & 0xFFFFFFFF)
}

var keyBlobName = (*grep11pb.KeyBlob)(nil).ProtoReflect().Descriptor().FullName()

// Resolve puts the blobs of stored keys where a call has their ids.
func (s *Store) Resolve(req *extpb.Request) (err error) {
	m := req.ProtoReflect()
	call := m.WhichOneof(m.Descriptor().Oneofs().ByName("call"))
	if call == nil {
		return nil
	}
	m.Get(call).Message().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil || f.IsMap() || f.Message().FullName() != keyBlobName {
			return true
		}
		err = s.resolve(req, v.Message().Interface().(*grep11pb.KeyBlob))
		return err == nil
	})
	return err
}

func (s *Store) resolve(req *extpb.Request, key *grep11pb.KeyBlob) error {
	if len(key.KeyBlobID) == 0 || len(key.KeyBlobs) > 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(); err != nil {
		return err
	}
	o, err := s.object(req.Token, req.Credential, key.KeyBlobID, 0)
	if err != nil {
		return err
	}
	key.KeyBlobs, key.KeyBlobID = [][]byte{o.Object.Blob}, nil
	return nil
}
