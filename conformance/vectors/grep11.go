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

// server is the service through grep11.Crypto.
type server struct {
	rpc     grep11pb.CryptoClient
	offered map[ck.MechanismType]bool
	kek     []byte // AES key blob that brings keys in
}

var kekIV = make(mech.IV, 16)

// OverGREP11 runs vectors against the server of a connection.
func OverGREP11(ctx context.Context, conn grpc.ClientConnInterface) (Service, error) {
	s := &server{rpc: grep11pb.NewCryptoClient(conn), offered: map[ck.MechanismType]bool{}}
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

func (s *server) offers(t ck.MechanismType) bool { return s.offered[t] }

// forget: nobody keeps blobs.
func (s *server) forget() {}

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

func blob(k key) *grep11pb.KeyBlob { return &grep11pb.KeyBlob{KeyBlobs: [][]byte{k.blob}} }

// importKey brings a secret value or a PKCS#8 in as EP11 does: encrypted under
// a key of the service and unwrapped.
func (s *server) importKey(ctx context.Context, value []byte, t ...ck.Attribute) (key, error) {
	m, err := with(ck.CKM_AES_CBC_PAD, kekIV)
	if err != nil {
		return key{}, err
	}
	enc, err := s.rpc.EncryptSingle(ctx, &grep11pb.EncryptSingleRequest{Mech: m, Plain: value, Key: blob(key{blob: s.kek})})
	if err != nil {
		return key{}, wire.DecodeStatus(err)
	}
	got, err := s.rpc.UnwrapKey(ctx, &grep11pb.UnwrapKeyRequest{Wrapped: enc.Ciphered, Mech: m, KeK: blob(key{blob: s.kek}), Template: template(t...)})
	if err != nil {
		return key{}, fmt.Errorf("import: %w", wire.DecodeStatus(err))
	}
	return key{blob: got.UnwrappedBytes}, nil
}

func (s *server) importSecret(ctx context.Context, kt ck.KeyType, value []byte) (key, error) {
	return s.importKey(ctx, value, secretKey(kt)...)
}

func (s *server) importPrivate(ctx context.Context, kt ck.KeyType, pkcs8 []byte) (key, error) {
	return s.importKey(ctx, pkcs8, privateKey(kt)...)
}

// importPublic makes a public blob of a plain SubjectPublicKeyInfo.
func (s *server) importPublic(ctx context.Context, spki []byte) (key, error) {
	got, err := s.rpc.UnwrapKey(ctx, &grep11pb.UnwrapKeyRequest{
		Wrapped: spki, Mech: plain(ck.CKM_IBM_TRANSPORTKEY),
		Template: template(ck.Bool(ck.CKA_VERIFY, true), ck.Bool(ck.CKA_ENCRYPT, true)),
	})
	if err != nil {
		return key{}, fmt.Errorf("import: %w", wire.DecodeStatus(err))
	}
	return key{blob: got.UnwrappedBytes}, nil
}

func (s *server) decrypt(ctx context.Context, k key, t ck.MechanismType, p mech.Param, ct []byte) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.DecryptSingle(ctx, &grep11pb.DecryptSingleRequest{Mech: m, Key: blob(k), Ciphered: ct})
	return got.GetPlain(), wire.DecodeStatus(err)
}

func (s *server) sign(ctx context.Context, k key, t ck.MechanismType, p mech.Param, data []byte) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.SignSingle(ctx, &grep11pb.SignSingleRequest{Mech: m, PrivKey: blob(k), Data: data})
	return got.GetSignature(), wire.DecodeStatus(err)
}

func (s *server) verify(ctx context.Context, k key, t ck.MechanismType, p mech.Param, data, sig []byte) error {
	m, err := with(t, p)
	if err != nil {
		return err
	}
	_, err = s.rpc.VerifySingle(ctx, &grep11pb.VerifySingleRequest{Mech: m, PubKey: blob(k), Data: data, Signature: sig})
	return wire.DecodeStatus(err)
}

// derive makes a generic secret that may be read, and reads it.
func (s *server) derive(ctx context.Context, base key, t ck.MechanismType, p mech.Param, lenBytes int) ([]byte, error) {
	m, err := with(t, p)
	if err != nil {
		return nil, err
	}
	got, err := s.rpc.DeriveKey(ctx, &grep11pb.DeriveKeyRequest{Mech: m, BaseKey: blob(base), Template: template(readable(lenBytes)...)})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	return s.value(ctx, got.NewKeyBytes)
}

func (s *server) value(ctx context.Context, blob []byte) ([]byte, error) {
	return s.attribute(ctx, blob, ck.CKA_VALUE)
}

func (s *server) publicInfo(ctx context.Context, k key) ([]byte, error) {
	return s.attribute(ctx, k.blob, ck.CKA_PUBLIC_KEY_INFO)
}

func (s *server) attribute(ctx context.Context, blob []byte, at ck.AttributeType) ([]byte, error) {
	got, err := s.rpc.GetAttributeValue(ctx, &grep11pb.GetAttributeValueRequest{Object: blob, Attributes: template(ck.Bytes(at, nil))})
	if err != nil {
		return nil, wire.DecodeStatus(err)
	}
	t, err := wire.DecodeTemplate(got.Attributes)
	return t.Bytes(at), err
}

func (s *server) encapsulate(ctx context.Context, public key) (secret, ct []byte, err error) {
	return s.kem(ctx, public, &mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE, KDF: ck.CKD_NULL})
}

func (s *server) decapsulate(ctx context.Context, private key, ct []byte) ([]byte, error) {
	secret, _, err := s.kem(ctx, private, &mech.Kyber{Mode: ck.CK_IBM_KEM_DECAPSULATE, KDF: ck.CKD_NULL, CipherText: ct})
	return secret, err
}

// kem derives with CKM_ML_KEM and gives the secret, and the ciphertext that
// follows the checksum.
func (s *server) kem(ctx context.Context, base key, p *mech.Kyber) (secret, out []byte, err error) {
	m, err := with(ck.CKM_ML_KEM, p)
	if err != nil {
		return nil, nil, err
	}
	got, err := s.rpc.DeriveKey(ctx, &grep11pb.DeriveKeyRequest{Mech: m, BaseKey: blob(base), Template: template(readable(32)...)})
	if err != nil {
		return nil, nil, wire.DecodeStatus(err)
	}
	secret, err = s.value(ctx, got.NewKeyBytes)
	return secret, got.CheckSum[min(7, len(got.CheckSum)):], err
}
