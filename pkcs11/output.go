package pkcs11

import (
	"fmt"

	"grep11/pkcs11/ck"
)

// Output is where a caller wants a result: its buffer and its length.
type Output struct {
	buf  []byte  // nil: the caller asks for the length
	size *uint64 // the caller's CK_ULONG, never nil
}

// NewOutput takes the caller's buffer, nil for a length query, and the place
// of its length. The buffer is as long as the caller said.
func NewOutput(buf []byte, size *uint64) *Output { return &Output{buf: buf, size: size} }

// Reserve reports whether n bytes may be produced now and stores n in the
// caller's length. For a length query it returns false and nil, for a short
// buffer false and CKR_BUFFER_TOO_SMALL. n is in bytes and an upper bound.
//
// PKCS#11 v3.2 §5.2.
func (o *Output) Reserve(n int) (bool, error) {
	*o.size = uint64(n)
	if o.buf == nil {
		return false, nil
	}
	if len(o.buf) < n {
		return false, fmt.Errorf("buffer of %d bytes for %d: %w", len(o.buf), n, ck.CKR_BUFFER_TOO_SMALL)
	}
	return true, nil
}

// Write stores a result that Reserve made room for. Longer ones come from a
// service that is broken.
func (o *Output) Write(b []byte) error {
	if len(b) > len(o.buf) {
		return fmt.Errorf("the service gave %d bytes, where %d are the most: %w", len(b), len(o.buf), ck.CKR_DEVICE_ERROR)
	}
	*o.size = uint64(copy(o.buf, b))
	return nil
}

// exactly checks the length of a result that can have no other one.
func exactly(n int, b []byte) error {
	if len(b) != n {
		return fmt.Errorf("the service gave %d bytes instead of %d: %w", len(b), n, ck.CKR_DEVICE_ERROR)
	}
	return nil
}

// Has tells whether the caller brought a buffer of at least n bytes.
func (o *Output) Has(n int) bool { return o.buf != nil && len(o.buf) >= n }
