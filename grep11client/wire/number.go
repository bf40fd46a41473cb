package wire

import (
	"math"
	"strings"
)

// low32 reduces a number that some clients send sign-extended (grep11-wire 7.1).
func low32(n uint64) uint64 { return n & math.MaxUint32 }

// unextend undoes sign extension in a value that may also be a real 64-bit
// number; all ones is CK_UNAVAILABLE_INFORMATION and stays.
func unextend(n uint64) uint64 {
	if n != math.MaxUint64 && n>>31 == math.MaxUint64>>31 {
		return low32(n)
	}
	return n
}

// proto3 strings must be UTF-8; a cut one or a foreign path may not be.
func validUTF8(s string) string { return strings.ToValidUTF8(s, "?") }
