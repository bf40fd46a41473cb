package unittest

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidPSS = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}

var ecCurves = map[string]struct {
	oid   asn1.ObjectIdentifier
	bytes int
}{
	"secp256r1": {asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, 32},
	"secp384r1": {asn1.ObjectIdentifier{1, 3, 132, 0, 34}, 48},
}

var idECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// ecPKCS8 writes a key as software does that leaves the public half out.
func ecPKCS8(curve asn1.ObjectIdentifier, d []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(0)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(idECPublicKey)
			b.AddASN1ObjectIdentifier(curve)
		})
		b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Uint64(1)
				b.AddASN1OctetString(d)
			})
		})
	})
	return b.BytesOrPanic()
}

// pointOf takes the point out of an SPKI, as a caller of PKCS#11 has to.
func pointOf(spki []byte, curve asn1.ObjectIdentifier) []byte {
	s := cryptobyte.String(spki)
	var body, alg cryptobyte.String
	var id, params asn1.ObjectIdentifier
	var point []byte
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !s.Empty() || !body.ReadASN1(&alg, casn1.SEQUENCE) ||
		!alg.ReadASN1ObjectIdentifier(&id) || !alg.ReadASN1ObjectIdentifier(&params) || !alg.Empty() ||
		!id.Equal(idECPublicKey) || !params.Equal(curve) || !body.ReadASN1BitStringAsBytes(&point) || !body.Empty() {
		return nil
	}
	return point
}

// plainRSA brings an SPKI of id-RSASSA-PSS to rsaEncryption.
func plainRSA(spki []byte) []byte {
	s := cryptobyte.String(spki)
	var body, alg cryptobyte.String
	var key []byte
	if !s.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1(&alg, casn1.SEQUENCE) || !body.ReadASN1BitStringAsBytes(&key) {
		return nil
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(append(oidPSS[:len(oidPSS)-1:len(oidPSS)-1], 1))
			b.AddASN1NULL()
		})
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}
