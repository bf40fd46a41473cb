package soft

import (
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"

	"grep11/pkcs11/ck"
)

// curve is a row of grep11-wire 7.3.
type curve struct {
	name   string // as CKA_EC_PARAMS may give it
	oid    []byte // DER
	bits   int    // of the order; of the field for curves of other kinds
	field  int    // bytes of a coordinate, or of a raw public key
	order  int    // bytes of the order
	kind   *family
	goType elliptic.Curve // nil: libcrypto only
	lib    string         // libcrypto's name
}

func oid(n ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(n))
	if err != nil {
		panic("soft: " + err.Error())
	}
	return der
}

var (
	oidRSA = oid(1, 2, 840, 113549, 1, 1, 1)
	oidEC  = oid(1, 2, 840, 10045, 2, 1)
)

var curves = []*curve{
	{name: "P-192", oid: oid(1, 2, 840, 10045, 3, 1, 1), bits: 192, field: 24, order: 24, kind: &ecFamily, lib: "prime192v1"},
	{name: "P-224", oid: oid(1, 3, 132, 0, 33), bits: 224, field: 28, order: 28, kind: &ecFamily, goType: elliptic.P224(), lib: "secp224r1"},
	{name: "P-256", oid: oid(1, 2, 840, 10045, 3, 1, 7), bits: 256, field: 32, order: 32, kind: &ecFamily, goType: elliptic.P256(), lib: "prime256v1"},
	{name: "P-384", oid: oid(1, 3, 132, 0, 34), bits: 384, field: 48, order: 48, kind: &ecFamily, goType: elliptic.P384(), lib: "secp384r1"},
	{name: "P-521", oid: oid(1, 3, 132, 0, 35), bits: 521, field: 66, order: 66, kind: &ecFamily, goType: elliptic.P521(), lib: "secp521r1"},
	{name: "SECP256K1", oid: oid(1, 3, 132, 0, 10), bits: 256, field: 32, order: 32, kind: &ecFamily, lib: "secp256k1"},
	brainpool(160, 'R', 1), brainpool(160, 'T', 2), brainpool(192, 'R', 3), brainpool(192, 'T', 4),
	brainpool(224, 'R', 5), brainpool(224, 'T', 6), brainpool(256, 'R', 7), brainpool(256, 'T', 8),
	brainpool(320, 'R', 9), brainpool(320, 'T', 10), brainpool(384, 'R', 11), brainpool(384, 'T', 12),
	brainpool(512, 'R', 13), brainpool(512, 'T', 14),
	{name: "ed25519", oid: oid(1, 3, 101, 112), bits: 255, field: 32, order: 32, kind: &edwardsFamily},
	{name: nameBLS, oid: oid(1, 3, 6, 1, 4, 1, 2, 267, 999, 3, 2), bits: 255, field: 48, order: 32, kind: &blsFamily},
	{name: "ed448", oid: oid(1, 3, 101, 113), bits: 448, field: 57, order: 57, kind: &edwardsFamily},
	{name: "x448", oid: oid(1, 3, 101, 111), bits: 448, field: 56, order: 56, kind: &montgomeryFamily},
	{name: "curve25519", oid: oid(1, 3, 101, 110), bits: 255, field: 32, order: 32, kind: &montgomeryFamily},
}

func brainpool(bits int, form byte, n int) *curve {
	return &curve{name: fmt.Sprintf("BP-%d%c", bits, form), oid: oid(1, 3, 36, 3, 3, 2, 8, 1, 1, n), bits: bits, field: bits / 8, order: bits / 8,
		kind: &ecFamily, lib: fmt.Sprintf("brainpoolP%d%c1", bits, form|0x20)}
}

var (
	curvesByOID  = map[string]*curve{}
	curvesByName = map[string]*curve{}
)

func init() {
	for _, c := range curves {
		curvesByOID[string(c.oid)] = c
		curvesByName[c.name] = c
	}
	for name, same := range map[string]string{ // of PKCS#11 v3.2 §6.3.9 and others
		"edwards25519": "ed25519", "edwards448": "ed448", "curve448": "x448", "x25519": "curve25519",
	} {
		curvesByName[name] = curvesByName[same]
	}
	// As pkcs11-tool 0.23, Debian 12's, writes it: a PrintableString that would be one longer.
	curvesByOID["\x13\x0bcurve25519"] = curvesByName["curve25519"]
}

func curveByOID(der []byte) *curve { return curvesByOID[string(der)] }

// curveOf reads CKA_EC_PARAMS: a named curve's OID, or a name as ASCII or as a
// DER PrintableString.
func curveOf(params []byte) (*curve, error) {
	if c := curvesByOID[string(params)]; c != nil {
		return c, nil
	}
	name := string(params)
	var printable string
	if rest, err := asn1.UnmarshalWithParams(params, &printable, "printable"); err == nil && len(rest) == 0 {
		name = printable
	}
	if c := curvesByName[name]; c != nil {
		return c, nil
	}
	if len(params) == 0 {
		return nil, fmt.Errorf("no EC_PARAMS: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	return nil, fmt.Errorf("EC_PARAMS %x: %w", params[:min(len(params), 20)], ck.CKR_CURVE_NOT_SUPPORTED)
}

// findCurve completes the SPKI of an EC key of any kind.
func findCurve(info *publicInfo) error {
	c, err := curveOf(info.params)
	if err != nil {
		return err
	}
	info.curve, info.family = c, c.kind
	return nil
}
