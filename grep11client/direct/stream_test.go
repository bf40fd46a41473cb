package direct_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"grep11/grep11client/direct"
	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
)

// real is gRPC's own server. A request for random bytes is answered with as many,
// one to sign with its data.
type real struct {
	extpb.UnimplementedSessionServer
	end error // instead of an answer
}

func (r real) Exchange(s grpc.BidiStreamingServer[extpb.Request, extpb.Response]) error {
	if md, _ := metadata.FromIncomingContext(s.Context()); strings.Join(md["authorization"], "") != "Bearer abc" {
		return status.Error(codes.Unauthenticated, "who is that? 100 %")
	}
	for {
		req, err := s.Recv()
		if err != nil || r.end != nil {
			return errors.Join(r.end, err)
		}
		resp := &extpb.Response{Result: &extpb.Response_SignSingle{SignSingle: &grep11pb.SignSingleResponse{Signature: req.GetSignSingle().GetData()}}}
		if n := req.GetGenerateRandom().GetLen(); n > 0 {
			resp = &extpb.Response{Result: &extpb.Response_GenerateRandom{GenerateRandom: &grep11pb.GenerateRandomResponse{Rnd: make([]byte, n)}}}
		}
		if err := s.Send(resp); err != nil {
			return err
		}
	}
}

func dialReal(t *testing.T, r real, opts ...grpc.ServerOption) *direct.Socket {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := grpc.NewServer(append(opts, grpc.MaxSendMsgSize(80<<20))...)
	extpb.RegisterSessionServer(s, r)
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Stop(); <-done })
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	socket := direct.NewSocket(conn)
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

var bearer = hpack.HeaderField{Name: "authorization", Value: "Bearer abc"}

func open(t *testing.T, socket *direct.Socket, md ...hpack.HeaderField) *direct.Stream {
	t.Helper()
	s, err := direct.Open(socket, direct.Method{Authority: "localhost", Path: extpb.Session_Exchange_FullMethodName, Metadata: md})
	must(t, err)
	must(t, socket.Block())
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func call(s *direct.Stream, req *extpb.Request) (*extpb.Response, error) {
	answer, err := s.Call(func(b []byte) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(b, req) })
	if err != nil {
		return nil, err
	}
	resp := new(extpb.Response)
	return resp, proto.Unmarshal(answer, resp)
}

func sign(data []byte) *extpb.Request {
	return &extpb.Request{Call: &extpb.Request_SignSingle{SignSingle: &grep11pb.SignSingleRequest{Data: data}}}
}

func random(n uint64) *extpb.Request {
	return &extpb.Request{Call: &extpb.Request_GenerateRandom{GenerateRandom: &grep11pb.GenerateRandomRequest{Len: n}}}
}

func TestCallsInTurn(t *testing.T) {
	s := open(t, dialReal(t, real{}), bearer)
	for _, n := range []int{0, 1, 32, 5000, direct.MaxRequest - 16} {
		data := bytes.Repeat([]byte{7}, n)
		resp, err := call(s, sign(data))
		must(t, err)
		if !bytes.Equal(resp.GetSignSingle().Signature, data) {
			t.Errorf("%d bytes: another answer", n)
		}
	}
}

// What both sides grant is renewed, in 5 MB one way and 60 MB the other.
func TestManyBytes(t *testing.T) {
	s := open(t, dialReal(t, real{}), bearer)
	big := sign(make([]byte, direct.MaxRequest-16))
	for range 300 {
		_, err := call(s, big)
		must(t, err)
		if !s.Good() {
			t.Fatal("the stream is used up")
		}
	}
	for range 2 {
		resp, err := call(s, random(30<<20))
		must(t, err)
		if n := len(resp.GetGenerateRandom().Rnd); n != 30<<20 {
			t.Fatalf("%d bytes", n)
		}
	}
}

func TestARequestThatDoesNotFit(t *testing.T) {
	s := open(t, dialReal(t, real{}), bearer)
	if _, err := call(s, sign(make([]byte, direct.MaxRequest))); err == nil {
		t.Error("taken")
	}
	if _, err := direct.Open(dialReal(t, real{}), direct.Method{Path: "/x", Metadata: []hpack.HeaderField{{Name: "a", Value: strings.Repeat("~", 20000)}}}); err == nil {
		t.Error("metadata of 20 kB was taken")
	}
}

func TestTheServerEndsTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		server real
		md     []hpack.HeaderField
		want   codes.Code
		text   string
	}{
		"at once":           {real{}, nil, codes.Unauthenticated, "who is that? 100 %"},
		"instead of answer": {real{end: status.Error(codes.Unavailable, "the server stops")}, []hpack.HeaderField{bearer}, codes.Unavailable, "the server stops"},
	} {
		_, err := call(open(t, dialReal(t, c.server), c.md...), sign([]byte{1}))
		if st, ok := status.FromError(err); !ok || st.Code() != c.want || !strings.Contains(st.Message(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that asks whether we are there, between two calls, is answered in the
// second one; one that has had enough of us says so.
func TestKeepalive(t *testing.T) {
	s := open(t, dialReal(t, real{}, grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Second, Timeout: 5 * time.Second, MaxConnectionAge: 3 * time.Second})), bearer)
	for range 2 {
		_, err := call(s, sign([]byte{1}))
		must(t, err)
		time.Sleep(1500 * time.Millisecond)
	}
	for range 10 {
		if _, err := call(s, sign([]byte{1})); err != nil || !s.Good() {
			return
		}
		time.Sleep(time.Second)
	}
	t.Error("the server's goodbye was not heard")
}

func TestShutEndsACall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	socket := direct.NewSocket(conn)
	must(t, socket.Block())
	time.AfterFunc(100*time.Millisecond, socket.Shut)
	if n, err := socket.Read(make([]byte, 1)); err != io.EOF || n != 0 {
		t.Errorf("read: %d, %v", n, err)
	}
	if _, err := socket.Write([]byte{1}); err == nil {
		t.Error("a write after it went well")
	}
	must(t, socket.Close())
	socket.Shut()
	if _, err := socket.Read(make([]byte, 1)); err == nil {
		t.Error("a read after Close went well")
	}
}

func TestNoSocketOfTheKernels(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	if err := direct.NewSocket(a).Block(); err == nil {
		t.Error("taken")
	}
}

// peer sends bytes, and throws away what it is sent.
type peer struct {
	io.Reader
	io.Writer
}

// script makes the bytes of a server that grants, and then does something else.
func script(f func(*http2.Framer)) *peer {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	_ = fr.WriteSettings()
	f(fr)
	return &peer{&b, io.Discard}
}

// message is a whole gRPC message.
func message(compressed byte, length int, data string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(length)), data...)
}

func block(fields ...string) (b []byte) {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return buf.Bytes()
}

func TestWhatAServerMaySend(t *testing.T) {
	for name, c := range map[string]struct {
		send func(*http2.Framer)
		want string // the answer; or of the error
	}{
		"an answer": {func(f *http2.Framer) { _ = f.WriteData(1, false, message(0, 2, "ok")) }, "ok"},
		"an answer in pieces": {func(f *http2.Framer) {
			_ = f.WriteData(1, false, []byte{0, 0})
			_ = f.WriteData(1, false, []byte{0, 0, 2, 'o'})
			_ = f.WriteDataPadded(1, false, []byte("k"), make([]byte, 9))
		}, "ok"},
		"questions before it": {func(f *http2.Framer) {
			_ = f.WritePing(false, [8]byte{1})
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			_ = f.WriteWindowUpdate(1, 5)
			_ = f.WriteRawFrame(0x99, 0, 1, []byte("?"))
			_ = f.WriteData(1, false, message(0, 2, "ok"))
		}, "ok"},
		"a goodbye before it": {func(f *http2.Framer) {
			_ = f.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = f.WriteData(1, false, message(0, 2, "ok"))
		}, "ok"},
		"nothing":             {func(*http2.Framer) {}, "EOF"},
		"half an answer":      {func(f *http2.Framer) { _ = f.WriteData(1, false, message(0, 3, "ok")) }, "EOF"},
		"two answers":         {func(f *http2.Framer) { _ = f.WriteData(1, false, append(message(0, 2, "ok"), 0)) }, "more than one answer"},
		"a compressed answer": {func(f *http2.Framer) { _ = f.WriteData(1, false, message(1, 2, "ok")) }, "compressed"},
		"a huge answer":       {func(f *http2.Framer) { _ = f.WriteData(1, false, message(0, 1<<31, "ok")) }, "an answer of"},
		"an end without word": {func(f *http2.Framer) { _ = f.WriteData(1, true, message(0, 3, "ok")) }, "without a status"},
		"another stream":      {func(f *http2.Framer) { _ = f.WriteData(3, false, message(0, 2, "ok")) }, "data on stream 3"},
		"a push": {func(f *http2.Framer) {
			_ = f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block(":path", "/"), EndHeaders: true})
		}, "pushes"},
		"a reset":              {func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) }, "ended the stream: CANCEL"},
		"a goodbye with cause": {func(f *http2.Framer) { _ = f.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, nil) }, "ENHANCE_YOUR_CALM"},
		"a goodbye to us":      {func(f *http2.Framer) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }, "goodbye"},
		"another program": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "404"), EndHeaders: true})
		}, `HTTP status "404"`},
		"a wrong status": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("grpc-status", "x"), EndHeaders: true, EndStream: true})
		}, "without a status"},
		"an end in peace": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("grpc-status", "0"), EndHeaders: true, EndStream: true})
		}, "EOF"},
		"too large a grant": {func(f *http2.Framer) { _ = f.WriteWindowUpdate(1, 1<<31-1) }, "grants more"},
		"too large a frame": {func(f *http2.Framer) { _ = f.WriteData(1, false, make([]byte, 17<<10)) }, "frame too large"},
	} {
		s, err := direct.Open(script(c.send), direct.Method{Authority: "localhost", Path: "/x"})
		must(t, err)
		got, err := s.Call(func(b []byte) ([]byte, error) { return append(b, "hello"...), nil })
		if err != nil {
			got = []byte(err.Error())
		}
		if !strings.Contains(string(got), c.want) || (c.want == "ok") != (err == nil) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A peer that grants little is given no request that it does not take.
func TestASmallGrant(t *testing.T) {
	s, err := direct.Open(script(func(f *http2.Framer) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		_ = f.WriteData(1, false, message(0, 2, "ok"))
	}), direct.Method{Authority: "localhost", Path: "/x"})
	must(t, err)
	_, err = s.Call(func(b []byte) ([]byte, error) { return append(b, "hello"...), nil })
	must(t, err)
	if s.Good() {
		t.Error("good for another request")
	}
}

// Whatever a server sends, opening and calling end, with an answer or an error.
func FuzzServer(f *testing.F) {
	for _, send := range []func(*http2.Framer){
		func(f *http2.Framer) { _ = f.WriteData(1, false, message(0, 2, "ok")) },
		func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{}); _ = f.WriteGoAway(1, 0, nil) },
		func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200"), EndHeaders: true})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block("grpc-status", "14"), EndHeaders: true, EndStream: true})
		},
	} {
		b, _ := io.ReadAll(script(send))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := direct.Open(&peer{bytes.NewReader(b), io.Discard}, direct.Method{Authority: "localhost", Path: "/x"})
		for err == nil {
			_, err = s.Call(func(b []byte) ([]byte, error) { return append(b, "hello"...), nil })
		}
	})
}
