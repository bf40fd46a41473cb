package soft

import (
	"crypto/ecdh"
	"fmt"

	"github.com/cloudflare/circl/dh/x448"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var montgomeryFamily = family{
	typ:        ck.CKK_EC_MONTGOMERY,
	check:      checkRawPoint,
	attributes: ecAttributes,
	pkcs8:      rfc8410,
	fromPKCS8:  fromRFC8410,
}

func init() {
	provide(engine{pair: generateCurve(ck.CKK_EC_MONTGOMERY)}, ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN)
	provide(engine{derive: onCurve("curve25519", deriveECDH)}, ck.CKM_IBM_EC_X25519)
	provide(engine{derive: onCurve("x448", deriveECDH)}, ck.CKM_IBM_EC_X448)
}

type deriveFunc = func(*Unit, *key, mech.Mechanism, []byte, ck.Template) (derived, error)

// onCurve is for mechanisms that name a curve.
func onCurve(name string, f deriveFunc) deriveFunc {
	return func(u *Unit, k *key, m mech.Mechanism, data []byte, t ck.Template) (derived, error) {
		if err := k.on(name); err != nil {
			return derived{}, err
		}
		return f(u, k, m, data, t)
	}
}

func (k *key) on(curve string) error {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return err
	}
	if info.curve.name != curve {
		return fmt.Errorf("a key on %s where one on %s belongs: %w", info.curve.name, curve, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	return nil
}

// agree25519 and agree448 are RFC 7748's; points of small order, which give
// zero, are refused.
func agree25519(secret, point []byte) ([]byte, error) {
	priv, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, err
	}
	peer, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return priv.ECDH(peer)
}

func agree448(secret, point []byte) ([]byte, error) {
	var out, s, p x448.Key
	copy(s[:], secret)
	copy(p[:], point)
	defer clear(s[:])
	if !x448.Shared(&out, &s, &p) {
		return nil, fmt.Errorf("point of small order")
	}
	return out[:], nil
}

func public448(secret []byte) ([]byte, error) {
	var s, p x448.Key
	copy(s[:], secret)
	defer clear(s[:])
	x448.KeyGen(&p, &s)
	return p[:], nil
}

// agreeRaw is the agreement on curves whose points have no format.
func agreeRaw(k *key, c *curve, point []byte) (ck.Secret, error) {
	if k.value == nil {
		return nil, errNotPrivate
	}
	point = unwrapPoint(point, c.field)
	if len(point) != c.field {
		return nil, fmt.Errorf("%v: %w", badPoint(c), ck.CKR_MECHANISM_PARAM_INVALID)
	}
	z, err := rawCurves[c.name].agree(k.value, point)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return z, nil
}
