package command

import (
	"crypto/sha256"
	"crypto/subtle"

	"grep11/pkcs11/ck"
)

// LenKey is the length in bytes of wrapping keys, key parts and patterns.
const LenKey = 32

// Pattern is the verification pattern of a wrapping key: SHA-256 over one
// byte 1 and the key. Its first half names the key in every blob. Parts have
// patterns made alike, for their owners to compare.
func Pattern(key []byte) []byte {
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(key)
	return h.Sum(nil)
}

// Combine is the bitwise XOR of key parts.
func Combine(parts []ck.Secret) ck.Secret {
	key := make(ck.Secret, LenKey)
	for _, p := range parts {
		subtle.XORBytes(key, key, p)
	}
	return key
}
