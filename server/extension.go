package server

import (
	"context"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// extension answers the calls of the Token and KeyStore services; the stream
// and the unary services lead to the same methods. Each gets the caller that
// its credential stands for, or the zero Caller.
type extension struct {
	store  *keystore.Store
	access *access.Control
	// Who may make tokens, and how many there may be.
	onlyAdmins bool
	maxTokens  int
	// do runs f on a healthy unit, and on another one if that unit fails.
	do func(ctx context.Context, f func(unit.Unit) (unit.Key, error)) (unit.Key, error)
}

// storedKey finds the blob of a stored key that the caller may use
// (KeyBlob.KeyBlobID without a blob beside it).
func (x *extension) storedKey(ctx context.Context, c access.Caller, token, id []byte) (unit.Blob, error) {
	o, err := x.object(ctx, c, token, id)
	if errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
		return nil, fmt.Errorf("key %x is not here: %w", id, ck.CKR_KEY_HANDLE_INVALID)
	}
	if err != nil {
		return nil, err
	}
	if len(o.Blob) == 0 {
		return nil, fmt.Errorf("object %x is no key: %w", id, ck.CKR_KEY_HANDLE_INVALID)
	}
	return o.Blob, nil
}

// object finds a stored object that exists for the caller.
func (x *extension) object(ctx context.Context, c access.Caller, token, id []byte) (*keystore.Object, error) {
	t, err := keystore.ParseID(token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	i, err := keystore.ParseID(id)
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	o, err := x.store.Object(ctx, t, i)
	if err != nil {
		return nil, err
	}
	if !c.MaySee(o) {
		return nil, fmt.Errorf("object %x is private: %w", id, ck.CKR_USER_NOT_LOGGED_IN)
	}
	return o, nil
}
