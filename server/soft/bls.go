package soft

import (
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/ecc/bls12381"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// BLS signatures on BLS12-381 (grep11-wire 11.6): public keys in G1, signatures
// in G2, with the ciphersuite that Ethereum uses (draft-irtf-cfrg-bls-signature).
// All signers sign one message, so whoever aggregates keys of others must have
// seen proofs that their owners hold them.
var blsSuite = []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_")

const (
	nameBLS = "BLS12-381"
	lenG2   = 192
)

var blsFamily = family{
	typ:        ck.CKK_EC,
	private:    unit.BitSign,
	public:     unit.BitVerify,
	check:      func(info *publicInfo) error { _, err := blsPoint(info); return err },
	attributes: ecAttributes,
	pkcs8:      ecPKCS8,
	fromPKCS8:  blsFromPKCS8,
}

func init() {
	provide(engine{sign: aggregateSignatures, verify: nil, derive: aggregateKeys}, ck.CKM_IBM_EC_AGGREGATE)
	rawCurves[nameBLS] = rawCurve{generate: generateBLS}
}

// blsPoint reads a public key: 04, X, Y, on the curve, in the group, not zero.
func blsPoint(info *publicInfo) (*bls12381.G1, error) {
	p := new(bls12381.G1)
	if info.curve == nil || info.curve.name != nameBLS || info.curve.checkForm(info.key) != nil || p.SetBytes(info.key[1:]) != nil || p.IsIdentity() {
		return nil, fmt.Errorf("not a point of BLS12-381's G1: %w", ck.CKR_PUBLIC_KEY_INVALID)
	}
	return p, nil
}

func blsSPKI(p *bls12381.G1) []byte {
	return makeSPKI(oidEC, curvesByName[nameBLS].oid, append([]byte{4}, p.Bytes()...))
}

func blsPublic(secret []byte) (*bls12381.G1, error) {
	d := new(bls12381.Scalar)
	d.SetBytes(secret)
	if b, err := d.MarshalBinary(); err != nil || !sameBytes(b, secret) || d.IsZero() == 1 {
		return nil, badPKCS8("private value is out of range")
	}
	p := new(bls12381.G1)
	p.ScalarMult(d, bls12381.G1Generator())
	return p, nil
}

func generateBLS() (ck.Secret, []byte, error) {
	d := new(bls12381.Scalar)
	if err := d.Random(rand.Reader); err != nil {
		return nil, nil, err
	}
	secret, err := d.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	p, err := blsPublic(secret)
	if err != nil {
		return nil, nil, err
	}
	return secret, append([]byte{4}, p.Bytes()...), nil
}

func blsFromPKCS8(p *privateInfo) (ck.Secret, []byte, error) {
	d, _, err := readECPrivateKey(p.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := curvesByName[nameBLS].scalarBytes(d)
	if err != nil {
		return nil, nil, err
	}
	point, err := blsPublic(secret)
	if err != nil {
		return nil, nil, err
	}
	return secret, blsSPKI(point), nil
}

func blsInfo(k *key) (*publicInfo, error) {
	info, err := parseSPKI(k.spki)
	if err == nil && info.family != &blsFamily {
		err = fmt.Errorf("BLS with a key on %s: %w", info.curve.name, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	return info, err
}

func signBLS(k *key, data []byte) ([]byte, error) {
	if _, err := blsInfo(k); err != nil {
		return nil, err
	}
	if k.value == nil {
		return nil, errNotPrivate
	}
	d, h, sig := new(bls12381.Scalar), new(bls12381.G2), new(bls12381.G2)
	d.SetBytes(k.value)
	h.Hash(data, blsSuite)
	sig.ScalarMult(d, h)
	return sig.Bytes(), nil
}

func verifyBLS(k *key, data, sig []byte) error {
	info, err := blsInfo(k)
	if err != nil {
		return err
	}
	if len(sig) != lenG2 {
		return fmt.Errorf("signature of %d bytes instead of %d: %w", len(sig), lenG2, ck.CKR_SIGNATURE_LEN_RANGE)
	}
	p, err := blsPoint(info)
	if err != nil {
		return err
	}
	h, s := new(bls12381.G2), new(bls12381.G2)
	if s.SetBytes(sig) != nil || s.IsIdentity() {
		return errSignature
	}
	h.Hash(data, blsSuite)
	// e(P, H(M)) = e(G, S)
	e := bls12381.ProdPairFrac([]*bls12381.G1{p, bls12381.G1Generator()}, []*bls12381.G2{h, s}, []int{1, -1})
	if !e.IsIdentity() {
		return errSignature
	}
	return nil
}

// maxElements bounds an aggregation.
const maxElements = 1024

// elements splits what is to be aggregated.
func elements(m mech.Mechanism, mode uint64) ([][]byte, error) {
	p, err := mech.As[*mech.ECAGG](m)
	if err != nil {
		return nil, err
	}
	n := int(p.PerElement)
	if p.Version != 0 || p.Mode != mode || n == 0 || len(p.Elements) == 0 || len(p.Elements)%n != 0 || len(p.Elements)/n > maxElements {
		return nil, fmt.Errorf("%d bytes of elements of %d, mode %d: %w", len(p.Elements), n, p.Mode, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	var out [][]byte
	for b := p.Elements; len(b) > 0; b = b[n:] {
		out = append(out, b[:n])
	}
	return out, nil
}

// aggregateSignatures adds signatures; no key takes part.
func aggregateSignatures(_ *key, m mech.Mechanism, _ []byte) ([]byte, error) {
	all, err := elements(m, mech.AggregateSign)
	if err != nil {
		return nil, err
	}
	sum := new(bls12381.G2)
	sum.SetIdentity()
	for _, b := range all {
		s := new(bls12381.G2)
		if len(b) != lenG2 || s.SetBytes(b) != nil {
			return nil, fmt.Errorf("element is no BLS signature: %w", ck.CKR_MECHANISM_PARAM_INVALID)
		}
		sum.Add(sum, s)
	}
	return sum.Bytes(), nil
}

// aggregateKeys adds public keys, given as blobs.
func aggregateKeys(u *Unit, _ *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	all, err := elements(m, mech.AggregateKeys)
	if err != nil {
		return derived{}, err
	}
	var blobs []unit.Blob
	for _, b := range all {
		blobs = append(blobs, b)
	}
	r, err := readRequest(t, ck.CKO_PUBLIC_KEY)
	if err != nil {
		return derived{}, err
	}
	if err := r.want(ck.CKK_EC); err != nil {
		return derived{}, err
	}
	spki, err := u.sumKeys(blobs)
	if err != nil {
		return derived{}, err
	}
	return derived{key: &key{typ: ck.CKK_EC, spki: spki}, request: r, defaults: blsFamily.public, checkSum: []byte{}}, nil
}

func (u *Unit) sumKeys(blobs []unit.Blob) ([]byte, error) {
	sum := new(bls12381.G1)
	sum.SetIdentity()
	for _, b := range blobs {
		k, err := u.openKey(b)
		if err != nil {
			return nil, err
		}
		info, err := parseSPKI(k.spki)
		if err != nil {
			return nil, err
		}
		p, err := blsPoint(info)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", err, ck.CKR_KEY_TYPE_INCONSISTENT)
		}
		sum.Add(sum, p)
	}
	return blsSPKI(sum), nil
}

// concatenated public blobs stand for their sum when a BLS signature is
// verified (grep11-wire 11.6). Rights are those that all of them have.
func (u *Unit) concatenated(b unit.Blob) (*key, error) {
	blobs, err := unit.SplitPublic(b)
	if err != nil || len(blobs) < 2 || len(blobs) > maxElements {
		return u.openKey(b)
	}
	sum := &key{class: ck.CKO_PUBLIC_KEY, typ: ck.CKK_EC, bits: ^unit.Bits(0), gen: notGenerated}
	for _, one := range blobs {
		k, err := u.openKey(one)
		if err != nil {
			return nil, err
		}
		if err := k.allows(ck.CKM_IBM_ECDSA_OTHER); err != nil {
			return nil, err
		}
		sum.bits &= k.bits
	}
	sum.spki, err = u.sumKeys(blobs)
	return sum, err
}
