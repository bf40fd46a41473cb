package unit

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
)

// A secret or private key's blob (grep11-wire 10.2; all of the header is
// authenticated):
//
//	 0  32  session id, zero
//	32  16  WKID
//	48   8  attribute bits
//	56   8  mode
//	64   2  marker 0x1234
//	66  24  nonce
//	90      the key, padded to blocks, sealed with XAES-256-GCM
const (
	offWKID   = 32
	offBits   = 48
	offMode   = 56
	offMarker = 64
	offNonce  = 66
	offSealed = offNonce + lenNonce
	lenTag    = 16
	lenBlock  = 16
	marker    = 0x1234

	// MaxBlob bounds what is taken for a blob; post-quantum keys and templates
	// are the largest content.
	MaxBlob = 64 << 10
)

// ModeStandard is the mode field of all blobs: FIPS 2009, as the product writes it.
const ModeStandard = 1

// Header is what a blob tells anyone: authenticated, not secret.
type Header struct {
	WKID [lenWKID]byte
	Bits Bits
	Mode uint64
}

// Public tells whether a blob is a public key's: those start with an SPKI,
// others with a session id, which is zero here.
func (b Blob) Public() bool { return len(b) > 0 && b[0] == 0x30 }

// WKID tells which wrapping key a blob is sealed under.
func (b Blob) WKID() (id [lenWKID]byte, err error) {
	if b.Public() {
		p, err := splitPublic(b)
		return p.wkid, err
	}
	h, err := b.header()
	return h.WKID, err
}

func (b Blob) header() (h Header, err error) {
	if len(b) < offSealed+lenTag || len(b) > MaxBlob || binary.BigEndian.Uint16(b[offMarker:]) != marker {
		return h, fmt.Errorf("%d bytes are no key blob: %w", len(b), ck.CKR_IBM_BLOB_ERROR)
	}
	h.WKID = [lenWKID]byte(b[offWKID:])
	h.Bits = Bits(binary.BigEndian.Uint64(b[offBits:]))
	h.Mode = binary.BigEndian.Uint64(b[offMode:])
	return h, nil
}

// SealKey makes the blob of a secret or private key.
func (w *WrappingKey) SealKey(bits Bits, key []byte) (Blob, error) {
	plain := pad(key)
	defer clear(plain)
	b := make([]byte, offSealed, offSealed+len(plain)+lenTag)
	copy(b[offWKID:], w.pattern[:lenWKID])
	binary.BigEndian.PutUint64(b[offBits:], uint64(bits))
	binary.BigEndian.PutUint64(b[offMode:], ModeStandard)
	binary.BigEndian.PutUint16(b[offMarker:], marker)
	rand.Read(b[offNonce:offSealed])
	b, err := w.keys.seal(b, b[offNonce:offSealed], plain, b[:offNonce])
	if err == nil && len(b) > MaxBlob {
		return nil, fmt.Errorf("key of %d bytes: %w", len(key), ck.CKR_KEY_SIZE_RANGE)
	}
	return b, err
}

// OpenKey opens the blob of a secret or private key. One sealed under another
// wrapping key is CKR_IBM_WKID_MISMATCH, anything else wrong CKR_IBM_BLOB_ERROR.
func (w *WrappingKey) OpenKey(b Blob) (Bits, []byte, error) {
	h, err := b.header()
	if err != nil {
		return 0, nil, err
	}
	if err := w.owns(h.WKID); err != nil {
		return 0, nil, err
	}
	plain, err := w.keys.open(b[offNonce:offSealed], b[offSealed:], b[:offNonce])
	if err != nil {
		return 0, nil, fmt.Errorf("key blob was altered: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	key, err := unpad(plain)
	return h.Bits, key, err
}

func (w *WrappingKey) owns(id [lenWKID]byte) error {
	if id != w.WKID() {
		return fmt.Errorf("sealed under wrapping key %x, the unit has %x: %w", id, w.WKID(), ck.CKR_IBM_WKID_MISMATCH)
	}
	return nil
}

// pad fills the last block as ISO 7816-4 does, so that lengths tell little.
func pad(b []byte) []byte {
	p := make([]byte, len(b)/lenBlock*lenBlock+lenBlock)
	copy(p, b)
	p[len(b)] = 0x80
	return p
}

func unpad(p []byte) ([]byte, error) {
	end := len(p) - 1
	for end >= 0 && p[end] == 0 {
		end--
	}
	if end < 0 || p[end] != 0x80 {
		return nil, fmt.Errorf("sealed part has no end: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	return p[:end], nil
}
