package soft

import (
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/server/libcrypto"
)

// libKey is a key on a Weierstrass curve in libcrypto.
type libKey struct {
	c   *curve
	key *libcrypto.Key
}

func needsLib(c *curve, err error) error {
	if !libcrypto.Available {
		return fmt.Errorf("%s needs libcrypto: %w", c.name, ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return err
}

func newLibPrivate(c *curve, scalar, point []byte) (ecPrivate, error) {
	der, err := makePKCS8(oidEC, c.oid, ecPrivateKey(scalar, point))
	if err != nil {
		return nil, err
	}
	defer clear(der)
	k, err := libcrypto.Private(der)
	if err != nil {
		return nil, needsLib(c, badPKCS8("EC key"))
	}
	return &libKey{c, k}, nil
}

func newLibPublic(c *curve, point []byte) (ecPublic, error) {
	k, err := libcrypto.Public(makeSPKI(oidEC, c.oid, point))
	if err != nil {
		return nil, needsLib(c, badPoint(c))
	}
	return &libKey{c, k}, nil
}

func (p *libKey) sign(digest []byte) ([]byte, error) {
	der, err := p.key.Sign(digest)
	if err != nil {
		return nil, fmt.Errorf("ECDSA: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return halvesOf(der, p.c.order)
}

// halvesOf brings the DER of r and s to GREP11's form.
func halvesOf(der []byte, size int) ([]byte, error) {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	x, y := new(big.Int), new(big.Int)
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Integer(x) || !body.ReadASN1Integer(y) {
		return nil, fmt.Errorf("signature is not DER: %w", ck.CKR_FUNCTION_FAILED)
	}
	return halves(x, y, size), nil
}

func (p *libKey) verify(digest, sig []byte) bool {
	return p.key.Verify(digest, derOf(sig))
}

// derOf is the reverse of halvesOf.
func derOf(sig []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:len(sig)/2]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[len(sig)/2:]))
	})
	return b.BytesOrPanic()
}

func (p *libKey) agree(point []byte) ([]byte, error) {
	if err := p.c.checkForm(point); err != nil && !p.c.isCompressed(point) {
		return nil, err
	}
	peer, err := libcrypto.Public(makeSPKI(oidEC, p.c.oid, point))
	if err != nil {
		return nil, badPoint(p.c)
	}
	return p.key.Derive(peer)
}

func libGenerate(c *curve) (ck.Secret, []byte, error) {
	k, err := libcrypto.GenerateEC(c.lib)
	if err != nil {
		return nil, nil, needsLib(c, fmt.Errorf("%s: %v: %w", c.name, err, ck.CKR_FUNCTION_FAILED))
	}
	return libHalves(c, k)
}

func libHalves(c *curve, k *libcrypto.Key) (ck.Secret, []byte, error) {
	der, err := k.PKCS8()
	if err != nil {
		return nil, nil, err
	}
	defer clear(der)
	p, err := parsePKCS8(der)
	if err != nil {
		return nil, nil, err
	}
	d, _, err := readECPrivateKey(p.key)
	if err != nil {
		return nil, nil, err
	}
	scalar, err := c.scalarBytes(d)
	if err != nil {
		return nil, nil, err
	}
	spki, err := k.SPKI()
	if err != nil {
		return nil, nil, err
	}
	info, err := splitSPKI(spki)
	if err != nil {
		return nil, nil, err
	}
	return scalar, info.key, c.checkForm(info.key)
}

// libPoint has libcrypto compute the public point of a scalar.
func libPoint(c *curve, scalar []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(1)
		b.AddASN1OctetString(scalar)
	})
	der, err := makePKCS8(oidEC, c.oid, b.BytesOrPanic())
	if err != nil {
		return nil, err
	}
	defer clear(der)
	k, err := libcrypto.Private(der)
	if err != nil {
		return nil, needsLib(c, badPKCS8("private value is out of range"))
	}
	_, point, err := libHalves(c, k)
	return point, err
}
