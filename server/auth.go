package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"grep11/pkcs11/ck"
	"grep11/server/access"
)

// auth is the [auth] section ready for use. It tells who a caller is, before
// any login to a token.
type auth struct {
	config Auth
	bearer [][]byte // SHA-256 hashes
}

func newAuth(c Auth) *auth {
	a := &auth{config: c}
	for _, h := range c.Bearer {
		b, _ := hex.DecodeString(h) // checked with the configuration
		a.bearer = append(a.bearer, b)
	}
	return a
}

// identify takes the connection's proof, and over TLS the bearer token.
func (a *auth) identify(ctx context.Context, info credentials.AuthInfo) (access.Identity, error) {
	t, ok := info.(credentials.TLSInfo)
	if !ok {
		k, _ := info.(knownAs)
		return access.Identity{Name: k.door.String()}, nil
	}
	var id access.Identity
	if chains := t.State.VerifiedChains; len(chains) > 0 {
		id.Name = chains[0][0].Subject.CommonName
		id.Admin = slices.Contains(a.config.Admins, id.Name)
	}
	certified := id.Name != "" || len(t.State.VerifiedChains) > 0
	if len(a.bearer) == 0 || certified && !a.config.RequireBearer {
		return id, nil
	}
	if !a.knows(bearerToken(ctx)) {
		return id, fmt.Errorf("no valid bearer token: %w", ck.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	if id.Name == "" {
		id.Name = "bearer"
	}
	return id, nil
}

func bearerToken(ctx context.Context) string {
	for _, v := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
			return token
		}
	}
	return ""
}

// knows compares with every token, in constant time.
func (a *auth) knows(token string) bool {
	h := sha256.Sum256([]byte(token))
	found := 0
	for _, b := range a.bearer {
		found |= subtle.ConstantTimeCompare(h[:], b)
	}
	return token != "" && found == 1
}
