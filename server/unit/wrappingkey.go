package unit

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"grep11/pkcs11/ck"
)

// LenWrappingKey is the length of a master key, in bytes.
const LenWrappingKey = 32

const lenWKID = 16

// WrappingKey seals key blobs and states. It does not change and may be used
// by many goroutines.
type WrappingKey struct {
	pattern    [sha256.Size]byte
	keys       *xaes // of secret and private blobs
	states     *xaes
	publicMAC  []byte
	dataSecret []byte
}

// NewWrappingKey prepares a master key of LenWrappingKey bytes. The caller
// keeps, and wipes, the bytes.
func NewWrappingKey(master ck.Secret) (*WrappingKey, error) {
	if len(master) != LenWrappingKey {
		return nil, fmt.Errorf("master key of %d bytes instead of %d: %w", len(master), LenWrappingKey, ck.CKR_ARGUMENTS_BAD)
	}
	return WrappingKeyOf(Pattern(master), master)
}

// WrappingKeyOf prepares the wrapping key of a unit whose master key is inside an
// HSM: secret is what that derives for the seals outside, 32 bytes.
func WrappingKeyOf(pattern [sha256.Size]byte, secret ck.Secret) (*WrappingKey, error) {
	w := &WrappingKey{pattern: pattern}
	var err error
	if w.keys, err = newXAES(subkey(secret, "key blobs")); err != nil {
		return nil, err
	}
	if w.states, err = newXAES(subkey(secret, "states")); err != nil {
		return nil, err
	}
	w.publicMAC = subkey(secret, "public keys")
	w.dataSecret = subkey(secret, "unit data")
	return w, nil
}

// subkey never fails: the lengths are fixed.
func subkey(master ck.Secret, use string) []byte {
	k, err := hkdf.Expand(sha256.New, master, "grep11 "+use, 32)
	if err != nil {
		panic("unit: " + err.Error())
	}
	return k
}

// Pattern is the verification pattern of a master key (ep11-admin 5.2): it
// tells keys apart and gives nothing away.
func Pattern(master ck.Secret) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(master)
	return [sha256.Size]byte(h.Sum(nil))
}

// Pattern is the key's verification pattern, 32 bytes.
func (w *WrappingKey) Pattern() []byte { return w.pattern[:] }

// WKID is the pattern's first half, which blobs and states carry.
func (w *WrappingKey) WKID() [lenWKID]byte { return [lenWKID]byte(w.pattern[:]) }

// Derive gives 32 bytes that all units with this key share, for one use.
func (w *WrappingKey) Derive(use string) ck.Secret { return subkey(w.dataSecret, use) }
