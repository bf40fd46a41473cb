package soft

import (
	"crypto/elliptic"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var ecFamily = family{
	typ:        ck.CKK_EC,
	private:    unit.BitSign,
	public:     unit.BitVerify,
	check:      checkPoint,
	attributes: ecAttributes,
	pkcs8:      ecPKCS8,
	fromPKCS8:  ecFromPKCS8,
}

// ecPrivate and ecPublic are opened keys on a Weierstrass curve. Digests have any
// length: both engines take the leftmost bits, as many as the order has
// (FIPS 186-5 6.4.1). Signatures are r and s, each as long as the order.
type ecPrivate interface {
	sign(digest []byte) ([]byte, error)
	// agree gives the X coordinate; point is full, or of a curve that Go lacks.
	agree(point []byte) ([]byte, error)
}

type ecPublic interface {
	verify(digest, sig []byte) bool
}

// checkPoint refuses what is not an uncompressed point on its curve.
func checkPoint(info *publicInfo) error {
	_, err := info.curve.public(info.key)
	return err
}

func badPoint(c *curve) error {
	return fmt.Errorf("not an uncompressed point on %s: %w", c.name, ck.CKR_PUBLIC_KEY_INVALID)
}

// checkForm looks at a point's length and first byte.
func (c *curve) checkForm(point []byte) error {
	if len(point) != 1+2*c.field || point[0] != 4 {
		return badPoint(c)
	}
	return nil
}

// isCompressed looks at a point's length and first byte; whether there is such a
// point is still to be seen.
func (c *curve) isCompressed(point []byte) bool {
	return len(point) == 1+c.field && (point[0] == 2 || point[0] == 3)
}

// full brings another party's point from its compressed form (ANSI X9.62 A.5.2) to
// the uncompressed one, on Go's curves. It is empty if there is no such point.
func (c *curve) full(point []byte) []byte {
	if c.goType == nil || !c.isCompressed(point) {
		return point
	}
	x, y := elliptic.UnmarshalCompressed(c.goType, point)
	if x == nil {
		return nil
	}
	return append([]byte{4}, halves(x, y, c.field)...)
}

// private opens a scalar, public a point, by whichever engine is best.
func (c *curve) private(scalar, point []byte) (ecPrivate, error) {
	if c.goIsBest(true) {
		return newGoPrivate(c, scalar, point)
	}
	return newLibPrivate(c, scalar, point)
}

func (c *curve) public(point []byte) (ecPublic, error) {
	if err := c.checkForm(point); err != nil {
		return nil, err
	}
	if c.goIsBest(false) {
		return newGoPublic(c, point)
	}
	return newLibPublic(c, point)
}

// scalarBytes brings a scalar to the order's length.
func (c *curve) scalarBytes(d []byte) (ck.Secret, error) {
	for len(d) > c.order && d[0] == 0 {
		d = d[1:]
	}
	if len(d) > c.order {
		return nil, badPKCS8("private value is out of range")
	}
	out := make(ck.Secret, c.order)
	copy(out[c.order-len(d):], d)
	return out, nil
}

func ecAttributes(info *publicInfo) ck.Template {
	return ck.Template{
		ck.Bytes(ck.CKA_EC_PARAMS, info.curve.oid),
		ck.Bytes(ck.CKA_EC_POINT, octets(info.key)),
	}
}

func octets(b []byte) []byte {
	builder := cryptobyte.NewBuilder(nil)
	builder.AddASN1OctetString(b)
	return builder.BytesOrPanic()
}

// standard is the SPKI as RFCs have it: Edwards and Montgomery keys in the form
// of RFC 8410, which the blob's own (grep11-wire 10.3) is not.
func (info *publicInfo) standard() []byte {
	if info.curve != nil && (info.family == &edwardsFamily || info.family == &montgomeryFamily) {
		return makeSPKI(info.curve.oid, nil, info.key)
	}
	return info.spki
}

// ecPrivateKey writes ECPrivateKey (RFC 5915) with its public key.
func ecPrivateKey(scalar, point []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(1)
		b.AddASN1OctetString(scalar)
		b.AddASN1(asn1.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1BitString(point)
		})
	})
	return b.BytesOrPanic()
}

func ecPKCS8(k *key, info *publicInfo) ([]byte, error) {
	return makePKCS8(oidEC, info.curve.oid, ecPrivateKey(k.value, info.key))
}

// ecFromPKCS8 takes the scalar and computes the point; one that came along must
// be the same.
func ecFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	scalar, given, err := readECPrivateKey(p.key)
	if err != nil {
		return nil, nil, err
	}
	c, err := curveOf(p.params)
	if err != nil {
		return nil, nil, err
	}
	d, err := c.scalarBytes(scalar)
	if err != nil {
		return nil, nil, err
	}
	point, err := c.pointOf(d)
	if err != nil {
		return nil, nil, err
	}
	if len(given) == len(point) && !sameBytes(given, point) {
		return nil, nil, badPKCS8("public key is another one's")
	}
	return d, makeSPKI(oidEC, c.oid, point), nil
}

func readECPrivateKey(der []byte) (scalar, point []byte, err error) {
	s := cryptobyte.String(der)
	var body, d, params, pub cryptobyte.String
	var version uint
	var has bool
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) || version != 1 ||
		!body.ReadASN1(&d, asn1.OCTET_STRING) ||
		!body.ReadOptionalASN1(&params, nil, asn1.Tag(0).Constructed().ContextSpecific()) ||
		!body.ReadOptionalASN1(&pub, &has, asn1.Tag(1).Constructed().ContextSpecific()) {
		return nil, nil, badPKCS8("EC key is not DER")
	}
	if has && !pub.ReadASN1BitStringAsBytes(&point) {
		return nil, nil, badPKCS8("EC key's public key")
	}
	return d, point, nil
}

// pointOf computes the public point and checks the scalar's range.
func (c *curve) pointOf(scalar []byte) ([]byte, error) {
	if c.goType != nil {
		return goPoint(c, scalar)
	}
	return libPoint(c, scalar)
}

type ecOpened struct {
	info *publicInfo
	priv ecPrivate
	pub  ecPublic
}

func openEC(k *key) (*ecOpened, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	if info.family != &ecFamily {
		return nil, fmt.Errorf("a key on %s with this mechanism: %w", info.curve.name, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	o := &ecOpened{info: info}
	switch {
	case k.remote != nil:
		o.priv = remoteEC{k.remote, info.curve}
	case k.value != nil:
		o.priv, err = info.curve.private(k.value, info.key)
	default:
		o.pub, err = info.curve.public(info.key)
	}
	return o, err
}

func init() {
	provide(engine{sign: signECDSA, verify: verifyECDSA}, ck.CKM_ECDSA)
	provide(engine{hash: rowHash, sign: signECDSA, verify: verifyECDSA},
		ck.CKM_ECDSA_SHA1, ck.CKM_ECDSA_SHA224, ck.CKM_ECDSA_SHA256, ck.CKM_ECDSA_SHA384, ck.CKM_ECDSA_SHA512,
		ck.CKM_ECDSA_SHA3_224, ck.CKM_ECDSA_SHA3_256, ck.CKM_ECDSA_SHA3_384, ck.CKM_ECDSA_SHA3_512,
		ck.CKM_IBM_ECDSA_SHA224, ck.CKM_IBM_ECDSA_SHA256, ck.CKM_IBM_ECDSA_SHA384, ck.CKM_IBM_ECDSA_SHA512)
}

func signECDSA(k *key, _ mech.Mechanism, digest []byte) ([]byte, error) {
	o, err := open(k, openEC)
	if err != nil {
		return nil, err
	}
	if o.priv == nil {
		return nil, errNotPrivate
	}
	return o.priv.sign(digest)
}

var errNotPrivate = fmt.Errorf("not a private key: %w", ck.CKR_KEY_TYPE_INCONSISTENT)

func verifyECDSA(k *key, _ mech.Mechanism, digest, sig []byte) error {
	o, err := open(k, openEC)
	if err != nil {
		return err
	}
	if o.pub == nil {
		return fmt.Errorf("not a public key: %w", ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if want := 2 * o.info.curve.order; len(sig) != want {
		return fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), want, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	if !o.pub.verify(digest, sig) {
		return errSignature
	}
	return nil
}
