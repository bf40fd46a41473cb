package unit

import "context"

type officerKey struct{}

// ByOfficer marks a call that the security officer of a token makes: he alone
// calls wrapping keys trusted, PKCS#11 v3.2 §4.10. The server knows who he is;
// callers of grep11.Crypto never are.
func ByOfficer(ctx context.Context) context.Context {
	return context.WithValue(ctx, officerKey{}, true)
}

// IsByOfficer tells whether a call is marked so.
func IsByOfficer(ctx context.Context) bool { return ctx.Value(officerKey{}) != nil }
