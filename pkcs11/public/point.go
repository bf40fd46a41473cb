package public

import (
	"encoding/asn1"
	"slices"
)

// Raw is the point in a CKA_EC_POINT, which may be raw already, or in a DER
// OCTET STRING or BIT STRING. No length of a point is that of such a string with
// another point in it, so that bytes cannot be read both ways.
func Raw(value []byte) []byte {
	var inside asn1.RawValue
	rest, err := asn1.Unmarshal(value, &inside)
	if err != nil || len(rest) > 0 || inside.Class != asn1.ClassUniversal || inside.IsCompound {
		return value
	}
	switch {
	case inside.Tag == asn1.TagOctetString && isPoint(inside.Bytes):
		return inside.Bytes
	case inside.Tag == asn1.TagBitString && len(inside.Bytes) > 0 && inside.Bytes[0] == 0 && isPoint(inside.Bytes[1:]):
		return inside.Bytes[1:]
	}
	return value
}

// isPoint tells whether bytes may be a point: of a Weierstrass curve, with its
// first byte and two coordinates (or one, compressed), or a raw one of 32, 56
// or 57 bytes.
func isPoint(b []byte) bool {
	switch len(b) {
	case 32, 56, 57:
		return true
	}
	return weierstrass(b)
}

func weierstrass(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	coordinates := len(b) - 1
	switch b[0] {
	case 2, 3:
	case 4, 6, 7:
		if coordinates%2 != 0 {
			return false
		}
		coordinates /= 2
	default:
		return false
	}
	return slices.Contains(coordinateBytes, coordinates)
}

// coordinateBytes are the lengths of curves' fields. Were any length taken, one
// raw point of P-256 in 20,000 would look like a string with a point in it.
var coordinateBytes = []int{20, 24, 28, 32, 40, 48, 64, 66}

// Point gives a CKA_EC_POINT in its usual form, whatever form it has: a point
// of a Weierstrass curve in a DER OCTET STRING, one of an Edwards or Montgomery
// curve raw, or if wrapAll is set in an OCTET STRING, too.
func Point(value []byte, wrapAll bool) []byte {
	raw := Raw(value)
	if !wrapAll && !weierstrass(raw) || len(raw) == 0 {
		return raw
	}
	der, err := asn1.Marshal(raw)
	if err != nil {
		return value
	}
	return der
}
