package access

import (
	"context"
	"time"
)

// Identity is the peer of a connection, as its certificate or socket says.
type Identity struct {
	Name  string
	Admin bool // may delete tokens and administer units
	// Until is when what it was shown by ends; zero: not by itself.
	Until time.Time
}

type identityKey struct{}

// WithIdentity adds the peer to a request's context.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// IdentityOf reads it back; without one, the zero Identity may nothing.
func IdentityOf(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}
