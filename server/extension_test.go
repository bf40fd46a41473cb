package server

import (
	"context"
	"crypto/rand"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

const (
	testSOPIN   = "87654321"
	testUserPIN = "12345678"
)

// guest is a client of the extension services with a token, and the login that
// its context carries.
type guest struct {
	t      testing.TB
	conn   *grpc.ClientConn
	ctx    context.Context
	token  []byte
	tokens extpb.TokenClient
	keys   extpb.KeyStoreClient
	crypto pb.CryptoClient
}

// newGuest gives a guest that is nobody, of a token with both PINs.
func newGuest(t testing.TB) *guest {
	t.Helper()
	return guestOf(t, inMemory(t, newServer(t)))
}

func guestOf(t testing.TB, conn *grpc.ClientConn) *guest {
	t.Helper()
	g := &guest{t: t, conn: conn, tokens: extpb.NewTokenClient(conn), keys: extpb.NewKeyStoreClient(conn), crypto: pb.NewCryptoClient(conn)}
	g.ctx = t.Context()
	made, err := g.tokens.InitToken(g.ctx, &extpb.InitTokenRequest{RequestId: newID(), Label: "a token", SoPin: []byte(testSOPIN)})
	wantRV(t, err, ck.CKR_OK)
	g.token = made.Token.Id
	g.ctx = metadata.AppendToOutgoingContext(g.ctx, tokenKey, string(g.token))
	so := g.as(ck.CKU_SO, testSOPIN)
	_, err = so.tokens.InitPin(so.ctx, &extpb.InitPinRequest{Pin: []byte(testUserPIN)})
	wantRV(t, err, ck.CKR_OK)
	return g
}

func newID() []byte {
	id := make([]byte, 16)
	rand.Read(id)
	return id
}

// as logs in.
func (g guest) as(u ck.UserType, pin string) *guest {
	g.t.Helper()
	l, err := g.tokens.OpenLogin(g.ctx, &extpb.OpenLoginRequest{Token: g.token, User: uint64(u), Pin: []byte(pin)})
	wantRV(g.t, err, ck.CKR_OK)
	return g.with(l.Credential)
}

func (g guest) with(credential []byte) *guest {
	g.ctx = metadata.AppendToOutgoingContext(g.ctx, credentialKey, string(credential))
	return &g
}

func (g guest) user() *guest { return g.as(ck.CKU_USER, testUserPIN) }

func attributes(t testing.TB, tmpl ck.Template) wire.Attributes {
	t.Helper()
	m, err := wire.EncodeTemplate(tmpl)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func templateOf(t testing.TB, o *extpb.Object) ck.Template {
	t.Helper()
	tmpl, err := wire.DecodeTemplate(o.GetAttributes())
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func label(l string) ck.Attribute { return ck.Bytes(ck.CKA_LABEL, []byte(l)) }

func isTrue(at ck.AttributeType) ck.Attribute  { return ck.Bool(at, true) }
func isFalse(at ck.AttributeType) ck.Attribute { return ck.Bool(at, false) }

// data are the attributes of a public data object.
func data(more ...ck.Attribute) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), label("data"), ck.Bytes(ck.CKA_VALUE, []byte("value"))}.With(more)
}

func (g *guest) create(tmpl ck.Template, blob []byte) (*extpb.Object, error) {
	r, err := g.keys.CreateObject(g.ctx, &extpb.CreateObjectRequest{
		RequestId: newID(), Token: g.token, Attributes: attributes(g.t, tmpl), Blob: blob})
	return r.GetObject(), err
}

func (g *guest) find(tmpl ...ck.Attribute) []*extpb.Object {
	g.t.Helper()
	r, err := g.keys.FindObjects(g.ctx, &extpb.FindObjectsRequest{Token: g.token, Template: attributes(g.t, tmpl)})
	wantRV(g.t, err, ck.CKR_OK)
	return r.Objects
}

func (g *guest) set(o *extpb.Object, tmpl ...ck.Attribute) (*extpb.Object, error) {
	r, err := g.keys.SetAttributes(g.ctx, &extpb.SetAttributesRequest{
		RequestId: newID(), Token: g.token, Id: o.Id, Attributes: attributes(g.t, tmpl)})
	return r.GetObject(), err
}

func (g *guest) copy(o *extpb.Object, tmpl ...ck.Attribute) (*extpb.Object, error) {
	r, err := g.keys.CopyObject(g.ctx, &extpb.CopyObjectRequest{
		RequestId: newID(), Token: g.token, Id: o.Id, Attributes: attributes(g.t, tmpl)})
	return r.GetObject(), err
}

func (g *guest) destroy(o *extpb.Object) error {
	_, err := g.keys.DestroyObject(g.ctx, &extpb.DestroyObjectRequest{RequestId: newID(), Token: g.token, Id: o.Id})
	return err
}

// makePair asks for a P-256 pair.
func (g *guest) makePair(request []byte, pub, priv ck.Template) ([]*extpb.Object, error) {
	p256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	r, err := g.keys.MakeKey(g.ctx, &extpb.MakeKeyRequest{RequestId: request, Token: g.token,
		How: &extpb.MakeKeyRequest_GenerateKeyPair{GenerateKeyPair: &pb.GenerateKeyPairRequest{
			Mech:            mechanism(ck.CKM_EC_KEY_PAIR_GEN),
			PubKeyTemplate:  attributes(g.t, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256)}.With(pub)),
			PrivKeyTemplate: attributes(g.t, priv)}}})
	return r.GetObjects(), err
}

// makeAES asks for an AES key of 32 bytes.
func (g *guest) makeAES(request []byte, tmpl ...ck.Attribute) (*extpb.Object, error) {
	r, err := g.keys.MakeKey(g.ctx, &extpb.MakeKeyRequest{RequestId: request, Token: g.token,
		How: &extpb.MakeKeyRequest_GenerateKey{GenerateKey: &pb.GenerateKeyRequest{
			Mech:     mechanism(ck.CKM_AES_KEY_GEN),
			Template: attributes(g.t, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)}.With(tmpl))}}})
	if err != nil {
		return nil, err
	}
	return r.Objects[0], nil
}

func (g *guest) sign(key *extpb.Object) error {
	kb := &pb.KeyBlob{KeyBlobID: key.Id}
	if len(key.Blob) > 0 {
		kb.KeyBlobs = [][]byte{key.Blob}
	}
	_, err := g.crypto.SignSingle(g.ctx, &pb.SignSingleRequest{
		Mech: mechanism(ck.CKM_ECDSA), PrivKey: kb, Data: make([]byte, 32)})
	return err
}
