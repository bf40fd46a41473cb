// Package libcrypto is a thin layer over OpenSSL's libcrypto, for what it does
// faster than Go's crypto (RSA with private keys, P-256) and for curves and
// algorithms that Go lacks. Keys come and go as DER; paddings, hashes and
// formats stay in Go. A build with `-tags purego`, or without cgo, has
// Available false and refuses everything.
package libcrypto

import "errors"

// ErrFailed is all that is said of a failure inside libcrypto; what failed is
// known where it was called.
var ErrFailed = errors.New("libcrypto: operation failed")

// ErrUnavailable answers every call in a build without libcrypto.
var ErrUnavailable = errors.New("libcrypto: not in this build")
