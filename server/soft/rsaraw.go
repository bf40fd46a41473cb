package soft

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
)

// errInput: in is not smaller than the modulus.
var errInput = fmt.Errorf("number is not below the modulus: %w", ck.CKR_DATA_INVALID)

// public is the bare RSA function; in is size bytes.
func (r *rsaKey) public(in []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(in)
	if c.Cmp(r.n) >= 0 {
		return nil, errInput
	}
	if r.lib != nil {
		return r.lib.RSAPublic(in)
	}
	return c.Exp(c, r.e, r.n).FillBytes(make([]byte, r.size)), nil
}

// private is the bare RSA function with the private key; in is size bytes.
func (r *rsaKey) private(in []byte) ([]byte, error) {
	if new(big.Int).SetBytes(in).Cmp(r.n) >= 0 {
		return nil, errInput
	}
	if r.away != nil {
		return r.away.bareRSA(in)
	}
	if r.lib == nil {
		return r.blinded(in)
	}
	out, err := r.lib.RSAPrivate(in)
	if err != nil {
		return nil, fmt.Errorf("RSA: %v: %w", err, ck.CKR_DEVICE_ERROR)
	}
	return out, nil
}

// blinded is for builds without libcrypto. math/big takes time that depends on
// its numbers, so they are multiplied with random ones first; the result is
// checked, as a fault in one half would give the key away.
func (r *rsaKey) blinded(in []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(in)
	blind, unblind, err := r.blinding()
	if err != nil {
		return nil, err
	}
	x := new(big.Int).Mul(c, blind)
	x = r.crt(x.Mod(x, r.n))
	x.Mul(x, unblind).Mod(x, r.n)
	if new(big.Int).Exp(x, r.e, r.n).Cmp(c) != 0 {
		return nil, fmt.Errorf("RSA result is wrong: %w", ck.CKR_DEVICE_ERROR)
	}
	return x.FillBytes(make([]byte, r.size)), nil
}

func (r *rsaKey) blinding() (blind, unblind *big.Int, err error) {
	for {
		x, err := rand.Int(rand.Reader, r.n)
		if err != nil {
			return nil, nil, err
		}
		if inv := new(big.Int).ModInverse(x, r.n); inv != nil {
			return new(big.Int).Exp(x, r.e, r.n), inv, nil
		}
	}
}

func (r *rsaKey) crt(c *big.Int) *big.Int {
	p, q, pre := r.priv.Primes[0], r.priv.Primes[1], &r.priv.Precomputed
	m1 := new(big.Int).Exp(c, pre.Dp, p)
	m2 := new(big.Int).Exp(c, pre.Dq, q)
	m1.Sub(m1, m2).Mul(m1, pre.Qinv).Mod(m1, p)
	return m1.Mul(m1, q).Add(m1, m2)
}
