package server

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// turn sends one request and receives its answer.
func turn(t testing.TB, s extpb.Session_ExchangeClient, r *extpb.Request) *extpb.Response {
	t.Helper()
	if err := s.Send(r); err != nil {
		t.Fatal(err)
	}
	resp, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func random(n uint64) *extpb.Request {
	return &extpb.Request{Call: &extpb.Request_GenerateRandom{GenerateRandom: &pb.GenerateRandomRequest{Len: n}}}
}

func TestAStreamAnswersInTurn(t *testing.T) {
	conn := inMemory(t, newServer(t))
	s, err := extpb.NewSessionClient(conn).Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		req  *extpb.Request
		want ck.RV
		len  int
	}{
		{"a call", random(16), ck.CKR_OK, 16},
		{"a refused call ends only itself", random(0), ck.CKR_ARGUMENTS_BAD, 0},
		{"a request that names no call", &extpb.Request{}, ck.CKR_FUNCTION_NOT_SUPPORTED, 0},
		{"a request of a later revision", later(t), ck.CKR_FUNCTION_NOT_SUPPORTED, 0},
		{"a credential that is none", &extpb.Request{Credential: []byte("x"), Call: &extpb.Request_FindObjects{FindObjects: &extpb.FindObjectsRequest{}}}, ck.CKR_USER_NOT_LOGGED_IN, 0},
		{"and the next call", random(8), ck.CKR_OK, 8},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := turn(t, s, row.req)
			if got := ck.RV(r.GetError().GetCode()); got != row.want || len(r.GetGenerateRandom().GetRnd()) != row.len {
				t.Errorf("%v (%s), %d bytes", got, r.GetError().GetDetail(), len(r.GetGenerateRandom().GetRnd()))
			}
		})
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("after the caller's end: %v", err)
	}
}

// later has a call that this server does not know.
func later(t *testing.T) *extpb.Request {
	r := new(extpb.Request)
	if err := proto.Unmarshal([]byte{0xfa, 0x7f, 0x02, 0x08, 0x01}, r); err != nil { // field 2047
		t.Fatal(err)
	}
	return r
}

func TestADeadlineOfTheRequestCounts(t *testing.T) {
	srv := newServer(t)
	s, err := extpb.NewSessionClient(inMemory(t, srv)).Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // both units fail at every try, until the time is over
		srv.FailNext("GenerateRandom", ck.CKR_DEVICE_REMOVED, ck.CKR_DEVICE_REMOVED)
		r := random(4)
		r.TimeoutMs = 50
		start := time.Now()
		got := turn(t, s, r).GetError()
		if ck.RV(got.GetCode()) != ck.CKR_DEVICE_REMOVED || !got.Retry || time.Since(start) > time.Second {
			t.Fatalf("%v after %v", got, time.Since(start))
		}
	}
}

func TestAFailingUnitIsNotNoticed(t *testing.T) {
	c, s := crypto(t)
	s.FailNext("GenerateRandom", ck.CKR_DEVICE_REMOVED)
	must[*pb.GenerateRandomResponse](t)(c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 4}))
	s.FailNext("GenerateRandom", ck.CKR_DEVICE_ERROR, ck.CKR_DEVICE_REMOVED)
	_, err := c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 4})
	wantRV(t, err, ck.CKR_DEVICE_REMOVED)
	if !detail(t, err).Retry {
		t.Error("a unit's failure is not marked as passing")
	}
	must[*pb.GenerateRandomResponse](t)(c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 4}))
}

func TestAPanicIsAnAnswer(t *testing.T) {
	s := newServer(t)
	for _, sv := range services {
		for _, m := range sv.methods {
			if m.name != "Logout" {
				continue
			}
			run := m.run
			m.run = func(context.Context, *call, proto.Message) (proto.Message, error) { panic("for the test") }
			t.Cleanup(func() { m.run = run })
		}
	}
	c := pb.NewCryptoClient(inMemory(t, s))
	_, err := c.Logout(t.Context(), &pb.LogoutRequest{})
	wantRV(t, err, ck.CKR_FUNCTION_FAILED)
	must[*pb.GenerateRandomResponse](t)(c.GenerateRandom(t.Context(), &pb.GenerateRandomRequest{Len: 4}))
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
func (rawCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

func TestRequestsThatCannotBeRead(t *testing.T) {
	conn := inMemory(t, newServer(t))
	garbage := []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3}
	for _, m := range []string{"/grep11.Crypto/SignSingle", "/grep11.Crypto/GetMechanismList", "/grep11.ext.v1.KeyStore/FindObjects", "/grep11.ext.v1.Token/OpenLogin"} {
		var out []byte
		err := conn.Invoke(t.Context(), m, garbage, &out, grpc.ForceCodecV2(rawCodec{}))
		wantRV(t, err, ck.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
	}
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grep11.ext.v1.Session/Exchange", grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	good, _ := proto.Marshal(random(5))
	for _, row := range []struct {
		send []byte
		want ck.RV
	}{{good, ck.CKR_OK}, {garbage, ck.CKR_IBM_GREP11_CANNOT_UNMARSHAL}, {good, ck.CKR_OK}} {
		if err := s.SendMsg(row.send); err != nil {
			t.Fatal(err)
		}
		var out []byte
		if err := s.RecvMsg(&out); err != nil {
			t.Fatal(err)
		}
		var r extpb.Response
		if err := proto.Unmarshal(out, &r); err != nil || ck.RV(r.GetError().GetCode()) != row.want {
			t.Errorf("%v, %v; want %v", &r, err, row.want)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	conn := inMemory(t, newServer(t))
	b, _ := proto.Marshal(&pb.GenerateRandomRequest{Len: 4})
	b = append(b, 0xfa, 0x7f, 0x02, 0x08, 0x01, 0x10, 0x07)
	var out []byte
	if err := conn.Invoke(t.Context(), "/grep11.Crypto/GenerateRandom", b, &out, grpc.ForceCodecV2(rawCodec{})); err != nil {
		t.Error(err)
	}
}

func TestAnUnknownMethodIsUnimplemented(t *testing.T) {
	conn := inMemory(t, newServer(t))
	err := conn.Invoke(t.Context(), "/grep11.Crypto/SeedRandom", &pb.LogoutRequest{}, &pb.LogoutResponse{})
	if status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

func TestLargeRequestsAreTaken(t *testing.T) {
	c, _ := crypto(t)
	data := make([]byte, 63<<20)
	r := must[*pb.DigestSingleResponse](t)(c.DigestSingle(t.Context(), &pb.DigestSingleRequest{Mech: mechanism(ck.CKM_SHA256), Data: data}))
	if len(r.Digest) != 32 {
		t.Errorf("digest of %d bytes", len(r.Digest))
	}
	_, err := c.DigestSingle(t.Context(), &pb.DigestSingleRequest{Mech: mechanism(ck.CKM_SHA256), Data: make([]byte, 65<<20)})
	wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
}

func TestThousandsOfRequestsAtATime(t *testing.T) {
	c, _ := crypto(t)
	k := aesKey(t, c, attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_SIGN: yes()})
	errs := make(chan error)
	const n = 3000
	for range n {
		go func() {
			_, err := c.SignSingle(context.Background(), &pb.SignSingleRequest{Mech: mechanism(ck.CKM_SHA256_HMAC), PrivKey: k.Key, Data: helloMessage})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullServerRefuses(t *testing.T) {
	s := newServer(t, func(c *Config) { c.Listen.Memory = 1 })
	_, err := pb.NewCryptoClient(inMemory(t, s)).GetMechanismList(t.Context(), &pb.GetMechanismListRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// A stop lets calls finish and does not wait for idle streams.
func TestStopDrains(t *testing.T) {
	srv := newServer(t)
	conn := inMemory(t, srv)
	idle, err := extpb.NewSessionClient(conn).Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	turn(t, idle, random(4))
	done := make(chan error, 1)
	go func() {
		_, err := pb.NewCryptoClient(conn).GenerateKeyPair(t.Context(), &pb.GenerateKeyPairRequest{Mech: mechanism(ck.CKM_RSA_PKCS_KEY_PAIR_GEN),
			PubKeyTemplate: wireTemplate(rsaPublic), PrivKeyTemplate: wireTemplate(rsaPrivate)})
		done <- err
	}()
	for srv.inside.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	if err := srv.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a call was cut off: %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("the idle stream was waited for: %v", d)
	}
	if _, err := idle.Recv(); err == nil {
		t.Error("the idle stream lives on")
	}
}
