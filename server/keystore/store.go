package keystore

import (
	"context"

	"grep11/pkcs11/ck"
)

// Store is an open key store. All methods may be called by many goroutines.
// A change is durable when its method returned nil.
type Store struct{}

// Open opens the store at dsn, a file path, and makes it where there is none.
// A store that is damaged, foreign or of a newer version is refused.
func Open(ctx context.Context, dsn string) (*Store, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// Close ends the writer after the changes that were already handed in.
func (s *Store) Close() error { return nil }

// ServiceKey seals credentials; all servers on this store share it.
func (s *Store) ServiceKey() ck.Secret { return nil }
