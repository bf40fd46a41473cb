package grep11client

import (
	"crypto/rand"
	"math/big"

	"grep11/pkcs11/ck"
)

// maxRSABytes bounds components, so that arithmetic on a caller's numbers ends.
const maxRSABytes = 1024

var one = big.NewInt(1)

// usualExponents are looked at where a template has no CKA_PUBLIC_EXPONENT.
var usualExponents = []int64{65537, 3, 17, 5, 257}

func number(t ck.Template, at ck.AttributeType) (*big.Int, error) {
	b := t.Bytes(at)
	if len(b) > maxRSABytes {
		return nil, wrong(at, "too long")
	}
	return new(big.Int).SetBytes(b), nil
}

func rsaPublic(t ck.Template) (n, e *big.Int, err error) {
	if n, err = number(t, ck.CKA_MODULUS); err != nil {
		return nil, nil, err
	}
	if e, err = number(t, ck.CKA_PUBLIC_EXPONENT); err != nil {
		return nil, nil, err
	}
	if n.Sign() == 0 {
		return nil, nil, missing(ck.CKA_MODULUS)
	}
	if e.Sign() == 0 {
		return nil, nil, missing(ck.CKA_PUBLIC_EXPONENT)
	}
	return n, e, nil
}

// rsaPKCS8 completes what the template leaves out: PKCS#11 asks for the modulus
// and the private exponent only (v3.2 §6.1.3), PKCS#1 for everything.
func rsaPKCS8(t ck.Template) (ck.Secret, error) {
	k := rsaPrivateKey{}
	for at, v := range map[ck.AttributeType]**big.Int{
		ck.CKA_MODULUS: &k.N, ck.CKA_PUBLIC_EXPONENT: &k.E, ck.CKA_PRIVATE_EXPONENT: &k.D,
		ck.CKA_PRIME_1: &k.P, ck.CKA_PRIME_2: &k.Q,
	} {
		n, err := number(t, at)
		if err != nil {
			return nil, err
		}
		*v = n
	}
	if k.N.Sign() == 0 {
		return nil, missing(ck.CKA_MODULUS)
	}
	if k.P.Sign() == 0 || k.Q.Sign() == 0 {
		if err := k.factor(); err != nil {
			return nil, err
		}
	}
	if err := k.complete(); err != nil {
		return nil, err
	}
	if err := k.checkExponents(t); err != nil {
		return nil, err
	}
	return privateInfo(rsaAlgorithm(), mustMarshal(k)), nil
}

// complete computes exponents from the primes.
func (k *rsaPrivateKey) complete() error {
	if new(big.Int).Mul(k.P, k.Q).Cmp(k.N) != 0 || k.P.Cmp(one) <= 0 || k.Q.Cmp(one) <= 0 {
		return wrong(ck.CKA_PRIME_1, "the primes do not make the modulus")
	}
	p1, q1 := new(big.Int).Sub(k.P, one), new(big.Int).Sub(k.Q, one)
	lambda := new(big.Int).Mul(p1, q1)
	lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
	switch {
	case k.D.Sign() == 0 && k.E.Sign() == 0:
		return missing(ck.CKA_PRIVATE_EXPONENT)
	case k.D.Sign() == 0:
		k.D.ModInverse(k.E, lambda)
	case k.E.Sign() == 0:
		k.E.ModInverse(k.D, lambda)
	}
	if check := new(big.Int).Mul(k.D, k.E); check.Mod(check, lambda).Cmp(one) != 0 {
		return wrong(ck.CKA_PRIVATE_EXPONENT, "does not match the public one")
	}
	k.DP, k.DQ = new(big.Int).Mod(k.D, p1), new(big.Int).Mod(k.D, q1)
	if k.QInv = new(big.Int).ModInverse(k.Q, k.P); k.QInv == nil {
		return wrong(ck.CKA_PRIME_2, "not prime to the other")
	}
	return nil
}

// checkExponents compares what the primes make with what the template says
// beside them.
func (k *rsaPrivateKey) checkExponents(t ck.Template) error {
	if !t.Has(ck.CKA_PRIME_1) || !t.Has(ck.CKA_PRIME_2) {
		return nil // the primes that were found may be the other way round
	}
	for at, want := range map[ck.AttributeType]*big.Int{ck.CKA_EXPONENT_1: k.DP, ck.CKA_EXPONENT_2: k.DQ, ck.CKA_COEFFICIENT: k.QInv} {
		n, err := number(t, at)
		if err != nil {
			return err
		}
		if t.Has(at) && n.Cmp(want) != 0 {
			return wrong(at, "does not match the primes")
		}
	}
	return nil
}

// guess finds the public exponent if it is a usual one: two raised to both
// exponents is two again.
func (k *rsaPrivateKey) guess() bool {
	two := big.NewInt(2)
	half := new(big.Int).Exp(two, k.D, k.N)
	for _, e := range usualExponents {
		k.E.SetInt64(e)
		if new(big.Int).Exp(half, k.E, k.N).Cmp(two) == 0 {
			return true
		}
	}
	return false
}

// factor finds the primes from modulus and exponents (NIST SP 800-56B,
// appendix C): a square root of 1 other than ±1 shares a factor with N.
func (k *rsaPrivateKey) factor() error {
	if k.D.Sign() == 0 {
		return missing(ck.CKA_PRIVATE_EXPONENT)
	}
	if k.N.Bit(0) == 0 || k.N.BitLen() < 16 {
		return wrong(ck.CKA_MODULUS, "even or tiny")
	}
	if k.E.Sign() == 0 && !k.guess() {
		return missing(ck.CKA_PUBLIC_EXPONENT)
	}
	m := new(big.Int).Mul(k.D, k.E)
	m.Sub(m, one)
	s := m.TrailingZeroBits()
	if s == 0 || s > 256 {
		return wrong(ck.CKA_PRIVATE_EXPONENT, "does not match the public one")
	}
	odd := new(big.Int).Rsh(m, s)
	last := new(big.Int).Sub(k.N, one)
	for range 100 {
		g, err := rand.Int(rand.Reader, last)
		if err != nil {
			return err
		}
		x := g.Exp(g, odd, k.N)
		for range s {
			y := new(big.Int).Mul(x, x)
			y.Mod(y, k.N)
			if y.Cmp(one) == 0 && x.Cmp(one) != 0 && x.Cmp(last) != 0 {
				k.P.GCD(nil, nil, x.Sub(x, one), k.N)
				k.Q.Div(k.N, k.P)
				return nil
			}
			x = y
		}
		if x.Cmp(one) != 0 {
			break // not even Fermat's theorem holds
		}
	}
	return wrong(ck.CKA_PRIVATE_EXPONENT, "does not match modulus and public exponent")
}
