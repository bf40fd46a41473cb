//go:build cgo && !purego

package libcrypto

// #include "glue.h"
// #include <stdlib.h>
import "C"

import "unsafe"

// Multiply gives a*G + b*P on a curve of libcrypto's name; either half may be
// nil. Points are uncompressed, size bytes a coordinate. A result at infinity
// is a failure.
func Multiply(curve string, size int, a, point, b []byte) ([]byte, error) {
	name := C.CString(curve)
	defer C.free(unsafe.Pointer(name))
	out := make([]byte, 1+2*size)
	if C.lc_multiply(name, ptr(a), C.int(len(a)), ptr(point), C.size_t(len(point)), ptr(b), C.int(len(b)), ptr(out), C.size_t(len(out))) != 1 {
		return nil, ErrFailed
	}
	return out, nil
}

// Order is the order of a curve's group, as size big-endian bytes.
func Order(curve string, size int) ([]byte, error) {
	name := C.CString(curve)
	defer C.free(unsafe.Pointer(name))
	out := make([]byte, size)
	if C.lc_order(name, ptr(out), C.int(size)) != 1 {
		return nil, ErrFailed
	}
	return out, nil
}
