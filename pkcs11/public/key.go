// Package public does with Go's crypto what needs no secret: operations with
// public keys, encodings of public keys and points. Its answers are those of a
// crypto unit, byte for byte and code for code; what it cannot do just so it
// leaves alone (see Can).
package public

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
)

// Key is a public key of a kind that is verified with here: RSA, the NIST curves,
// Ed25519, ML-DSA, SLH-DSA. Methods may be called on nil, a key that cannot do anything.
type Key struct {
	rsa *rsa.PublicKey
	ec  *ecdsa.PublicKey
	ed  ed25519.PublicKey
	pqc *pqcKey
}

// Parse makes a key from an object's attributes: CKA_MODULUS and
// CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS and CKA_EC_POINT, or CKA_PARAMETER_SET and
// CKA_VALUE.
func Parse(t ck.KeyType, a ck.Template) (*Key, error) {
	switch t {
	case ck.CKK_RSA:
		return parseRSA(a.Bytes(ck.CKA_MODULUS), a.Bytes(ck.CKA_PUBLIC_EXPONENT))
	case ck.CKK_EC:
		return parseEC(a.Bytes(ck.CKA_EC_PARAMS), a.Bytes(ck.CKA_EC_POINT))
	case ck.CKK_EC_EDWARDS:
		return parseEdwards(a.Bytes(ck.CKA_EC_PARAMS), a.Bytes(ck.CKA_EC_POINT))
	case ck.CKK_ML_DSA, ck.CKK_SLH_DSA:
		return parsePQC(t, a)
	}
	return nil, fmt.Errorf("public key of type %v: %w", t, ck.CKR_KEY_TYPE_INCONSISTENT)
}

// maxExponentBits is what crypto/rsa takes.
const maxExponentBits = 31

func parseRSA(modulus, exponent []byte) (*Key, error) {
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < 512 || n.BitLen() > 16384 || e.BitLen() < 2 || e.BitLen() > maxExponentBits || e.Bit(0) == 0 {
		return nil, fmt.Errorf("RSA key of %d bits with an exponent of %d: %w", n.BitLen(), e.BitLen(), ck.CKR_KEY_SIZE_RANGE)
	}
	return &Key{rsa: &rsa.PublicKey{N: n, E: int(e.Int64())}}, nil
}

func parseEC(params, point []byte) (*Key, error) {
	c := curveOf(params)
	if c == nil || c.goCurve == nil {
		return nil, fmt.Errorf("EC key: %w", ck.CKR_CURVE_NOT_SUPPORTED)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(c.goCurve(), Raw(point))
	if err != nil {
		return nil, fmt.Errorf("EC key: %v: %w", err, ck.CKR_PUBLIC_KEY_INVALID)
	}
	return &Key{ec: k}, nil
}

func parseEdwards(params, point []byte) (*Key, error) {
	raw := Raw(point)
	if c := curveOf(params); c == nil || c.name != "ed25519" || len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key of an Edwards curve: %w", ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return &Key{ed: raw}, nil
}

// Info is the key's DER SubjectPublicKeyInfo, as RFC 5280 and 8410 have it.
func (k *Key) Info() []byte {
	var info []byte
	switch {
	case k == nil:
	case k.rsa != nil:
		info, _ = x509.MarshalPKIXPublicKey(k.rsa)
	case k.ec != nil:
		info, _ = x509.MarshalPKIXPublicKey(k.ec)
	case k.ed != nil:
		info, _ = x509.MarshalPKIXPublicKey(k.ed)
	case k.pqc != nil:
		info = k.pqc.info()
	}
	return info
}

// InfoOfCertificate is the DER SubjectPublicKeyInfo inside an X.509
// certificate, nil where it cannot be read.
func InfoOfCertificate(der []byte) []byte {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c.RawSubjectPublicKeyInfo
}

// curve is a named curve by the DER of its CKA_EC_PARAMS.
type curve struct {
	name       string
	params     []byte
	orderBytes int
	goCurve    func() elliptic.Curve // nil: Go's crypto lacks it
}

func oid(arcs ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic("public: " + err.Error()) // the arcs are constants
	}
	return der
}

func printable(s string) []byte { return append([]byte{asn1.TagPrintableString, byte(len(s))}, s...) }

var namedCurves = []curve{
	{"P-192", oid(1, 2, 840, 10045, 3, 1, 1), 24, nil},
	{"P-224", oid(1, 3, 132, 0, 33), 28, elliptic.P224},
	{"P-256", oid(1, 2, 840, 10045, 3, 1, 7), 32, elliptic.P256},
	{"P-384", oid(1, 3, 132, 0, 34), 48, elliptic.P384},
	{"P-521", oid(1, 3, 132, 0, 35), 66, elliptic.P521},
	{"secp256k1", oid(1, 3, 132, 0, 10), 32, nil},
	{"brainpoolP160r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 1), 20, nil},
	{"brainpoolP160t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 2), 20, nil},
	{"brainpoolP192r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 3), 24, nil},
	{"brainpoolP192t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 4), 24, nil},
	{"brainpoolP224r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 5), 28, nil},
	{"brainpoolP224t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 6), 28, nil},
	{"brainpoolP256r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 7), 32, nil},
	{"brainpoolP256t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 8), 32, nil},
	{"brainpoolP320r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 9), 40, nil},
	{"brainpoolP320t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 10), 40, nil},
	{"brainpoolP384r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 11), 48, nil},
	{"brainpoolP384t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 12), 48, nil},
	{"brainpoolP512r1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 13), 64, nil},
	{"brainpoolP512t1", oid(1, 3, 36, 3, 3, 2, 8, 1, 1, 14), 64, nil},
	{"ed25519", oid(1, 3, 101, 112), 32, nil},
	{"ed25519", printable("edwards25519"), 32, nil},
	{"ed448", oid(1, 3, 101, 113), 57, nil},
	{"ed448", printable("edwards448"), 57, nil},
	{"x25519", oid(1, 3, 101, 110), 32, nil},
	{"x25519", printable("curve25519"), 32, nil},
	{"x448", oid(1, 3, 101, 111), 56, nil},
	{"x448", printable("curve448"), 56, nil},
}

func curveOf(params []byte) *curve {
	for i := range namedCurves {
		if bytes.Equal(namedCurves[i].params, params) {
			return &namedCurves[i]
		}
	}
	return nil
}

// OrderBytes is the length of a curve's order by its CKA_EC_PARAMS (of a
// point's encoding for Edwards curves), 0 for unknown curves.
func OrderBytes(params []byte) int {
	if c := curveOf(params); c != nil {
		return c.orderBytes
	}
	return 0
}

// Identifier is the identifier of a key by RFC 5280 §4.2.1.2, method 1: the hash
// of the key in a SubjectPublicKeyInfo, which more bytes may follow. It is empty
// where there is none.
func Identifier(info []byte) []byte {
	var parsed struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(info, &parsed); err != nil {
		return []byte{}
	}
	sum := sha1.Sum(parsed.Key.Bytes)
	return sum[:]
}
