package soft

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/server/libcrypto"
	"grep11/server/unit"
)

const (
	minRSA = 512
	maxRSA = 4096
)

var derNull = []byte{5, 0}

var rsaFamily = family{
	typ:        ck.CKK_RSA,
	private:    unit.BitSign | unit.BitDecrypt,
	public:     unit.BitVerify | unit.BitEncrypt,
	check:      func(info *publicInfo) error { _, err := parseRSAPublic(info); return err },
	attributes: rsaAttributes,
	pkcs8: func(k *key, _ *publicInfo) ([]byte, error) {
		return makePKCS8(oidRSA, derNull, k.value)
	},
	fromPKCS8: rsaFromPKCS8,
}

// rsaKey is an opened RSA key. lib is nil in a build without libcrypto.
type rsaKey struct {
	n, e *big.Int
	size int // bytes of n
	lib  *libcrypto.Key
	priv *rsa.PrivateKey // without lib
	away *remote         // in a device; nil: here
}

func parseRSAPublic(info *publicInfo) (*rsaKey, error) {
	s := cryptobyte.String(info.key)
	var body cryptobyte.String
	k := &rsaKey{n: new(big.Int), e: new(big.Int)}
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(k.n) || !body.ReadASN1Integer(k.e) || !body.Empty() {
		return nil, badSPKI("RSA key is not DER")
	}
	k.size = (k.n.BitLen() + 7) / 8
	if bits := k.n.BitLen(); bits < minRSA || bits > maxRSA || k.n.Sign() < 0 {
		return nil, fmt.Errorf("RSA key of %d bits: %w", bits, ck.CKR_KEY_SIZE_RANGE)
	}
	if k.n.Bit(0) == 0 || k.e.Sign() <= 0 || k.e.Bit(0) == 0 || k.e.BitLen() < 2 || k.e.Cmp(k.n) >= 0 {
		return nil, badSPKI("RSA numbers are even or out of range")
	}
	return k, nil
}

func rsaSPKI(n, e *big.Int) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(n)
		b.AddASN1BigInt(e)
	})
	return makeSPKI(oidRSA, derNull, b.BytesOrPanic())
}

func rsaAttributes(info *publicInfo) ck.Template {
	k, err := parseRSAPublic(info)
	if err != nil {
		return nil
	}
	return ck.Template{
		ck.Bytes(ck.CKA_MODULUS, k.n.Bytes()),
		ck.Bytes(ck.CKA_PUBLIC_EXPONENT, k.e.Bytes()),
		ck.Ulong(ck.CKA_MODULUS_BITS, k.n.BitLen()),
	}
}

// rsaFromPKCS8 takes an RSAPrivateKey whose numbers fit each other.
func rsaFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	n, e, err := checkRSAPrivate(p.key)
	if err != nil {
		return nil, nil, err
	}
	return append(ck.Secret(nil), p.key...), rsaSPKI(n, e), nil
}

// rsaNumbers are those of RSAPrivateKey (RFC 8017 A.1.2), in its order.
type rsaNumbers struct{ n, e, d, p, q, dp, dq, qinv *big.Int }

func readRSANumbers(der []byte) (*rsaNumbers, error) {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	var version uint
	r := new(rsaNumbers)
	ok := s.ReadASN1(&body, asn1.SEQUENCE) && s.Empty() && body.ReadASN1Integer(&version) && version == 0
	for _, to := range []**big.Int{&r.n, &r.e, &r.d, &r.p, &r.q, &r.dp, &r.dq, &r.qinv} {
		*to = new(big.Int)
		ok = ok && body.ReadASN1Integer(*to) && (*to).Sign() > 0
	}
	if !ok || !body.Empty() {
		return nil, badPKCS8("RSA key is not DER")
	}
	return r, nil
}

func checkRSAPrivate(der []byte) (n, e *big.Int, err error) {
	r, err := readRSANumbers(der)
	if err != nil {
		return nil, nil, err
	}
	if bits := r.n.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, nil, fmt.Errorf("RSA key of %d bits: %w", bits, ck.CKR_KEY_SIZE_RANGE)
	}
	if !r.consistent() {
		return nil, nil, badPKCS8("RSA numbers do not fit each other")
	}
	return r.n, r.e, nil
}

func (r *rsaNumbers) consistent() bool {
	one := big.NewInt(1)
	if r.e.Bit(0) == 0 || r.e.Cmp(one) <= 0 || r.e.Cmp(r.n) >= 0 || r.d.Cmp(r.n) >= 0 ||
		r.p.Cmp(one) <= 0 || r.q.Cmp(one) <= 0 || new(big.Int).Mul(r.p, r.q).Cmp(r.n) != 0 {
		return false
	}
	for _, f := range []struct{ prime, d *big.Int }{{r.p, r.dp}, {r.q, r.dq}} {
		order := new(big.Int).Sub(f.prime, one)
		ed := new(big.Int).Mul(r.e, r.d)
		if !f.prime.ProbablyPrime(10) || ed.Mod(ed, order).Cmp(one) != 0 || new(big.Int).Mod(r.d, order).Cmp(f.d) != 0 {
			return false
		}
	}
	qq := new(big.Int).Mul(r.q, r.qinv)
	return qq.Mod(qq, r.p).Cmp(one) == 0 && r.qinv.Cmp(r.p) < 0
}

// openRSA prepares either half.
func openRSA(k *key) (*rsaKey, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	r, err := parseRSAPublic(info)
	if err != nil {
		return nil, err
	}
	r.away = k.remote
	switch {
	case libcrypto.Available && k.value != nil:
		var der []byte
		if der, err = makePKCS8(oidRSA, derNull, k.value); err == nil {
			defer clear(der)
			r.lib, err = libcrypto.Private(der)
		}
	case libcrypto.Available:
		r.lib, err = libcrypto.Public(k.spki)
	case k.value != nil:
		r.priv, err = x509.ParsePKCS1PrivateKey(k.value)
	}
	if err != nil {
		return nil, fmt.Errorf("RSA key of %d bits: %v: %w", r.n.BitLen(), err, ck.CKR_IBM_BLOB_ERROR)
	}
	return r, nil
}

// der writes RSAPrivateKey.
func (r *rsaNumbers) der() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(0)
		for _, n := range []*big.Int{r.n, r.e, r.d, r.p, r.q, r.dp, r.dq, r.qinv} {
			b.AddASN1BigInt(n)
		}
	})
	return b.BytesOrPanic()
}
