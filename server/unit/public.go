package unit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
)

// A public key's blob (grep11-wire 10.2) is its SPKI and then, each in a DER
// OCTET STRING: WKID 16, session 32, salt 8, mode 8, packed attributes, MAC 32.
// The packed attributes are 0x10, a count, two zero bytes, the attribute bits
// twice, and count pairs of an attribute's number and an integer.
const (
	lenSession = 32
	lenSalt    = 8
	lenMode    = 8
	lenPacked  = 12
	maxPairs   = 255
)

// Public is the content of a public blob.
type Public struct {
	SPKI    []byte
	Bits    Bits
	Gen     ck.MechanismType   // ck.CK_UNAVAILABLE_INFORMATION: not generated here
	Allowed []ck.MechanismType // nil: all
}

// bitsHigh is the pair that holds our own half of the bits.
const bitsHigh = ck.AttributeType(0x8001FFFF)

type publicParts struct {
	spki, session, salt, mode, packed, mac []byte
	wkid                                   [lenWKID]byte
	signed                                 []byte // all before the MAC
}

// SealPublic makes a public blob. Blobs of keys of one type made in one way
// have one length (grep11-wire 10.1).
func (w *WrappingKey) SealPublic(p Public) (Blob, error) {
	var mode [lenMode]byte
	binary.BigEndian.PutUint64(mode[:], ModeStandard)
	salt := make([]byte, lenSalt)
	rand.Read(salt)
	packed, err := p.pack()
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(append(make([]byte, 0, len(p.SPKI)+160), p.SPKI...))
	for _, part := range [][]byte{w.pattern[:lenWKID], make([]byte, lenSession), salt, mode[:], packed} {
		b.AddASN1OctetString(part)
	}
	signed, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	b.AddASN1OctetString(w.macPublic(signed))
	return b.Bytes()
}

func (w *WrappingKey) macPublic(signed []byte) []byte {
	h := hmac.New(sha256.New, w.publicMAC)
	h.Write(signed)
	return h.Sum(nil)
}

// OpenPublic opens a public blob; errors are those of OpenKey.
func (w *WrappingKey) OpenPublic(b Blob) (Public, error) {
	parts, err := splitPublic(b)
	if err != nil {
		return Public{}, err
	}
	if err := w.owns(parts.wkid); err != nil {
		return Public{}, err
	}
	if !hmac.Equal(parts.mac, w.macPublic(parts.signed)) {
		return Public{}, fmt.Errorf("public key blob was altered: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	p := Public{SPKI: parts.spki}
	return p, p.unpack(parts.packed)
}

// SplitPublic divides concatenated public blobs (grep11-wire 11.6).
func SplitPublic(b Blob) ([]Blob, error) {
	var all []Blob
	for rest := b; len(rest) > 0; {
		n, err := lenPublic(rest)
		if err != nil {
			return nil, err
		}
		all, rest = append(all, rest[:n]), rest[n:]
	}
	return all, nil
}

// RawSPKI gives a plain SubjectPublicKeyInfo, one that nothing follows.
func (b Blob) RawSPKI() ([]byte, bool) {
	s, spki := cryptobyte.String(b), cryptobyte.String(nil)
	ok := len(b) <= MaxBlob && s.ReadASN1Element(&spki, asn1.SEQUENCE) && s.Empty()
	return spki, ok
}

func lenPublic(b Blob) (int, error) {
	s, skip := cryptobyte.String(b), cryptobyte.String(nil)
	if !s.ReadASN1Element(&skip, asn1.SEQUENCE) {
		return 0, errPublic(b)
	}
	for range 6 {
		if !s.SkipASN1(asn1.OCTET_STRING) {
			return 0, errPublic(b)
		}
	}
	return len(b) - len(s), nil
}

func errPublic(b Blob) error {
	return fmt.Errorf("%d bytes are no public key blob: %w", len(b), ck.CKR_IBM_BLOB_ERROR)
}

func splitPublic(b Blob) (p publicParts, err error) {
	if len(b) > MaxBlob {
		return p, errPublic(b)
	}
	s := cryptobyte.String(b)
	var spki, wkid cryptobyte.String
	if !s.ReadASN1Element(&spki, asn1.SEQUENCE) || !s.ReadASN1(&wkid, asn1.OCTET_STRING) || len(wkid) != lenWKID {
		return p, errPublic(b)
	}
	p.spki, p.wkid = spki, [lenWKID]byte(wkid)
	for _, part := range []struct {
		to  *[]byte
		len int
	}{{&p.session, lenSession}, {&p.salt, lenSalt}, {&p.mode, lenMode}, {&p.packed, -1}} {
		if !s.ReadASN1((*cryptobyte.String)(part.to), asn1.OCTET_STRING) || part.len >= 0 && len(*part.to) != part.len {
			return p, errPublic(b)
		}
	}
	p.signed = b[:len(b)-len(s)]
	if !s.ReadASN1((*cryptobyte.String)(&p.mac), asn1.OCTET_STRING) || len(p.mac) != sha256.Size || !s.Empty() {
		return p, errPublic(b)
	}
	return p, nil
}

func (p *Public) pack() ([]byte, error) {
	type pair struct {
		t ck.AttributeType
		v uint32
	}
	var pairs []pair
	if p.Gen != ck.MechanismType(ck.CK_UNAVAILABLE_INFORMATION) {
		pairs = append(pairs, pair{ck.CKA_KEY_GEN_MECHANISM, uint32(p.Gen)})
	}
	for _, m := range p.Allowed {
		pairs = append(pairs, pair{ck.CKA_ALLOWED_MECHANISMS, uint32(m)})
	}
	if high := uint32(p.Bits >> 32); high != 0 {
		pairs = append(pairs, pair{bitsHigh, high})
	}
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("%d allowed mechanisms: %w", len(p.Allowed), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	out := []byte{0x10, byte(len(pairs)), 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(p.Bits))
	out = binary.BigEndian.AppendUint32(out, uint32(p.Bits))
	for _, a := range pairs {
		out = binary.BigEndian.AppendUint32(out, uint32(a.t))
		out = binary.BigEndian.AppendUint32(out, a.v)
	}
	return out, nil
}

// unpack reads attributes whose MAC was right; a unit wrote them.
func (p *Public) unpack(b []byte) error {
	if len(b) < lenPacked || len(b) != lenPacked+8*int(b[1]) || b[0] != 0x10 {
		return fmt.Errorf("packed attributes of %d bytes: %w", len(b), ck.CKR_IBM_BLOB_ERROR)
	}
	p.Gen = ck.MechanismType(ck.CK_UNAVAILABLE_INFORMATION)
	p.Bits = Bits(binary.BigEndian.Uint32(b[4:]))
	for rest := b[lenPacked:]; len(rest) > 0; rest = rest[8:] {
		v := binary.BigEndian.Uint32(rest[4:])
		switch t := ck.AttributeType(binary.BigEndian.Uint32(rest)); t {
		case ck.CKA_KEY_GEN_MECHANISM:
			p.Gen = ck.MechanismType(v)
		case ck.CKA_ALLOWED_MECHANISMS:
			p.Allowed = append(p.Allowed, ck.MechanismType(v))
		case bitsHigh:
			p.Bits |= Bits(v) << 32
		default:
			return fmt.Errorf("packed attribute %v: %w", t, ck.CKR_IBM_BLOB_ERROR)
		}
	}
	return nil
}
