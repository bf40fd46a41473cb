package grep11client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// Auth is what a foreign GREP11 service wants beside TLS: a bearer token, from
// a file that something else keeps fresh, or from an IAM service for an API key.
type Auth struct {
	BearerFile string `toml:"bearer_file"`
	IAM        string `toml:"iam"` // base address
	APIKeyFile string `toml:"api_key_file"`
}

const (
	bearerKey   = "authorization"
	grantType   = "urn:ibm:params:oauth:grant-type:apikey"
	maxToken    = 64 << 10 // bytes
	tokenMargin = time.Minute
)

func (a Auth) check() error {
	if (a.IAM == "") != (a.APIKeyFile == "") {
		return fmt.Errorf("auth: iam and api_key_file go together: %w", ck.CKR_ARGUMENTS_BAD)
	}
	u, err := url.Parse(a.IAM)
	if err != nil || a.IAM != "" && u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return fmt.Errorf("auth: iam %q is no https address: %w", a.IAM, ck.CKR_ARGUMENTS_BAD)
	}
	return nil
}

// bearer gives the authorization header of each stream and unary call.
type bearer struct {
	auth Auth
	http http.Client

	mu      sync.Mutex // held while a token is fetched
	token   ck.Secret
	expires time.Time
}

// on adds the header, if there is one.
func (b *bearer) on(ctx context.Context) (context.Context, error) {
	header, err := b.header(ctx)
	if err != nil || header == "" {
		return ctx, err
	}
	return metadata.AppendToOutgoingContext(ctx, bearerKey, header), nil
}

// header is empty where the service wants none.
func (b *bearer) header(ctx context.Context) (string, error) {
	token, err := b.current(ctx)
	if err != nil || len(token) == 0 {
		return "", err
	}
	return "Bearer " + string(token), nil
}

func (b *bearer) current(ctx context.Context) (ck.Secret, error) {
	switch {
	case b.auth.BearerFile != "":
		return readSecret(b.auth.BearerFile)
	case b.auth.IAM != "":
		return b.fromIAM(ctx)
	}
	return nil, nil
}

func readSecret(path string) (ck.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	return ck.Secret(strings.TrimSpace(string(text))), nil
}

// fromIAM keeps a token until shortly before it expires.
func (b *bearer) fromIAM(ctx context.Context) (ck.Secret, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.token) > 0 && time.Until(b.expires) > tokenMargin {
		return b.token, nil
	}
	key, err := readSecret(b.auth.APIKeyFile)
	if err != nil {
		return nil, err
	}
	if err := b.fetch(ctx, key); err != nil {
		return nil, err
	}
	return b.token, nil
}

// fetch exchanges the API key for a token (grep11-wire 6.2).
func (b *bearer) fetch(ctx context.Context, key ck.Secret) error {
	form := url.Values{"grant_type": {grantType}, "apikey": {string(key)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(b.auth.IAM, "/")+"/identity/token", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("IAM: %w", ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := b.http.Do(req)
	if err != nil {
		return wire.Transient(fmt.Errorf("IAM: %v: %w", withoutURL(err), ck.CKR_DEVICE_REMOVED))
	}
	defer resp.Body.Close()
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
		Code    string `json:"errorCode"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer)
	switch {
	case resp.StatusCode >= http.StatusInternalServerError:
		return wire.Transient(fmt.Errorf("IAM: %s: %w", resp.Status, ck.CKR_DEVICE_ERROR))
	case resp.StatusCode != http.StatusOK || err != nil || answer.Token == "":
		return fmt.Errorf("IAM gives no token: %s %.40q: %w", resp.Status, answer.Code, ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	b.token, b.expires = ck.Secret(answer.Token), time.Now().Add(time.Duration(answer.Seconds)*time.Second)
	return nil
}

// withoutURL keeps addresses, and what may be in them, out of messages.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// forget drops a token that the service did not take; it reports whether a new
// one can be had.
func (b *bearer) forget() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	had := b.auth.IAM != "" && len(b.token) > 0
	b.token = nil
	return had
}
