package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const apiKey = "a+b/c=key-%41"

func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

func endpoint(t *testing.T) (*iam, string) {
	keys, err := parseHashes([]string{hashOf(apiKey)})
	if err != nil {
		t.Fatal(err)
	}
	i := newIAM(keys, []byte("service key"), slog.New(slog.DiscardHandler))
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	return i, s.URL + iamPath
}

func TestAPIKeysAreExchanged(t *testing.T) {
	i, at := endpoint(t)
	escaped := url.Values{"grant_type": {iamGrant}, "apikey": {apiKey}}.Encode()
	for _, row := range []struct {
		name, query, body string
		status            int
	}{
		{"in the body, not escaped", "", "grant_type=" + iamGrant + "&apikey=" + apiKey, http.StatusOK},
		{"in the body, escaped", "", escaped, http.StatusOK},
		{"in the URL, without a body", "?" + escaped, "", http.StatusOK},
		{"an unknown key", "", "grant_type=" + iamGrant + "&apikey=x", http.StatusBadRequest},
		{"no key", "", "grant_type=" + iamGrant, http.StatusBadRequest},
		{"another grant", "", "grant_type=password&apikey=" + apiKey, http.StatusBadRequest},
		{"nothing", "", "", http.StatusBadRequest},
		{"too much", "", strings.Repeat("x", maxIAMBody+1), http.StatusBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := http.Post(at+row.query, "application/x-www-form-urlencoded", strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			var a iamAnswer
			if err := json.Unmarshal(b, &a); err != nil || r.StatusCode != row.status {
				t.Fatalf("%d %s, %v", r.StatusCode, b, err)
			}
			if row.status != http.StatusOK {
				if a.ErrorCode == "" || a.ErrorMessage == "" || a.AccessToken != "" {
					t.Errorf("answer %s", b)
				}
				return
			}
			if !i.issued(a.AccessToken) || a.ExpiresIn != 3600 || a.Expiration < time.Now().Unix()+3500 || a.TokenType != "Bearer" {
				t.Errorf("answer %s", b)
			}
		})
	}
}

func TestOnlyIssuedTokensCount(t *testing.T) {
	i, _ := endpoint(t)
	good := i.token(time.Now().Add(time.Minute))
	other := newIAM(nil, []byte("another key"), slog.New(slog.DiscardHandler))
	for name, token := range map[string]string{
		"expired": i.token(time.Now().Add(-time.Second)), "altered": good[:5] + "A" + good[6:], "shorter": good[:len(good)-4],
		"of another service": other.token(time.Now().Add(time.Hour)), "empty": "", "no base64": "!!",
	} {
		if i.issued(token) && token != good {
			t.Errorf("a token was accepted: %s", name)
		}
	}
	if !i.issued(good) {
		t.Error("a good token was refused")
	}
}

func TestATokenOfTheEndpointOpensTheService(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", "server", a)
	s := overLoopback(t, func(c *Config) {
		withTLS(a, "optional")(c)
		c.Auth.APIKeys = []string{hashOf(apiKey)}
	})
	conn := dial(t, s.Addr(true).String(), a.client(t, ""))
	if err := ask(t.Context(), conn); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.doors.auth.iam.token(time.Now().Add(time.Minute)))
	if err := ask(ctx, conn); err != nil {
		t.Error(err)
	}
}
