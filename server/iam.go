package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"grep11/pkcs11/ck"
)

// GREP11 clients with an API key exchange it for a bearer token at an HTTP
// endpoint first (grep11-wire 6.2). This is that endpoint, for API keys of the
// configuration. Tokens carry their end and a MAC under the service's key, so
// that all servers of a service accept them.

const (
	iamPath      = "/identity/token"
	iamGrant     = "urn:ibm:params:oauth:grant-type:apikey"
	iamTokenLife = time.Hour
	maxIAMBody   = 16 << 10
)

type iam struct {
	keys   hashes // of API keys
	secret []byte // of the tokens' MAC
	log    *slog.Logger
	http   *http.Server
}

func newIAM(keys hashes, service ck.Secret, log *slog.Logger) *iam {
	mac := hmac.New(sha256.New, service)
	mac.Write([]byte("grep11 bearer tokens"))
	return &iam{keys: keys, secret: mac.Sum(nil), log: log}
}

// listen serves the endpoint where one is configured: over TLS, unless it is on
// loopback.
func (i *iam) listen(addr string, t *tls.Config) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return badKey("auth.iam", "%w", err)
	}
	if loopback(addr) != nil {
		l = tls.NewListener(l, t)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+iamPath, i)
	i.http = serveWeb("iam", l, mux, i.log)
	i.log.Info("listening", "how", "iam", "address", l.Addr().String())
	return nil
}

func (i *iam) close() error {
	if i.http == nil {
		return nil
	}
	return i.http.Close()
}

// iamAnswer has the fields that clients read.
type iamAnswer struct {
	AccessToken  string `json:"access_token,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	ExpiresIn    int64  `json:"expires_in,omitempty"` // seconds from now
	Expiration   int64  `json:"expiration,omitempty"` // seconds since 1970
	ErrorCode    string `json:"errorCode,omitempty"`
	ErrorMessage string `json:"errorMessage,omitempty"`
}

// ServeHTTP takes the parameters from the body or, of clients that send none,
// from the URL. Some clients do not escape the key.
func (i *iam) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxIAMBody))
	grant, keys := iamParameters(r.URL.RawQuery + "&" + string(body))
	switch {
	case err != nil || grant != iamGrant:
		i.refuse(w, r, http.StatusBadRequest, "BXNIM0109E", "grant_type must be "+iamGrant)
	case !i.known(keys):
		i.refuse(w, r, http.StatusBadRequest, "BXNIM0415E", "Provided API key could not be found.")
	default:
		end := time.Now().Add(iamTokenLife)
		i.answer(w, http.StatusOK, iamAnswer{AccessToken: i.token(end), TokenType: "Bearer", ExpiresIn: int64(iamTokenLife / time.Second), Expiration: end.Unix()})
	}
}

// iamParameters gives the grant type, and the API key as it is and unescaped.
func iamParameters(query string) (grant string, keys []string) {
	for _, p := range strings.Split(query, "&") {
		name, raw, _ := strings.Cut(p, "=")
		value, err := url.QueryUnescape(raw)
		if err != nil {
			value = raw
		}
		switch name {
		case "grant_type":
			grant = value
		case "apikey":
			keys = append(keys, raw, value)
		}
	}
	return grant, keys
}

func (i *iam) known(keys []string) bool {
	for _, k := range keys {
		if i.keys.know(k) {
			return true
		}
	}
	return false
}

func (i *iam) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	i.log.Info("refused", "method", "identity/token", "peer", r.RemoteAddr, "cause", message)
	i.answer(w, status, iamAnswer{ErrorCode: code, ErrorMessage: message})
}

func (i *iam) answer(w http.ResponseWriter, status int, a iamAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // a caller that went away needs no answer
}

// A token is 8 bytes of its end in seconds since 1970, 16 random bytes, MAC.
const lenTokenBody = 8 + 16

func (i *iam) token(end time.Time) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, lenTokenBody+sha256.Size), uint64(end.Unix()))
	b = b[:lenTokenBody]
	rand.Read(b[8:])
	return base64.RawURLEncoding.EncodeToString(append(b, i.mac(b)...))
}

func (i *iam) mac(body []byte) []byte {
	m := hmac.New(sha256.New, i.secret)
	m.Write(body)
	return m.Sum(nil)
}

// issued tells whether a token is this service's and still valid.
func (i *iam) issued(token string) bool {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != lenTokenBody+sha256.Size {
		return false
	}
	return hmac.Equal(i.mac(b[:lenTokenBody]), b[lenTokenBody:]) && time.Now().Unix() < int64(binary.BigEndian.Uint64(b))
}
