package server

import (
	"context"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// Short ways to say what requests hold.

func mechanism(m ck.MechanismType) *pb.Mechanism { return &pb.Mechanism{Mechanism: uint64(m)} }

func withBytes(m ck.MechanismType, b []byte) *pb.Mechanism {
	return &pb.Mechanism{Mechanism: uint64(m), Parameter: &pb.Mechanism_ParameterB{ParameterB: b}}
}

func yes() *pb.AttributeValue {
	return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeTF{AttributeTF: true}}
}

func no() *pb.AttributeValue {
	return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeTF{}}
}

func number(n int64) *pb.AttributeValue {
	return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeI{AttributeI: n}}
}

func octets(b []byte) *pb.AttributeValue {
	return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeB{AttributeB: b}}
}

type attrs = map[ck.AttributeType]*pb.AttributeValue

func wireTemplate(a attrs) wire.Attributes {
	out := wire.Attributes{}
	for t, v := range a {
		out[uint64(t)] = v
	}
	return out
}

var (
	oidP256      = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	usageAES     = attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_ENCRYPT: yes(), ck.CKA_DECRYPT: yes()}
	extractable  = attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_ENCRYPT: yes(), ck.CKA_DECRYPT: yes(), ck.CKA_EXTRACTABLE: yes()}
	usageKEK     = attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_ENCRYPT: yes(), ck.CKA_DECRYPT: yes(), ck.CKA_WRAP: yes(), ck.CKA_UNWRAP: yes()}
	usageVerify  = attrs{ck.CKA_EC_PARAMS: octets(oidP256), ck.CKA_VERIFY: yes()}
	usageSign    = attrs{ck.CKA_SIGN: yes(), ck.CKA_DERIVE: yes()}
	rsaPublic    = attrs{ck.CKA_MODULUS_BITS: number(2048), ck.CKA_PUBLIC_EXPONENT: number(65537), ck.CKA_ENCRYPT: yes(), ck.CKA_VERIFY: yes(), ck.CKA_WRAP: yes()}
	rsaPrivate   = attrs{ck.CKA_DECRYPT: yes(), ck.CKA_SIGN: yes(), ck.CKA_UNWRAP: yes()}
	helloMessage = []byte("Hello, this is a very long and creative message without any imagination")
)

func aesKey(t testing.TB, c pb.CryptoClient, usage attrs) *pb.GenerateKeyResponse {
	t.Helper()
	return must[*pb.GenerateKeyResponse](t)(c.GenerateKey(context.Background(), &pb.GenerateKeyRequest{
		Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(usage)}))
}

func keyPair(t testing.TB, c pb.CryptoClient, m ck.MechanismType, pub, priv attrs) *pb.GenerateKeyPairResponse {
	t.Helper()
	return must[*pb.GenerateKeyPairResponse](t)(c.GenerateKeyPair(context.Background(), &pb.GenerateKeyPairRequest{
		Mech: mechanism(m), PubKeyTemplate: wireTemplate(pub), PrivKeyTemplate: wireTemplate(priv)}))
}
