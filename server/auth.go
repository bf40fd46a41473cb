package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"grep11/server/access"
)

// auth is the [auth] section ready for use. It tells who a caller is, before
// any login to a token.
type auth struct {
	config Auth
	bearer hashes
	iam    *iam
	oidc   *issuers
}

// asked tells whether callers without a certificate need a bearer token.
func (a *auth) asked() bool {
	return len(a.bearer) > 0 || len(a.config.APIKeys) > 0 || len(a.config.OIDC) > 0
}

// identify takes the connection's proof, and over TLS the bearer token.
func (a *auth) identify(ctx context.Context, info credentials.AuthInfo) (access.Identity, error) {
	t, ok := info.(knownByTLS)
	if !ok {
		k, _ := info.(knownAs)
		return access.Identity{Name: k.door.String()}, nil
	}
	var id access.Identity
	chains := t.State.VerifiedChains
	if len(chains) > 0 {
		id.Name = chains[0][0].Subject.CommonName
		id.Admin = slices.Contains(a.config.Admins, id.Name)
	}
	if !a.asked() || len(chains) > 0 && !a.config.RequireBearer {
		return id, nil
	}
	token := bearerToken(ctx)
	if a.bearer.know(token) || a.iam.issued(token) {
		id.Name = cmp.Or(id.Name, "bearer")
		return id, nil
	}
	shown, err := a.oidc.verify(ctx, token)
	id.Name, id.Until = cmp.Or(id.Name, shown.Name), shown.Until
	return id, err
}

func bearerToken(ctx context.Context) string {
	for _, v := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
			return token
		}
	}
	return ""
}

// hashes are SHA-256 hashes of secrets that callers show.
type hashes [][]byte

// parseHashes reads hashes of 64 hexadecimal digits.
func parseHashes(texts []string) (hashes, error) {
	var out hashes
	for _, text := range texts {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("not a SHA-256 hash of 64 hexadecimal digits")
		}
		out = append(out, b)
	}
	return out, nil
}

// know compares with every hash, in constant time.
func (h hashes) know(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	found := 0
	for _, known := range h {
		found |= subtle.ConstantTimeCompare(sum[:], known)
	}
	return secret != "" && found == 1
}
