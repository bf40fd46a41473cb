package grep11client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

func mustSign(t *testing.T, tok *Token) {
	t.Helper()
	resp, err := tok.call(context.Background(), signRequest([]byte("data")))
	if err != nil || !bytes.Equal(bytesOf(resp), []byte("data")) {
		t.Errorf("%v, %v", resp, err)
	}
}

func wantRV(t *testing.T, err error, rv ck.RV) {
	t.Helper()
	if !errors.Is(err, rv) {
		t.Errorf("got %v (%v), want %v", ck.RVOf(err), err, rv)
	}
}

func TestARestartIsInvisible(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	s := serve(t, l, &fakeServer{answer: signs})
	tok := dialTo(t, Config{}, l.Addr().String()).Token(nil)
	mustSign(t, tok)
	s.Stop()
	time.AfterFunc(300*time.Millisecond, func() { serve(t, listen(t, l.Addr().String()), &fakeServer{answer: signs}) })
	mustSign(t, tok)
}

func TestAServiceThatIsAwayFailsInTimeAndComesBack(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	_ = l.Close()
	tok := dialTo(t, Config{}, address).Token(nil)
	start := time.Now()
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_DEVICE_REMOVED)
	if !strings.Contains(fmt.Sprint(err), "refused") || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	s := serve(t, listen(t, address), &fakeServer{answer: signs})
	mustSign(t, tok)
	s.Stop()
	start = time.Now()
	_, err = tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_DEVICE_REMOVED)
	if d := time.Since(start); d < quick.Unreachable/2 || d > 2*quick.Unreachable {
		t.Errorf("gave up after %v", d)
	}
	serve(t, listen(t, address), &fakeServer{answer: signs})
	mustSign(t, tok)
}

func TestADeadServerOfTwoIsNotNoticed(t *testing.T) {
	one, two := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	first := serve(t, one, &fakeServer{answer: signs})
	serve(t, two, &fakeServer{answer: signs})
	tok := dialTo(t, Config{}, one.Addr().String(), two.Addr().String()).Token(nil)
	time.AfterFunc(200*time.Millisecond, first.Stop)
	until := time.Now().Add(500 * time.Millisecond)
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for range 16 {
		wg.Go(func() {
			for time.Now().Before(until) {
				start := time.Now()
				mustSign(t, tok)
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			}
		})
	}
	wg.Wait()
	if d := time.Duration(slowest.Load()); d > time.Second {
		t.Errorf("slowest call took %v", d)
	}
}

// hang answers only when asked to stop.
func hang(ctx context.Context, _ *extpb.Request) (*extpb.Response, error) {
	<-ctx.Done()
	return nil, nil
}

func TestAHangingServer(t *testing.T) {
	one, two := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	serve(t, one, &fakeServer{answer: hang})
	serve(t, two, &fakeServer{answer: signs})
	t.Run("is passed over where another one answers", func(t *testing.T) {
		tok := dialTo(t, Config{}, one.Addr().String(), two.Addr().String()).Token(nil)
		for range 4 {
			mustSign(t, tok)
		}
	})
	t.Run("makes calls fail in time where it is alone", func(t *testing.T) {
		timeouts := quick
		timeouts.Call = 500 * time.Millisecond
		tok := dialTo(t, Config{Timeouts: timeouts}, one.Addr().String()).Token(nil)
		start := time.Now()
		_, err := tok.call(context.Background(), signRequest(nil))
		wantRV(t, err, ck.CKR_DEVICE_ERROR)
		if time.Since(start) > time.Second {
			t.Errorf("took %v", time.Since(start))
		}
	})
	t.Run("lets go when the caller does", func(t *testing.T) {
		tok := dialTo(t, Config{}, one.Addr().String()).Token(nil)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := tok.call(ctx, signRequest(nil))
		wantRV(t, fmt.Errorf("%w", ck.RVOf(err)), ck.CKR_FUNCTION_CANCELED)
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err = tok.call(ctx, signRequest(nil))
		wantRV(t, err, ck.CKR_DEVICE_ERROR)
	})
	t.Run("lets go when the client is closed", func(t *testing.T) {
		c := dialTo(t, Config{}, one.Addr().String())
		time.AfterFunc(100*time.Millisecond, func() { _ = c.Close() })
		_, err := c.Token(nil).call(context.Background(), signRequest(nil))
		wantRV(t, err, ck.CKR_FUNCTION_CANCELED)
	})
}

func TestASilentPeerIsGivenUp(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	var conns []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			conns = append(conns, c)
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	start := time.Now()
	_, err := dialTo(t, Config{}, l.Addr().String()).Token(nil).call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_DEVICE_REMOVED)
	if !strings.Contains(fmt.Sprint(err), "does not speak") || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestWhatIsRepeated(t *testing.T) {
	for name, row := range map[string]struct {
		fails []error
		req   *extpb.Request
		seen  int64
		want  ck.RV
	}{
		"a busy service is asked again":       {[]error{wire.Transient(ck.CKR_DEVICE_ERROR), wire.Transient(ck.CKR_DEVICE_ERROR)}, signRequest(nil), 3, ck.CKR_OK},
		"a refusal is final":                  {[]error{ck.CKR_KEY_FUNCTION_NOT_PERMITTED}, signRequest(nil), 1, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		"a broken stream is replaced":         {[]error{nil}, signRequest(nil), 2, ck.CKR_OK},
		"a PIN change is sent once":           {[]error{nil}, &extpb.Request{Call: &extpb.Request_SetPin{SetPin: &extpb.SetPinRequest{}}}, 1, ck.CKR_DEVICE_REMOVED},
		"but again where it was turned away":  {[]error{wire.Transient(ck.CKR_DEVICE_ERROR), ck.CKR_PIN_INCORRECT}, &extpb.Request{Call: &extpb.Request_SetPin{SetPin: &extpb.SetPinRequest{}}}, 2, ck.CKR_PIN_INCORRECT},
		"an answer to something else is none": {nil, &extpb.Request{Call: &extpb.Request_ListTokens{ListTokens: &extpb.ListTokensRequest{}}}, 1, ck.CKR_DEVICE_ERROR},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			f := &fakeServer{}
			f.answer = func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
				if i := int(n.Add(1)) - 1; i < len(row.fails) {
					return nil, row.fails[i] // nil: end the stream
				}
				return signs(ctx, req)
			}
			l := listen(t, "127.0.0.1:0")
			serve(t, l, f)
			_, err := dialTo(t, Config{}, l.Addr().String()).call(context.Background(), row.req)
			if ck.RVOf(err) != row.want || f.seen.Load() != row.seen {
				t.Errorf("%v after %d requests", err, f.seen.Load())
			}
		})
	}
}

func TestAnExpiredLoginIsRenewedOnce(t *testing.T) {
	var renewals atomic.Int64
	f := &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
		switch {
		case req.GetRenewLogin() != nil:
			renewals.Add(1)
			return &extpb.Response{Result: &extpb.Response_RenewLogin{RenewLogin: &extpb.RenewLoginResponse{Credential: []byte("fresh")}}}, nil
		case req.GetOpenLogin() != nil:
			return &extpb.Response{Result: &extpb.Response_OpenLogin{OpenLogin: &extpb.OpenLoginResponse{Credential: []byte("old")}}}, nil
		case string(req.Credential) == "old":
			return nil, wire.Transient(ck.CKR_USER_NOT_LOGGED_IN)
		case string(req.Credential) != "fresh":
			return nil, ck.CKR_USER_NOT_LOGGED_IN
		}
		return signs(ctx, req)
	}}
	l := listen(t, "127.0.0.1:0")
	serve(t, l, f)
	tok := dialTo(t, Config{}, l.Addr().String()).Token([]byte("token"))
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	if err := tok.Login(context.Background(), ck.CKU_USER, ck.Secret("1234")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { mustSign(t, tok) })
	}
	wg.Wait()
	if renewals.Load() != 1 {
		t.Errorf("%d renewals", renewals.Load())
	}
	_ = tok.Logout(context.Background())
	_, err = tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_USER_NOT_LOGGED_IN)
}

func TestManyCallersShareFewStreams(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	f := &fakeServer{answer: slowly}
	serve(t, l, f, grpc.MaxConcurrentStreams(1000))
	tok := dialTo(t, Config{Pool: Pool{Streams: 50, Lines: -1}, Timeouts: DefaultTimeouts}, l.Addr().String()).Token(nil)
	var wg sync.WaitGroup
	for range 2000 {
		wg.Go(func() { mustSign(t, tok) })
	}
	wg.Wait()
	if n := f.streams.Load(); n > 50 {
		t.Errorf("%d streams", n)
	}
}

func TestAServerThatSaysGoodbyeLosesNoCall(t *testing.T) {
	one, two := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	first := serve(t, one, &fakeServer{answer: func(ctx context.Context, req *extpb.Request) (*extpb.Response, error) {
		time.Sleep(20 * time.Millisecond)
		return signs(ctx, req)
	}})
	serve(t, two, &fakeServer{answer: signs})
	tok := dialTo(t, Config{}, one.Addr().String(), two.Addr().String()).Token(nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				mustSign(t, tok)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	done := make(chan struct{})
	go func() { defer close(done); first.GracefulStop() }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Error("idle streams keep the server from stopping")
	}
	wg.Wait()
}

func TestTheOwnZoneIsPreferred(t *testing.T) {
	near, far := &fakeServer{answer: signs}, &fakeServer{answer: signs}
	l1, l2 := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	nearServer := serve(t, l1, near)
	serve(t, l2, far)
	c := dialTo(t, Config{Zone: "a", Endpoints: []Endpoint{{l2.Addr().String(), "b"}, {l1.Addr().String(), "a"}}})
	for near.seen.Load() == 0 { // on a busy machine its connection may be slow, and the other is taken
		mustSign(t, c.Token(nil))
	}
	near.seen.Store(0)
	far.seen.Store(0)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { mustSign(t, c.Token(nil)) })
	}
	wg.Wait()
	if near.seen.Load() != 50 || far.seen.Load() != 0 {
		t.Errorf("%d calls near, %d far", near.seen.Load(), far.seen.Load())
	}
	nearServer.Stop()
	mustSign(t, c.Token(nil))
	if far.seen.Load() != 1 {
		t.Error("the other zone was not asked")
	}
}
