package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"grep11/grep11client"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// testIssuer is an OpenID Connect issuer on loopback.
type testIssuer struct {
	*testing.T
	*httptest.Server
	keys    atomic.Pointer[jose.JSONWebKeySet] // that it shows
	fetches atomic.Int64
}

func newTestIssuer(t *testing.T) *testIssuer {
	i := &testIssuer{T: t}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		_ = json.NewEncoder(w).Encode(i.keys.Load())
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

// ca writes the issuer's certificate.
func (i *testIssuer) ca() string {
	path := filepath.Join(i.TempDir(), "issuer.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600); err != nil {
		i.Fatal(err)
	}
	return path
}

func newTokenKey(t *testing.T, id string) *jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256"}
}

// shows has the issuer show the public halves of keys.
func (i *testIssuer) shows(keys ...*jose.JSONWebKey) {
	set := &jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	i.keys.Store(set)
}

// claims are those of a good token.
func (i *testIssuer) claims() map[string]any {
	return map[string]any{"iss": i.URL, "aud": "grep11", "sub": "system:serviceaccount:web:nginx", "exp": time.Now().Add(time.Hour).Unix()}
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTokensOfAnIssuer(t *testing.T) {
	i := newTestIssuer(t)
	key, other := newTokenKey(t, "one"), newTokenKey(t, "one")
	i.shows(key)
	known, err := newIssuers([]OIDC{{Issuer: i.URL, Audience: "grep11", CA: i.ca(), Allow: []string{"system:serviceaccount:web:*"}}})
	if err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) map[string]any {
		c := i.claims()
		c[name] = value
		return c
	}
	good := signed(t, jose.ES256, key, i.claims())
	public, err := key.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, token string
		ok          bool
	}{
		{"a good one", good, true},
		{"a good one again", good, true},
		{"one for several, us among them", signed(t, jose.ES256, key, with("aud", []string{"others", "grep11"})), true},
		{"none", "", false},
		{"no token at all", "a.b.c", false},
		{"for others", signed(t, jose.ES256, key, with("aud", "others")), false},
		{"that has expired", signed(t, jose.ES256, key, with("exp", time.Now().Add(-time.Second).Unix())), false},
		{"that begins tomorrow", signed(t, jose.ES256, key, with("nbf", time.Now().Add(24*time.Hour).Unix())), false},
		{"without an end", signed(t, jose.ES256, key, with("exp", nil)), false},
		{"of another issuer", signed(t, jose.ES256, key, with("iss", "https://elsewhere.example.com")), false},
		{"of a subject that may not call", signed(t, jose.ES256, key, with("sub", "system:serviceaccount:other:nginx")), false},
		{"signed with another key", signed(t, jose.ES256, other, i.claims()), false},
		{"signed with the public key as a secret", signed(t, jose.HS256, append(public, make([]byte, 32)...), i.claims()), false},
		{"altered", good[:len(good)-6] + "AAAAAA", false},
		{"not signed", strings.Join([]string{"eyJhbGciOiJub25lIn0", strings.Split(good, ".")[1], ""}, "."), false},
		{"longer than any", good + strings.Repeat("A", maxBearer), false},
	} {
		id, err := known.verify(t.Context(), row.token)
		if row.ok && (err != nil || id.Name != "system:serviceaccount:web:nginx" || id.Until.IsZero() || id.Admin) {
			t.Errorf("a token %s: %+v, %v", row.name, id, err)
		}
		if !row.ok && !errors.Is(err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED) {
			t.Errorf("a token %s: %v", row.name, err)
		}
	}
	if n := i.fetches.Load(); n > 1 {
		t.Errorf("the issuer was asked for its keys %d times", n)
	}
}

// The server starts without its issuer, learns of new keys, and does without it again.
func TestAnIssuerThatComesAndGoes(t *testing.T) {
	i := newTestIssuer(t)
	ca := i.ca()
	key, next := newTokenKey(t, "one"), newTokenKey(t, "two")
	i.shows(key)
	known, err := newIssuers([]OIDC{{Issuer: "https://127.0.0.1:1", Audience: "grep11"}, {Issuer: i.URL, Audience: "grep11", CA: ca}})
	if err != nil {
		t.Fatal(err)
	}
	claims := i.claims()
	claims["iss"] = "https://127.0.0.1:1"
	if _, err := known.verify(t.Context(), signed(t, jose.ES256, key, claims)); !wire.IsTransient(err) {
		t.Error("an issuer that is away:", err)
	}
	if _, err := known.verify(t.Context(), signed(t, jose.ES256, key, i.claims())); err != nil {
		t.Error(err)
	}
	i.shows(key, next)
	ask := known.all[1].http.Transport.(*sparing)
	ask.mu.Lock()
	clear(ask.last) // some time later
	ask.mu.Unlock()
	// The answer of the first fetch may be the one for a moment longer.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := known.verify(t.Context(), signed(t, jose.ES256, next, i.claims()))
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a new key:", err)
		}
	}
	i.Close()
	if _, err := known.verify(t.Context(), signed(t, jose.ES256, next, i.claims())); err != nil {
		t.Error("a known key of an issuer that is away:", err)
	}
}

// Short-lived tokens in a file that something else writes again: a stream ends with the
// token that opened it, and callers do not notice.
func TestTokensThatAreReplaced(t *testing.T) {
	i, a := newTestIssuer(t), newAuthority(t)
	a.issue(t, "server", "server", a)
	key := newTokenKey(t, "one")
	i.shows(key)
	s := overLoopback(t, func(c *Config) {
		withTLS(a, "optional")(c)
		c.Auth.OIDC = []OIDC{{Issuer: i.URL, Audience: "grep11", CA: i.ca()}}
	})
	file := filepath.Join(t.TempDir(), "token")
	write := func() {
		c := i.claims()
		c["exp"] = time.Now().Add(2 * time.Second).Unix()
		if err := os.WriteFile(file, []byte(signed(t, jose.ES256, key, c)), 0o600); err != nil {
			t.Error(err)
		}
	}
	write()
	timeouts := grep11client.DefaultTimeouts
	timeouts.Unreachable = time.Second
	c, err := grep11client.New(grep11client.Config{Endpoints: []grep11client.Endpoint{{Address: s.Addr(true).String()}}, Timeouts: timeouts,
		TLS: &grep11client.TLS{CA: a.path("ca.pem"), ServerName: "localhost"}, Auth: grep11client.Auth{BearerFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	random := func() error {
		_, err := c.Token(nil).Random(t.Context(), 16)
		return err
	}
	calls := 0
	for begin, written := time.Now(), time.Now(); time.Since(begin) < 5*time.Second; calls++ {
		if time.Since(written) > 500*time.Millisecond {
			write()
			written = time.Now()
		}
		if err := random(); err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; {
		if err := random(); errors.Is(err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED) {
			break
		} else if err != nil || time.Now().After(end) {
			t.Fatal("a token that nobody replaced:", err)
		}
	}
	write()
	if err := random(); err != nil {
		t.Error("a fresh token after that:", err)
	}
}
