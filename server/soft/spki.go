package soft

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
)

// publicInfo is a SubjectPublicKeyInfo taken apart.
type publicInfo struct {
	spki   []byte
	oid    []byte // the algorithm, as DER
	params []byte // its parameters, as DER; nil: none
	key    []byte // content of the BIT STRING
	family *family
	curve  *curve // of EC keys of every kind
}

func badSPKI(why string) error {
	return fmt.Errorf("SubjectPublicKeyInfo: %s: %w", why, ck.CKR_TEMPLATE_INCONSISTENT)
}

// splitSPKI reads the outer form alone.
func splitSPKI(der []byte) (*publicInfo, error) {
	info := &publicInfo{spki: der}
	s := cryptobyte.String(der)
	var body, alg, oid, params cryptobyte.String
	var noParams bool
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() || !body.ReadASN1(&alg, asn1.SEQUENCE) ||
		!alg.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) || !body.ReadASN1BitStringAsBytes(&info.key) || !body.Empty() {
		return nil, badSPKI("not DER")
	}
	if noParams = alg.Empty(); !noParams {
		var tag asn1.Tag
		if !alg.ReadAnyASN1Element(&params, &tag) || !alg.Empty() {
			return nil, badSPKI("algorithm parameters")
		}
	}
	info.oid, info.params = oid, params
	return info, nil
}

// parseSPKI reads an SPKI in the form of blobs, but does not check the key.
func parseSPKI(der []byte) (*publicInfo, error) {
	info, err := splitSPKI(der)
	if err != nil {
		return nil, err
	}
	find, ok := algorithms[string(info.oid)]
	if !ok {
		return nil, badSPKI("unknown algorithm")
	}
	return info, find(info)
}

// makeSPKI is the reverse; params may be nil.
func makeSPKI(oid, params, key []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(oid)
			b.AddBytes(params)
		})
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

// importSPKI takes a public key from outside, in RFC 5280 or RFC 8410 form,
// checks it and gives the blob's form (grep11-wire 10.3).
func importSPKI(der []byte) (*publicInfo, error) {
	info, err := splitSPKI(der)
	if err != nil {
		return nil, err
	}
	if c := curveByOID(info.oid); c != nil && info.params == nil { // RFC 8410
		der = makeSPKI(oidEC, c.oid, info.key)
	}
	if info, err = parseSPKI(der); err != nil {
		return nil, err
	}
	return info, info.family.check(info)
}
