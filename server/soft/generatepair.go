package soft

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
	"grep11/server/unit"
)

func init() {
	provide(engine{pair: generateRSA}, ck.CKM_RSA_PKCS_KEY_PAIR_GEN)
	provide(engine{pair: generateCurve(ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY)}, ck.CKM_EC_KEY_PAIR_GEN)
	provide(engine{pair: generateCurve(ck.CKK_EC_EDWARDS)}, ck.CKM_EC_EDWARDS_KEY_PAIR_GEN)
}

// pair is what an engine makes of a key pair.
type pair struct {
	value  ck.Secret
	remote *remote // in place of value, where the pair lives in a device
	spki   []byte
}

// GenerateKeyPair makes a key pair.
func (u *Unit) GenerateKeyPair(_ context.Context, m mech.Mechanism, pub, priv ck.Template) (_, _ unit.Key, err error) {
	e, _, err := u.engineOf(m, ck.CKF_GENERATE_KEY_PAIR)
	if err != nil {
		return unit.Key{}, unit.Key{}, err
	}
	if e.pair == nil {
		return unit.Key{}, unit.Key{}, invalidMechanism(m, "does not generate a pair")
	}
	pubReq, err := readRequest(pub, ck.CKO_PUBLIC_KEY)
	if err != nil {
		return unit.Key{}, unit.Key{}, err
	}
	privReq, err := readRequest(priv, ck.CKO_PRIVATE_KEY)
	if err != nil {
		return unit.Key{}, unit.Key{}, err
	}
	if _, err := u.current(); err != nil {
		return unit.Key{}, unit.Key{}, err // before the work
	}
	p, err := e.pair(m, pubReq, privReq)
	if err != nil {
		return unit.Key{}, unit.Key{}, err
	}
	return u.answerPair(m, p, pubReq, privReq)
}

func (u *Unit) answerPair(m mech.Mechanism, p *pair, pub, priv *request) (pubKey, privKey unit.Key, err error) {
	info, err := parseSPKI(p.spki)
	if err != nil {
		return pubKey, privKey, err
	}
	k := &key{typ: info.family.typ, gen: m.Type, value: p.value, remote: p.remote, spki: p.spki}
	if err := k.take(priv, info.family.private); err != nil {
		return pubKey, privKey, err
	}
	k.bits = born(k.bits)
	pk := &key{typ: k.typ, gen: m.Type, spki: p.spki}
	if err := pk.take(pub, info.family.public); err != nil {
		return pubKey, privKey, err
	}
	pk.bits |= unit.BitLocal
	if (k.bits^pk.bits)&unit.BitAttrBound != 0 {
		return pubKey, privKey, fmt.Errorf("halves of a pair differ in IBM_ATTRBOUND: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if err := u.policy.Load().tests(k, info); err != nil {
		return pubKey, privKey, err
	}
	if privKey, err = u.answer(k, nil); err != nil {
		return pubKey, privKey, err
	}
	pubKey, err = u.answer(pk, nil)
	return pubKey, privKey, err
}

// readRSA reads the size and the public exponent of a pair to make.
func readRSA(pub, priv *request) (bits uint64, e *big.Int, err error) {
	for _, r := range []*request{pub, priv} {
		if err := r.want(ck.CKK_RSA); err != nil {
			return 0, nil, err
		}
	}
	if bits, err = pub.ulong(ck.CKA_MODULUS_BITS); err != nil {
		return 0, nil, err
	}
	if bits < minRSA || bits > maxRSA {
		return 0, nil, fmt.Errorf("RSA key of %d bits: %w", bits, ck.CKR_KEY_SIZE_RANGE)
	}
	e = new(big.Int).SetBytes(pub.Bytes(ck.CKA_PUBLIC_EXPONENT))
	if !pub.Has(ck.CKA_PUBLIC_EXPONENT) {
		e.SetInt64(65537)
	}
	if e.Bit(0) == 0 || e.BitLen() < 2 || e.BitLen() > 64 {
		return 0, nil, fmt.Errorf("RSA exponent of %d bits: %w", e.BitLen(), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return bits, e, nil
}

func generateRSA(_ mech.Mechanism, pub, priv *request) (*pair, error) {
	bits, e, err := readRSA(pub, priv)
	if err != nil {
		return nil, err
	}
	if !libcrypto.Available {
		return goGenerateRSA(int(bits), e)
	}
	k, err := libcrypto.GenerateRSA(int(bits), e.Bytes())
	if err != nil {
		return nil, fmt.Errorf("RSA key: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	der, err := k.PKCS8()
	if err != nil {
		return nil, err
	}
	p, err := parsePKCS8(der)
	if err != nil {
		return nil, err
	}
	n, err := readRSANumbers(p.key)
	if err != nil {
		return nil, err
	}
	return &pair{value: p.key, spki: rsaSPKI(n.n, n.e)}, nil
}

// readCurve reads which curve a pair is to be on.
func readCurve(types []ck.KeyType, pub, priv *request) (*curve, error) {
	params := pub.Bytes(ck.CKA_EC_PARAMS)
	if params == nil {
		params = priv.Bytes(ck.CKA_EC_PARAMS)
	}
	c, err := curveOf(params)
	if err != nil {
		return nil, err
	}
	// The product calls keys on every curve CKK_EC.
	for _, r := range []*request{pub, priv} {
		if err := r.want(c.kind.typ, ck.CKK_EC); err != nil {
			return nil, err
		}
	}
	if !hasType(types, c.kind.typ) {
		return nil, fmt.Errorf("%s with this mechanism: %w", c.name, ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return c, nil
}

// generateCurve makes pairs on the curves of some key types.
func generateCurve(types ...ck.KeyType) func(mech.Mechanism, *request, *request) (*pair, error) {
	return func(_ mech.Mechanism, pub, priv *request) (*pair, error) {
		c, err := readCurve(types, pub, priv)
		if err != nil {
			return nil, err
		}
		scalar, point, err := c.generate()
		if err != nil {
			return nil, err
		}
		return &pair{value: scalar, spki: makeSPKI(oidEC, c.oid, point)}, nil
	}
}

func hasType(types []ck.KeyType, t ck.KeyType) bool {
	for _, x := range types {
		if x == t {
			return true
		}
	}
	return false
}

func (c *curve) generate() (ck.Secret, []byte, error) {
	switch {
	case c.lib == "":
		return rawGenerate(c)
	case c.goType != nil:
		return goGenerate(c)
	}
	return libGenerate(c)
}

// goGenerateRSA is for builds without libcrypto: two primes, and a private
// exponent modulo the least common multiple (FIPS 186-5 A.1.1).
func goGenerateRSA(bits int, e *big.Int) (*pair, error) {
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			return nil, err
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			return nil, err
		}
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		n, gcd := new(big.Int).Mul(p, q), new(big.Int).GCD(nil, nil, p1, q1)
		lcm := new(big.Int).Div(new(big.Int).Mul(p1, q1), gcd)
		d := new(big.Int).ModInverse(e, lcm)
		if n.BitLen() != bits || d == nil || p.Cmp(q) == 0 {
			continue
		}
		k := rsaNumbers{n: n, e: e, d: d, p: p, q: q, dp: new(big.Int).Mod(d, p1), dq: new(big.Int).Mod(d, q1),
			qinv: new(big.Int).ModInverse(q, p)}
		return &pair{value: k.der(), spki: rsaSPKI(n, e)}, nil
	}
}
