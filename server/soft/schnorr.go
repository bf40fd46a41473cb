package soft

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
)

// CKM_IBM_ECDSA_OTHER: two Schnorr signatures (grep11-wire 11.1) and BLS.
func init() {
	e := engine{sign: signOther, verify: verifyOther}
	if libcrypto.Available {
		provide(e, ck.CKM_IBM_ECDSA_OTHER)
	}
}

// schnorr is one of the two: what is hashed, and the sign of r*d in s.
type schnorr struct {
	challenge func(q, pub, data []byte) []byte
	minus     bool
}

var schnorrs = map[uint64]schnorr{
	// BSI TR-03111 4.2.3: r = H(Qx, Qy, M), s = k + r*d.
	mech.ECSGSchnorr: {challenge: func(q, _, data []byte) []byte { return append(append([]byte(nil), q[1:]...), data...) }},
	// Zilliqa's: r = H(Q, P, M) over compressed points, s = k - r*d.
	mech.ECSGSchnorrMulti: {minus: true, challenge: func(q, pub, data []byte) []byte {
		return append(append(compress(q), compress(pub)...), data...)
	}},
}

var schnorrCurves = map[string]bool{"SECP256K1": true, "P-256": true, "BP-256R": true, "BP-256T": true}

func schnorrOf(k *key, m mech.Mechanism) (*publicInfo, schnorr, error) {
	p, err := mech.As[*mech.ECSG](m)
	if err != nil {
		return nil, schnorr{}, err
	}
	s, ok := schnorrs[p.Type]
	if !ok {
		return nil, s, fmt.Errorf("signature of type %d: %w", p.Type, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	info, err := parseSPKI(k.spki)
	if err == nil && !schnorrCurves[info.curve.name] {
		err = fmt.Errorf("%s for Schnorr signatures: %w", info.curve.name, ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return info, s, err
}

func isBLS(m mech.Mechanism) bool {
	p, ok := m.Param.(*mech.ECSG)
	return ok && p.Type == mech.ECSGBLS
}

// number is the challenge as a number modulo the order.
func (s schnorr) number(q, pub, data []byte, n *big.Int) *big.Int {
	h := sha256.Sum256(s.challenge(q, pub, data))
	r := new(big.Int).SetBytes(h[:])
	return r.Mod(r, n)
}

func signOther(k *key, m mech.Mechanism, data []byte) ([]byte, error) {
	if isBLS(m) {
		return signBLS(k, data)
	}
	info, s, err := schnorrOf(k, m)
	if err != nil {
		return nil, err
	}
	if k.value == nil {
		return nil, errNotPrivate
	}
	n, err := info.curve.groupOrder()
	if err != nil {
		return nil, err
	}
	d := new(big.Int).SetBytes(k.value)
	for { // r or s is 0 once in 2^255 times
		r, sum, err := s.once(info, d, n, data)
		if err != nil {
			return nil, err
		}
		if r.Sign() != 0 && sum.Sign() != 0 {
			return halves(r, sum, info.curve.order), nil
		}
	}
}

func (s schnorr) once(info *publicInfo, d, n *big.Int, data []byte) (r, sum *big.Int, err error) {
	nonce, err := nonZero(n)
	if err != nil {
		return nil, nil, err
	}
	q, err := info.curve.multiply(nonce, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	r = s.number(q, info.key, data, n)
	rd, err := mulSecret(r, d, n)
	if err != nil {
		return nil, nil, err
	}
	if s.minus {
		rd.Sub(n, rd)
	}
	return r, rd.Add(rd, nonce).Mod(rd, n), nil
}

func verifyOther(k *key, m mech.Mechanism, data, sig []byte) error {
	if isBLS(m) {
		return verifyBLS(k, data, sig)
	}
	info, s, err := schnorrOf(k, m)
	if err != nil {
		return err
	}
	if len(sig) != 2*info.curve.order {
		return fmt.Errorf("signature of %d bytes: %w", len(sig), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	n, err := info.curve.groupOrder()
	if err != nil {
		return err
	}
	r, sum := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
	if r.Sign() == 0 || sum.Sign() == 0 || r.Cmp(n) >= 0 || sum.Cmp(n) >= 0 {
		return errSignature
	}
	factor := new(big.Int).Set(r) // Q = sG + rP, or sG - rP
	if !s.minus {
		factor.Sub(n, r)
	}
	q, err := info.curve.multiply(sum, info.key, factor)
	if err != nil || s.number(q, info.key, data, n).Cmp(r) != 0 {
		return errSignature
	}
	return nil
}
