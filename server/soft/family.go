package soft

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// family is a kind of asymmetric key: how its halves are written, what they
// show and what they may do by default.
type family struct {
	typ ck.KeyType
	// private and public are the rights a key has when its template says
	// nothing (grep11-wire 14): what the algorithm can do.
	private, public unit.Bits
	// check refuses a public key from outside that is not a good one.
	check func(*publicInfo) error
	// attributes are the public values that both halves show.
	attributes func(*publicInfo) ck.Template
	// publicValue is CKA_VALUE of the public half; nil where it has none.
	publicValue func(*publicInfo) []byte
	// pkcs8 writes PrivateKeyInfo.
	pkcs8 func(k *key, info *publicInfo) ([]byte, error)
	// fromPKCS8 makes value and SPKI of PrivateKeyInfo's parts and checks them.
	fromPKCS8 func(p *privateInfo) (value ck.Secret, spki []byte, err error)
}

// algorithms finds the family of an SPKI by its algorithm's OID.
var algorithms map[string]func(*publicInfo) error

func init() {
	algorithms = map[string]func(*publicInfo) error{
		string(oidRSA): isFamily(&rsaFamily),
		string(oidEC):  findCurve,
		string(oidDSA): isFamily(&dsaFamily),
		string(oidDH):  isFamily(&dhFamily),
	}
	for _, s := range mech.ParameterSets() {
		algorithms[string(s.OID)] = isSet(&s)
	}
}

func isFamily(f *family) func(*publicInfo) error {
	return func(info *publicInfo) error {
		info.family = f
		return nil
	}
}

// privateInfo is a PKCS#8 PrivateKeyInfo (RFC 5958) taken apart.
type privateInfo struct {
	oid, params, key []byte
}

func badPKCS8(why string) error {
	return fmt.Errorf("PrivateKeyInfo: %s: %w", why, ck.CKR_WRAPPED_KEY_INVALID)
}

func parsePKCS8(der []byte) (*privateInfo, error) {
	s := cryptobyte.String(der)
	var body, alg, oid, params, key cryptobyte.String
	var version uint
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) || version > 1 ||
		!body.ReadASN1(&alg, asn1.SEQUENCE) || !alg.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) ||
		!body.ReadASN1(&key, asn1.OCTET_STRING) {
		return nil, badPKCS8("not DER") // attributes and a public key may follow
	}
	if !alg.Empty() {
		var tag asn1.Tag
		if !alg.ReadAnyASN1Element(&params, &tag) || !alg.Empty() {
			return nil, badPKCS8("algorithm parameters")
		}
	}
	return &privateInfo{oid, params, key}, nil
}

func makePKCS8(oid, params, key []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(0)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(oid)
			b.AddBytes(params)
		})
		b.AddASN1OctetString(key)
	})
	return b.Bytes()
}

// importPKCS8 finds the family of a private key and makes value and SPKI.
func importPKCS8(der []byte) (ck.Secret, *publicInfo, error) {
	p, err := parsePKCS8(der)
	if err != nil {
		return nil, nil, err
	}
	f := privateFamily(p)
	if f == nil {
		return nil, nil, badPKCS8("unknown algorithm")
	}
	value, spki, err := f.fromPKCS8(p)
	if err != nil {
		return nil, nil, err
	}
	info, err := parseSPKI(spki)
	return value, info, err
}

func privateFamily(p *privateInfo) *family {
	if c := curveByOID(p.oid); c != nil { // RFC 8410
		return c.kind
	}
	info := publicInfo{oid: p.oid, params: p.params}
	find := algorithms[string(p.oid)]
	if find == nil || find(&info) != nil {
		return nil
	}
	return info.family
}
