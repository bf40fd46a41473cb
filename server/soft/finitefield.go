package soft

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
	"grep11/server/unit"
)

var (
	oidDSA = oid(1, 2, 840, 10040, 4, 1)
	oidDH  = oid(1, 2, 840, 113549, 1, 3, 1)
)

// DSA and DH need libcrypto: Go has no constant-time arithmetic for them.
func init() {
	provide(engine{parameters: parameters("DSA PARAMETERS", ck.CKK_DSA)}, ck.CKM_DSA_PARAMETER_GEN)
	provide(engine{parameters: parameters("DH PARAMETERS", ck.CKK_DH)}, ck.CKM_DH_PKCS_PARAMETER_GEN)
	if !libcrypto.Available {
		return
	}
	provide(engine{pair: generateField(&dsaFamily)}, ck.CKM_DSA_KEY_PAIR_GEN)
	provide(engine{pair: generateField(&dhFamily)}, ck.CKM_DH_PKCS_KEY_PAIR_GEN)
	provide(engine{sign: signDSA, verify: verifyDSA}, ck.CKM_DSA)
	provide(engine{hash: rowHash, sign: signDSA, verify: verifyDSA},
		ck.CKM_DSA_SHA1, ck.CKM_DSA_SHA224, ck.CKM_DSA_SHA256, ck.CKM_DSA_SHA384, ck.CKM_DSA_SHA512,
		ck.CKM_DSA_SHA3_224, ck.CKM_DSA_SHA3_256, ck.CKM_DSA_SHA3_384, ck.CKM_DSA_SHA3_512)
	provide(engine{derive: deriveDH}, ck.CKM_DH_PKCS_DERIVE)
}

var dsaFamily = family{
	typ:         ck.CKK_DSA,
	private:     unit.BitSign,
	public:      unit.BitVerify,
	check:       checkField,
	attributes:  fieldAttributes,
	publicValue: fieldValue,
	pkcs8:       fieldPKCS8,
	fromPKCS8:   fieldFromPKCS8,
}

var dhFamily = family{
	typ:         ck.CKK_DH,
	check:       checkField,
	attributes:  fieldAttributes,
	publicValue: fieldValue,
	pkcs8:       fieldPKCS8,
	fromPKCS8:   fieldFromPKCS8,
}

func isDSA(oid []byte) bool { return sameBytes(oid, oidDSA) }

func derInt(n *big.Int) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1BigInt(n)
	return b.BytesOrPanic()
}

func parseInt(der []byte) (*big.Int, bool) {
	s, n := cryptobyte.String(der), new(big.Int)
	return n, s.ReadASN1Integer(n) && s.Empty() && n.Sign() > 0
}

// readField takes a public key of either family apart.
func readField(info *publicInfo) (*group, *big.Int, error) {
	g, err := parseGroup(info.params, isDSA(info.oid))
	if err != nil {
		return nil, nil, err
	}
	y, ok := parseInt(info.key)
	p1 := new(big.Int).Sub(g.p, big.NewInt(1))
	if !ok || y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(p1) >= 0 {
		return nil, nil, fmt.Errorf("public value is out of range: %w", ck.CKR_PUBLIC_KEY_INVALID)
	}
	return g, y, nil
}

func checkField(info *publicInfo) error {
	g, y, err := readField(info)
	if err != nil {
		return err
	}
	if err := g.check(); err != nil {
		return err
	}
	if g.q != nil && new(big.Int).Exp(y, g.q, g.p).Cmp(big.NewInt(1)) != 0 {
		return fmt.Errorf("public value is outside the subgroup: %w", ck.CKR_PUBLIC_KEY_INVALID)
	}
	return nil
}

func fieldAttributes(info *publicInfo) ck.Template {
	g, _, err := readField(info)
	if err != nil {
		return nil
	}
	return g.attributes()
}

func fieldValue(info *publicInfo) []byte {
	_, y, err := readField(info)
	if err != nil {
		return nil
	}
	return y.Bytes()
}

func fieldPKCS8(k *key, info *publicInfo) ([]byte, error) {
	return makePKCS8(info.oid, info.params, derInt(new(big.Int).SetBytes(k.value)))
}

func fieldFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	g, err := parseGroup(p.params, isDSA(p.oid))
	if err != nil {
		return nil, nil, err
	}
	x, ok := parseInt(p.key)
	if !ok || x.Cmp(g.order()) >= 0 {
		return nil, nil, badPKCS8("private value is out of range")
	}
	if err := g.check(); err != nil {
		return nil, nil, err
	}
	made, err := g.pair(p.oid, x)
	if err != nil {
		return nil, nil, err
	}
	return made.value, made.spki, nil
}

// order bounds private values: the subprime, or for DH the prime less one.
func (g *group) order() *big.Int {
	if g.q != nil {
		return g.q
	}
	return new(big.Int).Sub(g.p, big.NewInt(1))
}

// pair has libcrypto compute the public value, in constant time.
func (g *group) pair(oid []byte, x *big.Int) (*pair, error) {
	der, err := makePKCS8(oid, g.der, derInt(x))
	if err != nil {
		return nil, err
	}
	defer clear(der)
	k, err := libcrypto.Private(der)
	if err != nil {
		return nil, badDomain(err.Error())
	}
	spki, err := k.SPKI()
	if err != nil {
		return nil, err
	}
	info, err := splitSPKI(spki)
	if err != nil {
		return nil, err
	}
	value := x.FillBytes(make([]byte, (g.order().BitLen()+7)/8))
	return &pair{value: value, spki: makeSPKI(oid, g.der, info.key)}, nil
}

func generateField(f *family) func(mech.Mechanism, *request, *request) (*pair, error) {
	return func(_ mech.Mechanism, pub, priv *request) (*pair, error) {
		for _, r := range []*request{pub, priv} {
			if err := r.want(f.typ); err != nil {
				return nil, err
			}
		}
		dsa := f == &dsaFamily
		g, err := pub.readGroup(dsa)
		if err != nil {
			return nil, err
		}
		below, err := priv.privateRange(g)
		if err != nil {
			return nil, err
		}
		x, err := rand.Int(rand.Reader, below) // 0 to below-1
		if err != nil {
			return nil, err
		}
		oid := oidDH
		if dsa {
			oid = oidDSA
		}
		return g.pair(oid, x.Add(x, big.NewInt(1)))
	}
}

// privateRange: VALUE_BITS may make DH's private value shorter, but not guessable.
func (r *request) privateRange(g *group) (*big.Int, error) {
	most := new(big.Int).Sub(g.order(), big.NewInt(1))
	bits, ok, err := r.Ulong(ck.CKA_VALUE_BITS)
	if err != nil || !ok || bits == 0 || g.q != nil {
		return most, err
	}
	if bits < 160 || bits >= uint64(most.BitLen()) {
		return nil, fmt.Errorf("private value of %d bits: %w", bits, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return new(big.Int).Lsh(big.NewInt(1), uint(bits)-1), nil
}

type fieldOpened struct {
	group *group
	lib   *libcrypto.Key
}

func openField(k *key) (*fieldOpened, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	o := new(fieldOpened)
	if o.group, _, err = readField(info); err != nil {
		return nil, err
	}
	if k.value == nil {
		o.lib, err = libcrypto.Public(k.spki)
	} else {
		var der []byte
		if der, err = fieldPKCS8(k, info); err == nil {
			defer clear(der)
			o.lib, err = libcrypto.Private(der)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%v key: %v: %w", k.typ, err, ck.CKR_PUBLIC_KEY_INVALID)
	}
	return o, nil
}

func signDSA(k *key, _ mech.Mechanism, digest []byte) ([]byte, error) {
	o, err := open(k, openField)
	if err != nil {
		return nil, err
	}
	if k.value == nil {
		return nil, errNotPrivate
	}
	der, err := o.lib.Sign(digest)
	if err != nil {
		return nil, fmt.Errorf("DSA: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return halvesOf(der, (o.group.q.BitLen()+7)/8)
}

func verifyDSA(k *key, _ mech.Mechanism, digest, sig []byte) error {
	o, err := open(k, openField)
	if err != nil {
		return err
	}
	if want := 2 * ((o.group.q.BitLen() + 7) / 8); len(sig) != want {
		return fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), want, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	if !o.lib.Verify(digest, derOf(sig)) {
		return errSignature
	}
	return nil
}

func deriveDH(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	z, err := agreeDH(k, m)
	if err != nil {
		return derived{}, err
	}
	defer z.Wipe()
	return secret(t, z)
}

// agreeDH gives the secret as long as the prime; the peer's value comes as a
// magnitude (grep11-wire 7.2).
func agreeDH(k *key, m mech.Mechanism) (ck.Secret, error) {
	peer, err := mech.As[mech.Raw](m)
	if err != nil {
		return nil, err
	}
	o, err := open(k, openField)
	if err != nil {
		return nil, err
	}
	if k.value == nil {
		return nil, errNotPrivate
	}
	y := new(big.Int).SetBytes(peer)
	spki := makeSPKI(oidDH, o.group.der, derInt(y))
	if _, _, err := readField(&publicInfo{oid: oidDH, params: o.group.der, key: derInt(y)}); err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	pub, err := libcrypto.Public(spki)
	if err != nil {
		return nil, fmt.Errorf("peer's public value: %w", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	z, err := o.lib.Derive(pub)
	if err != nil {
		return nil, fmt.Errorf("DH: %v: %w", err, ck.CKR_FUNCTION_FAILED)
	}
	return z, nil
}
