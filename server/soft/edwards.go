package soft

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"fmt"

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

var montgomeryFamily = family{
	typ:        ck.CKK_EC_MONTGOMERY,
	check:      checkRawPoint,
	attributes: ecAttributes,
	pkcs8:      rfc8410,
	fromPKCS8:  fromRFC8410,
}

// rawCurves have public keys without a point format: their functions.
var rawCurves = map[string]struct {
	lenSecret int
	public    func(secret []byte) ([]byte, error)
}{
	"ed25519": {32, func(seed []byte) ([]byte, error) {
		return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), nil
	}},
	"curve25519": {32, func(secret []byte) ([]byte, error) {
		k, err := ecdh.X25519().NewPrivateKey(secret)
		if err != nil {
			return nil, err
		}
		return k.PublicKey().Bytes(), nil
	}},
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
	if c == nil || !s.ReadASN1(&secret, asn1.OCTET_STRING) || !s.Empty() || len(secret) != rawCurves[c.name].lenSecret {
		return nil, nil, badPKCS8("not a CurvePrivateKey")
	}
	public, err := rawCurves[c.name].public(secret)
	if err != nil {
		return nil, nil, badPKCS8("private value is out of range")
	}
	return append(ck.Secret(nil), secret...), makeSPKI(oidEC, c.oid, public), nil
}

func rawGenerate(c *curve) (ck.Secret, []byte, error) {
	secret := make(ck.Secret, rawCurves[c.name].lenSecret)
	rand.Read(secret)
	public, err := rawCurves[c.name].public(secret)
	return secret, public, err
}

func init() {
	provide(engine{sign: signEdDSA, verify: verifyEdDSA}, ck.CKM_EDDSA)
}

// edOptions are RFC 8032's variants of Ed25519: pure, with context, prehashed.
func edOptions(m mech.Mechanism, data []byte) (*ed25519.Options, []byte) {
	p, ok := m.Param.(*mech.EdDSA)
	switch {
	case !ok:
		return &ed25519.Options{}, data
	case p.Prehash:
		sum := sha512.Sum512(data)
		return &ed25519.Options{Hash: crypto.SHA512, Context: string(p.Context)}, sum[:]
	}
	return &ed25519.Options{Context: string(p.Context)}, data
}

func signEdDSA(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	priv, err := open(k, openEd25519)
	if err != nil {
		return nil, err
	}
	opts, data := edOptions(m, data)
	sig, err := priv.Sign(nil, data, opts)
	if err != nil {
		return nil, fmt.Errorf("Ed25519: %v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return sig, nil
}

func openEd25519(k *key) (ed25519.PrivateKey, error) {
	if k.value == nil {
		return nil, errNotPrivate
	}
	return ed25519.NewKeyFromSeed(k.value), nil
}

func verifyEdDSA(k *key, m mech.Mechanism, data, sig []byte) error {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return err
	}
	if len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("signature of %d bytes: %w", len(sig), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	opts, data := edOptions(m, data)
	if ed25519.VerifyWithOptions(ed25519.PublicKey(info.key), data, sig, opts) != nil {
		return errSignature
	}
	return nil
}
