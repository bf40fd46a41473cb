package vectors

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// service is the server under test, with the key of the group at hand.
type service struct {
	rpc     grep11pb.CryptoClient
	offered map[ck.MechanismType]bool
	kek     []byte // AES key blob that brings keys in
	keys    map[string][]byte
}

var kekIV = make(mech.IV, 16)

func newService(ctx context.Context, conn grpc.ClientConnInterface) (*service, error) {
	s := &service{rpc: grep11pb.NewCryptoClient(conn), offered: map[ck.MechanismType]bool{}}
	list, err := s.rpc.GetMechanismList(ctx, &grep11pb.GetMechanismListRequest{})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	for _, m := range list.Mechs {
		s.offered[ck.MechanismType(m)] = true
	}
	made, err := s.rpc.GenerateKey(ctx, &grep11pb.GenerateKeyRequest{
		Mech: plain(ck.CKM_AES_KEY_GEN),
		Template: template(ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true),
			ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true)),
	})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	s.kek = made.KeyBytes
	return s, nil
}

func (s *service) newGroup() { s.keys = map[string][]byte{} }

// need leaves a case out when the service lacks its mechanism.
func (s *service) need(t ck.MechanismType) error {
	if !s.offered[t] {
		return leftOut(fmt.Sprintf("the service does not offer %v", t))
	}
	return nil
}

// once keeps the key that a group's cases share.
func (s *service) once(name string, get func() ([]byte, error)) ([]byte, error) {
	if k := s.keys[name]; k != nil {
		return k, nil
	}
	k, err := get()
	if err == nil {
		s.keys[name] = k
	}
	return k, err
}

func plain(t ck.MechanismType) *grep11pb.Mechanism { return &grep11pb.Mechanism{Mechanism: uint64(t)} }

func with(t ck.MechanismType, p mech.Param) (*grep11pb.Mechanism, error) {
	return wire.EncodeMechanism(mech.Mechanism{Type: t, Param: p})
}

func template(t ...ck.Attribute) wire.Attributes {
	m, err := wire.EncodeTemplate(t)
	if err != nil {
		panic("vectors: " + err.Error())
	}
	return m
}

func blob(b []byte) *grep11pb.KeyBlob { return &grep11pb.KeyBlob{KeyBlobs: [][]byte{b}} }

// importKey brings a secret value or a PKCS#8 in as EP11 does: encrypted under
// a key of the service and unwrapped.
func (s *service) importKey(ctx context.Context, value []byte, t ...ck.Attribute) ([]byte, error) {
	m, err := with(ck.CKM_AES_CBC_PAD, kekIV)
	if err != nil {
		return nil, err
	}
	enc, err := s.rpc.EncryptSingle(ctx, &grep11pb.EncryptSingleRequest{Mech: m, Plain: value, Key: blob(s.kek)})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	got, err := s.rpc.UnwrapKey(ctx, &grep11pb.UnwrapKeyRequest{Wrapped: enc.Ciphered, Mech: m, KeK: blob(s.kek), Template: template(t...)})
	if err != nil {
		return nil, fmt.Errorf("import: %w", wire.DecodeStatus(err))
	}
	return got.UnwrappedBytes, nil
}

func (s *service) importSecret(ctx context.Context, kt ck.KeyType, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, leftOut("an EP11 key has at least one byte")
	}
	return s.importKey(ctx, value, ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kt),
		ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true),
		ck.Bool(ck.CKA_DERIVE, true))
}

func (s *service) importPrivate(ctx context.Context, kt ck.KeyType, pkcs8 []byte) ([]byte, error) {
	return s.importKey(ctx, pkcs8, ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kt),
		ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_DECAPSULATE, true))
}

// importPublic makes a public blob of a plain SubjectPublicKeyInfo.
func (s *service) importPublic(ctx context.Context, spki []byte) ([]byte, error) {
	got, err := s.rpc.UnwrapKey(ctx, &grep11pb.UnwrapKeyRequest{
		Wrapped: spki, Mech: plain(ck.CKM_IBM_TRANSPORTKEY),
		Template: template(ck.Bool(ck.CKA_VERIFY, true), ck.Bool(ck.CKA_ENCRYPT, true)),
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", wire.DecodeStatus(err))
	}
	return got.UnwrappedBytes, nil
}

func (s *service) decrypt(ctx context.Context, key []byte, t ck.MechanismType, p mech.Param, ct []byte) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.DecryptSingle(ctx, &grep11pb.DecryptSingleRequest{Mech: m, Key: blob(key), Ciphered: ct})
	return got.GetPlain(), wire.DecodeStatus(err)
}

func (s *service) sign(ctx context.Context, key []byte, t ck.MechanismType, p mech.Param, data []byte) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.SignSingle(ctx, &grep11pb.SignSingleRequest{Mech: m, PrivKey: blob(key), Data: data})
	return got.GetSignature(), wire.DecodeStatus(err)
}

func (s *service) verify(ctx context.Context, key []byte, t ck.MechanismType, p mech.Param, data, sig []byte) error {
	m, err := with(t, p)
	if err != nil {
		return err
	}
	_, err = s.rpc.VerifySingle(ctx, &grep11pb.VerifySingleRequest{Mech: m, PubKey: blob(key), Data: data, Signature: sig})
	return wire.DecodeStatus(err)
}

// derive makes a generic secret that may be read, and reads it.
func (s *service) derive(ctx context.Context, base []byte, t ck.MechanismType, p mech.Param, lenBytes int) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.DeriveKey(ctx, &grep11pb.DeriveKeyRequest{Mech: m, BaseKey: blob(base), Template: readable(lenBytes)})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	return s.value(ctx, got.NewKeyBytes)
}

func readable(lenBytes int) wire.Attributes {
	return template(ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Ulong(ck.CKA_VALUE_LEN, lenBytes), ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true))
}

func (s *service) value(ctx context.Context, key []byte) ([]byte, error) {
	got, err := s.rpc.GetAttributeValue(ctx, &grep11pb.GetAttributeValueRequest{Object: key, Attributes: template(ck.Bytes(ck.CKA_VALUE, nil))})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	t, err := wire.DecodeTemplate(got.Attributes)
	return t.Bytes(ck.CKA_VALUE), err
}
