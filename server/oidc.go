package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	lru "github.com/hashicorp/golang-lru/v2"

	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// OIDC is an OpenID Connect issuer, such as a Kubernetes cluster, whose signed
// tokens callers may send as "authorization: Bearer".
type OIDC struct {
	Issuer   string   `toml:"issuer"`   // https address, as tokens name it
	Audience string   `toml:"audience"` // that tokens must be for
	CA       string   `toml:"ca"`       // PEM file for the issuer's TLS; empty: the system's
	Allow    []string `toml:"allow"`    // patterns of the subjects that may call; none: all
}

func (o OIDC) check() error {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || loopback(u.Host) != nil) {
		return fmt.Errorf("issuer %q is no https address", o.Issuer)
	}
	if o.Audience == "" {
		return errors.New("audience is missing: tokens for others would be good here, too")
	}
	for _, p := range o.Allow {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("allow: %q is no pattern", p)
		}
	}
	return nil
}

// issuers checks tokens of several issuers.
type issuers struct {
	all  []*issuer
	seen *lru.Cache[[sha256.Size]byte, access.Identity] // good tokens, by their hash
}

const (
	maxBearer    = 16 << 10 // bytes of a token
	maxSeen      = 4096
	issuerWait   = 5 * time.Second
	refetchEvery = 5 * time.Second // of one document of an issuer
)

// algorithms of signatures; none with a shared secret.
var tokenAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

func newIssuers(configs []OIDC) (*issuers, error) {
	seen, err := lru.New[[sha256.Size]byte, access.Identity](maxSeen)
	if err != nil {
		return nil, err
	}
	s := &issuers{seen: seen}
	for _, c := range configs {
		client, err := issuerClient(c.CA)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, &issuer{config: c, http: client})
	}
	return s, nil
}

func issuerClient(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, badKey("auth.oidc", "ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, badKey("auth.oidc", "ca: %s holds no certificate", ca)
		}
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return &http.Client{Transport: &sparing{Transport: t, last: map[string]time.Time{}}, Timeout: issuerWait}, nil
}

// sparing fetches a document seldom: each token with an unknown key asks for it.
type sparing struct {
	*http.Transport
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu; by address, of which an issuer has two
}

var errTooSoon = errors.New("the issuer was asked a moment ago")

func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	soon := time.Since(s.last[r.URL.String()]) < refetchEvery
	if !soon {
		s.last[r.URL.String()] = time.Now()
	}
	s.mu.Unlock()
	if soon {
		return nil, errTooSoon
	}
	return s.Transport.RoundTrip(r)
}

// verify tells who a token stands for, and until when.
func (s *issuers) verify(ctx context.Context, token string) (access.Identity, error) {
	if len(s.all) == 0 || len(token) > maxBearer {
		return access.Identity{}, errNoToken
	}
	hash := sha256.Sum256([]byte(token))
	if id, ok := s.seen.Get(hash); ok && time.Now().Before(id.Until) {
		return id, nil
	}
	named := namedIssuer(token)
	at := slices.IndexFunc(s.all, func(i *issuer) bool { return i.config.Issuer == named })
	if at < 0 {
		return access.Identity{}, errNoToken
	}
	id, err := s.all[at].verify(ctx, token)
	if err == nil {
		s.seen.Add(hash, id)
	}
	return id, err
}

var errNoToken = fmt.Errorf("no valid bearer token: %w", ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)

// namedIssuer is what a token that is not checked yet says of its issuer.
func namedIssuer(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// issuer asks for an issuer's keys when they are first needed, so that a server starts
// without it, and again when a token names one that it does not know.
type issuer struct {
	config OIDC
	http   *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // guarded by mu; nil: not asked yet
}

func (i *issuer) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier != nil {
		return i.verifier, nil
	}
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), i.http)
	p, err := oidc.NewProvider(ctx, i.config.Issuer)
	if err != nil {
		return nil, err
	}
	i.verifier = p.VerifierContext(ctx, &oidc.Config{ClientID: i.config.Audience, SupportedSigningAlgs: tokenAlgorithms})
	return i.verifier, nil
}

func (i *issuer) verify(ctx context.Context, token string) (access.Identity, error) {
	v, err := i.ready(ctx)
	if err != nil {
		return access.Identity{}, wire.Transient(fmt.Errorf("the issuer %s cannot be asked: %v: %w", i.config.Issuer, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED))
	}
	t, err := v.Verify(ctx, token)
	if err != nil {
		return access.Identity{}, fmt.Errorf("bearer token of %s: %v: %w", i.config.Issuer, err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	if !i.allows(t.Subject) {
		return access.Identity{}, fmt.Errorf("bearer token of %s: %q may not call (auth.oidc allow): %w", i.config.Issuer, t.Subject, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	return access.Identity{Name: t.Subject, Until: t.Expiry}, nil
}

func (i *issuer) allows(subject string) bool {
	return len(i.config.Allow) == 0 || slices.ContainsFunc(i.config.Allow, func(pattern string) bool {
		ok, err := path.Match(pattern, subject)
		return err == nil && ok
	})
}
