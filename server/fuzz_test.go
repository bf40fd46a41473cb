package server

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// panics is a log handler that fails the test on a recovered panic.
type panics struct {
	slog.Handler
	t *testing.T
}

func (p panics) Enabled(context.Context, slog.Level) bool { return true }
func (p panics) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "panic" {
		r.Attrs(func(a slog.Attr) bool { p.t.Errorf("%s: %s", a.Key, a.Value); return true })
	}
	return nil
}

// FuzzRequest sends arbitrary bytes the way of a stream's request: each is
// answered, with a result or with an error that has a code.
func FuzzRequest(f *testing.F) {
	srv := newServer(f)
	srv.config.Listen.RequestTimeout.Duration = 5 * time.Second
	f.Cleanup(func() { _ = srv.Close() })
	for _, r := range seeds(f, srv) {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r extpb.Request
		if proto.Unmarshal(b, &r) != nil {
			return
		}
		if tooSlow(&r) {
			return
		}
		srv.log = slog.New(panics{slog.DiscardHandler, t})
		resp := srv.exchanged(t.Context(), call{srv: srv}, &r, nil)
		if resp.Result == nil {
			t.Fatal("no answer")
		}
		if e := resp.GetError(); e != nil && e.Code == 0 {
			t.Fatalf("an error with CKR_OK: %v", e)
		}
		if _, err := proto.Marshal(resp); err != nil {
			t.Fatal(err)
		}
	})
}

// tooSlow keeps the fuzzer from generating large RSA keys and hashing PINs.
func tooSlow(r *extpb.Request) bool {
	m, _ := called(r)
	switch m.name {
	case "GenerateKeyPair", "InitToken", "OpenLogin", "SetPin":
		return true
	case "MakeKey":
		return r.GetMakeKey().GetGenerateKeyPair() != nil
	}
	return false
}

// seeds are a request of every method, empty, and some that work.
func seeds(f *testing.F, srv *Server) []*extpb.Request {
	c := &call{srv: srv, method: &method{}}
	aes, err := c.GenerateKey(f.Context(), &pb.GenerateKeyRequest{Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(usageKEK)})
	if err != nil {
		f.Fatal(err)
	}
	ec, err := c.GenerateKeyPair(f.Context(), &pb.GenerateKeyPairRequest{Mech: mechanism(ck.CKM_EC_KEY_PAIR_GEN),
		PubKeyTemplate: wireTemplate(usageVerify), PrivKeyTemplate: wireTemplate(usageSign)})
	if err != nil {
		f.Fatal(err)
	}
	cbc := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	enc, err := c.EncryptInit(f.Context(), &pb.EncryptInitRequest{Mech: cbc, Key: aes.Key})
	if err != nil {
		f.Fatal(err)
	}
	handle, err := srv.ext.store.Retain(f.Context(), aes.KeyBytes, 1000, nil)
	if err != nil {
		f.Fatal(err)
	}
	out := []*extpb.Request{
		random(16),
		{Call: &extpb.Request_EncryptSingle{EncryptSingle: &pb.EncryptSingleRequest{Mech: cbc, Key: aes.Key, Plain: helloMessage}}},
		{Call: &extpb.Request_DecryptSingle{DecryptSingle: &pb.DecryptSingleRequest{Mech: cbc, LegacyKey: aes.KeyBytes, Ciphered: make([]byte, 32)}}},
		{Call: &extpb.Request_EncryptUpdate{EncryptUpdate: &pb.EncryptUpdateRequest{State: enc.State, Plain: helloMessage}}},
		{Call: &extpb.Request_SignSingle{SignSingle: &pb.SignSingleRequest{Mech: mechanism(ck.CKM_ECDSA_SHA256), PrivKey: ec.PrivKey, Data: helloMessage}}, Prehashed: true},
		{Call: &extpb.Request_VerifySingle{VerifySingle: &pb.VerifySingleRequest{Mech: mechanism(ck.CKM_ECDSA), PubKey: ec.PubKey, Data: helloMessage, Signature: make([]byte, 64)}}},
		{Call: &extpb.Request_UnwrapKey{UnwrapKey: &pb.UnwrapKeyRequest{Mech: cbc, KeK: aes.Key, Wrapped: make([]byte, 48), Template: wireTemplate(usageAES)}}},
		{Call: &extpb.Request_UnwrapKey{UnwrapKey: &pb.UnwrapKeyRequest{Mech: mechanism(ck.CKM_IBM_TRANSPORTKEY), Wrapped: ec.PubKeyBytes, Template: wireTemplate(usageVerify)}}},
		{Call: &extpb.Request_GetAttributeValue{GetAttributeValue: &pb.GetAttributeValueRequest{Object: aes.KeyBytes, Attributes: wireTemplate(usageKEK)}}},
		{Call: &extpb.Request_WrapKey{WrapKey: &pb.WrapKeyRequest{Mech: retaining(f, 5, "refill"), Key: aes.Key}}},
		{Call: &extpb.Request_EncryptSingle{EncryptSingle: &pb.EncryptSingleRequest{Mech: cbc, LegacyKey: handle, Plain: helloMessage}}},
		{Token: make([]byte, 16), Call: &extpb.Request_FindObjects{FindObjects: &extpb.FindObjectsRequest{Token: make([]byte, 16), Template: wireTemplate(usageAES), Max: 10}}},
	}
	for i := range requestCall.Fields().Len() {
		r := new(extpb.Request)
		field := requestCall.Fields().Get(i)
		r.ProtoReflect().Set(field, r.ProtoReflect().NewField(field))
		out = append(out, r)
	}
	return out
}
