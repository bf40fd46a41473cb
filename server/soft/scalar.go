package soft

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/server/libcrypto"
)

// Arithmetic modulo a curve's order, for what is not ECDSA.

// groupOrder is the order of a Weierstrass curve.
func (c *curve) groupOrder() (*big.Int, error) {
	b, err := libcrypto.Order(c.lib, c.order)
	if err != nil {
		return nil, needsLib(c, fmt.Errorf("%s: %v: %w", c.name, err, ck.CKR_CURVE_NOT_SUPPORTED))
	}
	return new(big.Int).SetBytes(b), nil
}

// multiply is a*G + b*P; either half may be nil.
func (c *curve) multiply(a *big.Int, point []byte, b *big.Int) ([]byte, error) {
	var ab, bb []byte
	if a != nil {
		ab = a.FillBytes(make([]byte, c.order))
		defer clear(ab)
	}
	if b != nil {
		bb = b.FillBytes(make([]byte, c.order))
		defer clear(bb)
	}
	out, err := libcrypto.Multiply(c.lib, c.field, ab, point, bb)
	if err != nil {
		return nil, needsLib(c, badPoint(c))
	}
	return out, nil
}

// compress is a point's short form (SEC 1 2.3.3).
func compress(point []byte) []byte {
	n := (len(point) - 1) / 2
	return append([]byte{2 + point[len(point)-1]&1}, point[1:1+n]...)
}

// nonZero is a random number from 1 to n-1.
func nonZero(n *big.Int) (*big.Int, error) {
	k, err := rand.Int(rand.Reader, new(big.Int).Sub(n, big.NewInt(1)))
	if err != nil {
		return nil, err
	}
	return k.Add(k, big.NewInt(1)), nil
}

// mulSecret is r*d modulo n. math/big takes time that depends on its numbers:
// d goes in as two random parts, neither of which says anything of it.
func mulSecret(r, d, n *big.Int) (*big.Int, error) {
	part, err := rand.Int(rand.Reader, n)
	if err != nil {
		return nil, err
	}
	rest := new(big.Int).Sub(d, part)
	rest.Mul(rest.Mod(rest, n), r)
	return rest.Add(rest, part.Mul(part, r)).Mod(rest, n), nil
}
