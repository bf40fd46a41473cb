package grep11client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// guarded starts a plain server that takes one bearer token at a time.
func guarded(t *testing.T, accepted *atomic.Value) string {
	l := listen(t, "127.0.0.1:0")
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if got := strings.Join(md.Get("authorization"), ","); got != "Bearer "+accepted.Load().(string) {
			return nil, status.Error(codes.Unauthenticated, "CKR_IBM_GREP11_NOT_AUTHENTICATED")
		}
		return h(ctx, req)
	}))
	grep11pb.RegisterCryptoServer(s, plainServer{})
	var done sync.WaitGroup
	done.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); done.Wait() })
	return l.Addr().String()
}

func file(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheBearerFileIsReadAnew(t *testing.T) {
	var accepted atomic.Value
	accepted.Store("one")
	path := file(t, "one\n")
	tok := dialTo(t, Config{Auth: Auth{BearerFile: path}}, guarded(t, &accepted)).Token(nil)
	mustSign(t, tok)
	accepted.Store("two")
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	_ = os.WriteFile(path, []byte("two"), 0o600)
	mustSign(t, tok)
	_ = os.Remove(path)
	_, err = tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
}

func TestTokensOfIAM(t *testing.T) {
	var accepted atomic.Value
	accepted.Store("token1")
	var issued, broken atomic.Int64
	iam := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case broken.Load() > 0:
			broken.Add(-1)
			w.WriteHeader(http.StatusBadGateway)
		case r.Method != http.MethodPost || r.URL.Path != "/identity/token" || r.PostFormValue("grant_type") != grantType || r.PostFormValue("apikey") != "the key+":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found."}`)
		default:
			fmt.Fprintf(w, `{"access_token":"token%d","expires_in":3600}`, issued.Add(1))
		}
	}))
	t.Cleanup(iam.Close)
	address := guarded(t, &accepted)
	tok := dialTo(t, Config{Auth: Auth{IAM: iam.URL + "/", APIKeyFile: file(t, "the key+\n")}}, address).Token(nil)
	broken.Store(1)
	mustSign(t, tok)
	mustSign(t, tok)
	if issued.Load() != 1 {
		t.Errorf("%d tokens for two calls", issued.Load())
	}
	accepted.Store("token2") // the service gave up on the first
	mustSign(t, tok)
	tok = dialTo(t, Config{Auth: Auth{IAM: iam.URL, APIKeyFile: file(t, "another")}}, address).Token(nil)
	_, err := tok.call(context.Background(), signRequest(nil))
	wantRV(t, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	if text := fmt.Sprint(err); strings.Contains(text, "another") || !strings.Contains(text, "BXNIM0415E") {
		t.Error(text)
	}
}

func TestAuthThatIsRefused(t *testing.T) {
	for _, a := range []Auth{{IAM: "https://iam"}, {APIKeyFile: "f"}, {IAM: "http://iam", APIKeyFile: "f"}, {IAM: "ftp://localhost", APIKeyFile: "f"}, {IAM: "://", APIKeyFile: "f"}} {
		_, err := New(Config{Endpoints: []Endpoint{{Address: "unix:/s"}}, Auth: a})
		wantRV(t, err, ck.CKR_ARGUMENTS_BAD)
	}
}
