package grep11

import (
	"bytes"
	"context"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"grep11/conformance/kind"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// client is a GREP11 client inside a test; each call that fails ends it.
type client struct {
	pb.CryptoClient
	*testing.T
	conn  *grpc.ClientConn
	ctx   context.Context
	mechs []uint64
}

// rv reads an error as the Go client's helper does: exactly one detail, or it
// is CKR_GENERAL_ERROR.
func rv(err error) ck.RV {
	if err == nil {
		return ck.CKR_OK
	}
	details := status.Convert(err).Details()
	if len(details) != 1 {
		return ck.CKR_GENERAL_ERROR
	}
	d, ok := details[0].(*pb.Grep11Error)
	if !ok {
		return ck.CKR_GENERAL_ERROR
	}
	return ck.RV(d.Code)
}

func ok[R any](c *client) func(r R, err error) R {
	return func(r R, err error) R {
		c.Helper()
		if err != nil {
			c.Fatalf("%v: %v", rv(err), err)
		}
		return r
	}
}

// has tells whether the server lists mechanisms. One it does not list must be
// refused when it is used.
func (c *client) has(types ...ck.MechanismType) bool {
	c.Helper()
	if c.mechs == nil {
		c.mechs = ok[*pb.GetMechanismListResponse](c)(c.GetMechanismList(c.ctx, &pb.GetMechanismListRequest{})).Mechs
	}
	all := true
	for _, m := range types {
		if slices.Contains(c.mechs, uint64(m)) {
			continue
		}
		all = false
		for _, err := range c.tryAll(m) {
			if rv(err) != ck.CKR_MECHANISM_INVALID {
				c.Errorf("%v is not listed, but its use gives %v", m, rv(err))
			}
		}
	}
	return all
}

// needs ends a test whose mechanisms are not all listed: it is left out where an
// HSM lacks them, and has failed elsewhere.
func (c *client) needs(types ...ck.MechanismType) {
	c.Helper()
	if c.has(types...) {
		return
	}
	if kind.Name() == "softhsm" {
		c.Skipf("the HSM has not all of %v", types)
	}
	c.Fatalf("not all of %v are listed", types)
}

// tryAll uses a mechanism in several calls.
func (c *client) tryAll(m ck.MechanismType) []error {
	key := c.aes(attrs{ck.CKA_VALUE_LEN: 32}).Key
	_, sign := c.SignSingle(c.ctx, &pb.SignSingleRequest{Mech: mechanism(m), PrivKey: key, Data: sentence})
	_, generate := c.GenerateKey(c.ctx, &pb.GenerateKeyRequest{Mech: mechanism(m)})
	_, pair := c.GenerateKeyPair(c.ctx, &pb.GenerateKeyPairRequest{Mech: mechanism(m)})
	_, derive := c.DeriveKey(c.ctx, &pb.DeriveKeyRequest{Mech: mechanism(m), BaseKey: key})
	_, info := c.GetMechanismInfo(c.ctx, &pb.GetMechanismInfoRequest{Mech: uint64(m)})
	return []error{sign, generate, pair, derive, info}
}

// attrs is a template as the Go helper takes it: bool, int, string or []byte.
type attrs map[ck.AttributeType]any

func template(a attrs) map[uint64]*pb.AttributeValue {
	out := map[uint64]*pb.AttributeValue{}
	for t, v := range a {
		out[uint64(t)] = value(v)
	}
	return out
}

func value(v any) *pb.AttributeValue {
	switch v := v.(type) {
	case bool:
		return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeTF{AttributeTF: v}}
	case int:
		return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeI{AttributeI: int64(v)}}
	case ck.KeyType:
		return value(int(v))
	case ck.ObjectClass:
		return value(int(v))
	case string:
		return value([]byte(v))
	case []byte:
		return &pb.AttributeValue{OneAttr: &pb.AttributeValue_AttributeB{AttributeB: v}}
	}
	return &pb.AttributeValue{}
}

func mechanism(m ck.MechanismType) *pb.Mechanism { return &pb.Mechanism{Mechanism: uint64(m)} }

func withBytes(m ck.MechanismType, b []byte) *pb.Mechanism {
	return &pb.Mechanism{Mechanism: uint64(m), Parameter: &pb.Mechanism_ParameterB{ParameterB: b}}
}

var (
	greeting = []byte("Hello, this is a very long and creative message") // 47 bytes
	sentence = []byte("These data need to be signed")                    // 28 bytes
)

func (c *client) random(n int) []byte {
	c.Helper()
	b := ok[*pb.GenerateRandomResponse](c)(c.GenerateRandom(c.ctx, &pb.GenerateRandomRequest{Len: uint64(n)})).Rnd
	if len(b) != n {
		c.Fatalf("%d random bytes instead of %d", len(b), n)
	}
	return b
}

func (c *client) key(m ck.MechanismType, a attrs) *pb.GenerateKeyResponse {
	c.Helper()
	return ok[*pb.GenerateKeyResponse](c)(c.GenerateKey(c.ctx, &pb.GenerateKeyRequest{Mech: mechanism(m), Template: template(a)}))
}

func (c *client) aes(a attrs) *pb.GenerateKeyResponse {
	c.Helper()
	return c.key(ck.CKM_AES_KEY_GEN, a)
}

func (c *client) pair(m ck.MechanismType, pub, priv attrs) *pb.GenerateKeyPairResponse {
	c.Helper()
	return ok[*pb.GenerateKeyPairResponse](c)(c.GenerateKeyPair(c.ctx, &pb.GenerateKeyPairRequest{Mech: mechanism(m), PubKeyTemplate: template(pub), PrivKeyTemplate: template(priv)}))
}

func (c *client) derive(m *pb.Mechanism, base *pb.KeyBlob, a attrs) *pb.DeriveKeyResponse {
	c.Helper()
	return ok[*pb.DeriveKeyResponse](c)(c.DeriveKey(c.ctx, &pb.DeriveKeyRequest{Mech: m, BaseKey: base, Template: template(a)}))
}

func (c *client) encrypt(m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	c.Helper()
	return ok[*pb.EncryptSingleResponse](c)(c.EncryptSingle(c.ctx, &pb.EncryptSingleRequest{Mech: m, Key: k, Plain: data})).Ciphered
}

func (c *client) decrypt(m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	c.Helper()
	return ok[*pb.DecryptSingleResponse](c)(c.DecryptSingle(c.ctx, &pb.DecryptSingleRequest{Mech: m, Key: k, Ciphered: data})).Plain
}

func (c *client) sign(m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	c.Helper()
	return ok[*pb.SignSingleResponse](c)(c.SignSingle(c.ctx, &pb.SignSingleRequest{Mech: m, PrivKey: k, Data: data})).Signature
}

func (c *client) verify(m *pb.Mechanism, k *pb.KeyBlob, data, sig []byte) ck.RV {
	_, err := c.VerifySingle(c.ctx, &pb.VerifySingleRequest{Mech: m, PubKey: k, Data: data, Signature: sig})
	return rv(err)
}

// signInit and verifyInit are Init and one part.
func (c *client) signInit(m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	c.Helper()
	s := ok[*pb.SignInitResponse](c)(c.SignInit(c.ctx, &pb.SignInitRequest{Mech: m, PrivKey: k}))
	return ok[*pb.SignResponse](c)(c.Sign(c.ctx, &pb.SignRequest{State: s.State, Data: data})).Signature
}

func (c *client) verifyInit(m *pb.Mechanism, k *pb.KeyBlob, data, sig []byte) ck.RV {
	c.Helper()
	s := ok[*pb.VerifyInitResponse](c)(c.VerifyInit(c.ctx, &pb.VerifyInitRequest{Mech: m, PubKey: k}))
	_, err := c.Verify(c.ctx, &pb.VerifyRequest{State: s.State, Data: data, Signature: sig})
	return rv(err)
}

// signParts and verifyParts split at 8 bytes.
func (c *client) signParts(m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	c.Helper()
	state := ok[*pb.SignInitResponse](c)(c.SignInit(c.ctx, &pb.SignInitRequest{Mech: m, PrivKey: k})).State
	for _, part := range [][]byte{data[:8], data[8:]} {
		state = ok[*pb.SignUpdateResponse](c)(c.SignUpdate(c.ctx, &pb.SignUpdateRequest{State: state, Data: part})).State
	}
	return ok[*pb.SignFinalResponse](c)(c.SignFinal(c.ctx, &pb.SignFinalRequest{State: state})).Signature
}

func (c *client) verifyParts(m *pb.Mechanism, k *pb.KeyBlob, data, sig []byte) ck.RV {
	c.Helper()
	state := ok[*pb.VerifyInitResponse](c)(c.VerifyInit(c.ctx, &pb.VerifyInitRequest{Mech: m, PubKey: k})).State
	for _, part := range [][]byte{data[:8], data[8:]} {
		state = ok[*pb.VerifyUpdateResponse](c)(c.VerifyUpdate(c.ctx, &pb.VerifyUpdateRequest{State: state, Data: part})).State
	}
	_, err := c.VerifyFinal(c.ctx, &pb.VerifyFinalRequest{State: state, Signature: sig})
	return rv(err)
}

func (c *client) same(what string, got, want []byte) {
	c.Helper()
	if len(want) == 0 || !bytes.Equal(got, want) {
		c.Errorf("%s: %x, want %x", what, got, want)
	}
}

func (c *client) want(what string, got, want ck.RV) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %v, want %v", what, got, want)
	}
}

// spki is the one object that a public blob begins with.
type spki struct {
	Algorithm struct {
		OID        asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	Key asn1.BitString
}

func (c *client) spki(blob []byte) (s spki, der []byte) {
	c.Helper()
	rest, err := asn1.Unmarshal(blob, &s)
	if err != nil {
		c.Fatal(err)
	}
	return s, blob[:len(blob)-len(rest)]
}

// dhPublic decodes the INTEGER inside a DH key's BIT STRING.
func (c *client) dhPublic(blob []byte) []byte {
	c.Helper()
	s, _ := c.spki(blob)
	y := new(big.Int)
	if _, err := asn1.Unmarshal(s.Key.Bytes, &y); err != nil {
		c.Fatal(err)
	}
	return y.Bytes()
}

func blob(b []byte) *pb.KeyBlob { return &pb.KeyBlob{KeyBlobs: [][]byte{b}} }

// The curves and strengths of the examples, DER (grep11-wire 7.3).
var (
	p256      = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	secp256k1 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a}
	ed25519   = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	bls12     = []byte{0x06, 0x0c, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x02, 0x82, 0x0b, 0x87, 0x67, 0x03, 0x02}
)

// hasCurve tells whether a curve is supported; another one must be refused so.
func (c *client) hasCurve(oid []byte) bool {
	c.Helper()
	_, err := c.GenerateKeyPair(c.ctx, &pb.GenerateKeyPairRequest{Mech: mechanism(ck.CKM_EC_KEY_PAIR_GEN), PubKeyTemplate: template(attrs{ck.CKA_EC_PARAMS: oid})})
	if err != nil && rv(err) != ck.CKR_CURVE_NOT_SUPPORTED {
		c.Errorf("curve %x: %v", oid, rv(err))
	}
	return err == nil
}
