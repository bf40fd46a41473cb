package soft

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/sign/ed448"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var edwardsFamily = family{
	typ:        ck.CKK_EC_EDWARDS,
	private:    unit.BitSign,
	public:     unit.BitVerify,
	check:      checkRawPoint,
	attributes: ecAttributes,
	pkcs8:      rfc8410,
	fromPKCS8:  fromRFC8410,
}

// rawCurve has the functions of a curve whose public keys have no point format.
type rawCurve struct {
	public func(secret []byte) ([]byte, error)
	agree  func(secret, point []byte) ([]byte, error)
	// generate is for curves whose secrets are not just any bytes.
	generate func() (ck.Secret, []byte, error)
}

var rawCurves = map[string]rawCurve{
	"ed25519": {public: func(seed []byte) ([]byte, error) {
		return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), nil
	}},
	"ed448": {public: func(seed []byte) ([]byte, error) {
		return ed448.NewKeyFromSeed(seed).Public().(ed448.PublicKey), nil
	}},
	"curve25519": {public: func(secret []byte) ([]byte, error) {
		k, err := ecdh.X25519().NewPrivateKey(secret)
		if err != nil {
			return nil, err
		}
		return k.PublicKey().Bytes(), nil
	}, agree: agree25519},
	"x448": {public: public448, agree: agree448},
}

func checkRawPoint(info *publicInfo) error {
	if len(info.key) != info.curve.field {
		return badPoint(info.curve)
	}
	return nil
}

// rfc8410 is the private key's CurvePrivateKey.
func rfc8410(k *key, info *publicInfo) ([]byte, error) {
	return makePKCS8(info.curve.oid, nil, octets(k.value))
}

func fromRFC8410(p *privateInfo) (ck.Secret, []byte, error) {
	c := curveByOID(p.oid)
	if c == nil { // the native form: id-ecPublicKey with the curve as parameter
		c = curveByOID(p.params)
	}
	s := cryptobyte.String(p.key)
	var secret cryptobyte.String
	if c == nil || !s.ReadASN1(&secret, asn1.OCTET_STRING) || !s.Empty() || len(secret) != c.field {
		return nil, nil, badPKCS8("not a CurvePrivateKey")
	}
	public, err := rawCurves[c.name].public(secret)
	if err != nil {
		return nil, nil, badPKCS8("private value is out of range")
	}
	return append(ck.Secret(nil), secret...), makeSPKI(oidEC, c.oid, public), nil
}

func rawGenerate(c *curve) (ck.Secret, []byte, error) {
	if generate := rawCurves[c.name].generate; generate != nil {
		return generate()
	}
	secret := make(ck.Secret, c.field)
	rand.Read(secret)
	public, err := rawCurves[c.name].public(secret)
	return secret, public, err
}

func init() {
	provide(engine{sign: signEdDSA, verify: verifyEdDSA}, ck.CKM_EDDSA)
	provide(engine{sign: signEdDSA, verify: verifyEdDSA}, ck.CKM_IBM_ED25519_SHA512, ck.CKM_IBM_ED448_SHA3)
}

// edwards signs with RFC 8032's variants: pure, with context, prehashed.
type edwards struct {
	c    *curve
	priv crypto.Signer // nil for public keys
	pub  []byte
}

// edCurves: the vendor's mechanisms name their curve.
var edCurves = map[ck.MechanismType]string{ck.CKM_IBM_ED25519_SHA512: "ed25519", ck.CKM_IBM_ED448_SHA3: "ed448"}

func openEdwards(k *key) (*edwards, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	e := &edwards{c: info.curve, pub: info.key}
	switch {
	case k.remote != nil:
		e.priv = remoteEd{remote: k.remote}
	case k.value == nil:
	case e.c.name == "ed25519":
		e.priv = ed25519.NewKeyFromSeed(k.value)
	default:
		e.priv = ed448.NewKeyFromSeed(k.value)
	}
	return e, nil
}

func edwardsOf(k *key, m mech.Mechanism) (*edwards, *mech.EdDSA, error) {
	e, err := open(k, openEdwards)
	if err != nil {
		return nil, nil, err
	}
	if want, ok := edCurves[m.Type]; ok && want != e.c.name {
		return nil, nil, fmt.Errorf("%v with a key on %s: %w", m.Type, e.c.name, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	p, ok := m.Param.(*mech.EdDSA)
	if !ok {
		p = &mech.EdDSA{}
	}
	return e, p, nil
}

// options25519 gives Go's form of the parameter, and what is signed.
func options25519(p *mech.EdDSA, data []byte) (*ed25519.Options, []byte) {
	o := &ed25519.Options{Context: string(p.Context)}
	if p.Prehash {
		o.Hash = crypto.SHA512
		data = hashOf(crypto.SHA512, data)
	}
	return o, data
}

func signEdDSA(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	e, p, err := edwardsOf(k, m)
	if err != nil {
		return nil, err
	}
	switch priv := e.priv.(type) {
	case remoteEd:
		return priv.signPure(p, data)
	case ed25519.PrivateKey:
		o, data := options25519(p, data)
		return priv.Sign(nil, data, o)
	case ed448.PrivateKey:
		if p.Prehash {
			return ed448.SignPh(priv, data, string(p.Context)), nil
		}
		return ed448.Sign(priv, data, string(p.Context)), nil
	}
	return nil, errNotPrivate
}

func verifyEdDSA(k *key, m mech.Mechanism, data, sig []byte) error {
	e, p, err := edwardsOf(k, m)
	if err != nil {
		return err
	}
	if len(sig) != 2*e.c.field {
		return fmt.Errorf("signature of %d bytes: %w", len(sig), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	if !e.verify(p, data, sig) {
		return errSignature
	}
	return nil
}

func (e *edwards) verify(p *mech.EdDSA, data, sig []byte) bool {
	if e.c.name == "ed25519" {
		o, data := options25519(p, data)
		return ed25519.VerifyWithOptions(e.pub, data, sig, o) == nil
	}
	if p.Prehash {
		return ed448.VerifyPh(e.pub, data, sig, string(p.Context))
	}
	return ed448.Verify(e.pub, data, sig, string(p.Context))
}
