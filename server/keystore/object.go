package keystore

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
)

// ID names a token or an object: 16 random bytes.
type ID [16]byte

// ParseID reads an id that came from outside; a wrong length is CKR_ARGUMENTS_BAD.
func ParseID(b []byte) (id ID, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("id of %d bytes instead of %d: %w", len(b), len(id), ck.CKR_ARGUMENTS_BAD)
	}
	return ID(b), nil
}

// Object is a stored object. Handle is never used again. Attributes include
// those that the blob seals, as its unit reported them; none is sensitive.
// An Object that came from the store is shared: do not change what it points to.
type Object struct {
	ID         ID
	Handle     ck.ObjectHandle
	Token      ID
	Version    uint64
	Private    bool
	Attributes ck.Template
	Blob       []byte
}

// Object reads an object with its blob. One that is not there, or is another
// token's, is CKR_OBJECT_HANDLE_INVALID.
func (s *Store) Object(ctx context.Context, token, id ID) (*Object, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}

// ObjectByHandle is Object for a handle.
func (s *Store) ObjectByHandle(ctx context.Context, token ID, h ck.ObjectHandle) (*Object, error) {
	return nil, ck.CKR_FUNCTION_NOT_SUPPORTED
}
