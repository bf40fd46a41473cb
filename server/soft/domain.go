package soft

import (
	"context"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// domainPEM has prepared domain parameters, since making them takes seconds:
// for DH the groups of RFC 7919 (2048, 3072, 4096 bits), RFC 3526 (1536) and a
// safe prime of 1024; for DSA sets that OpenSSL made after FIPS 186-4 A.1.1.2.
// Parameters are public, and keys of different owners may share them.
//
//go:embed domain.pem
var domainPEM []byte

// group is a set of domain parameters; q is nil for DH.
type group struct {
	p, q, g *big.Int
	der     []byte
}

var prepared = func() map[string][]*group {
	all := map[string][]*group{}
	for rest := domainPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		g, err := parseGroup(block.Bytes, block.Type == "DSA PARAMETERS")
		if err != nil {
			panic("soft: " + err.Error())
		}
		all[block.Type] = append(all[block.Type], g)
	}
}()

func badDomain(why string) error {
	return fmt.Errorf("domain parameters: %s: %w", why, ck.CKR_DOMAIN_PARAMS_INVALID)
}

// parseGroup reads Dss-Parms (RFC 3279) or DHParameter (PKCS #3). It does not
// check the numbers beyond their sizes.
func parseGroup(der []byte, dsa bool) (*group, error) {
	g := &group{p: new(big.Int), g: new(big.Int), der: der}
	s := cryptobyte.String(der)
	var body cryptobyte.String
	ok := s.ReadASN1(&body, asn1.SEQUENCE) && s.Empty() && body.ReadASN1Integer(g.p)
	if dsa {
		g.q = new(big.Int)
		ok = ok && body.ReadASN1Integer(g.q) && g.q.Sign() > 0 && g.q.BitLen() >= 160 && g.q.BitLen() <= 256
	}
	if !ok || !body.ReadASN1Integer(g.g) || g.p.Sign() < 0 {
		return nil, badDomain("not DER")
	}
	if bits := g.p.BitLen(); bits < minGroup || bits > maxGroup {
		return nil, badDomain(fmt.Sprintf("prime of %d bits", bits))
	}
	return g, nil // PKCS #3 may add the private value's length
}

const (
	minGroup = 512
	maxGroup = 4096
)

// check refuses numbers that are no group's.
func (g *group) check() error {
	if g.prepared() {
		return nil
	}
	one := big.NewInt(1)
	p1 := new(big.Int).Sub(g.p, one)
	if g.g.Cmp(one) <= 0 || g.g.Cmp(p1) >= 0 || !g.p.ProbablyPrime(20) {
		return badDomain("no prime, or a bad generator")
	}
	if g.q == nil {
		return nil
	}
	if new(big.Int).Mod(p1, g.q).Sign() != 0 || !g.q.ProbablyPrime(20) || new(big.Int).Exp(g.g, g.q, g.p).Cmp(one) != 0 {
		return badDomain("the generator's order is not the subprime")
	}
	return nil
}

// prepared tells whether the parameters are a set of domainPEM's.
func (g *group) prepared() bool {
	for _, known := range append(prepared["DSA PARAMETERS"], prepared["DH PARAMETERS"]...) {
		if known.p.Cmp(g.p) == 0 && known.g.Cmp(g.g) == 0 && (known.q == nil) == (g.q == nil) && (g.q == nil || known.q.Cmp(g.q) == 0) {
			return true
		}
	}
	return false
}

// marshal writes the parameters in the form that parseGroup reads.
func (g *group) marshal() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(g.p)
		if g.q != nil {
			b.AddASN1BigInt(g.q)
		}
		b.AddASN1BigInt(g.g)
	})
	return b.BytesOrPanic()
}

// attributes are the public numbers, as both key halves and parameters show them.
func (g *group) attributes() ck.Template {
	t := ck.Template{
		ck.Bytes(ck.CKA_PRIME, g.p.Bytes()),
		ck.Bytes(ck.CKA_BASE, g.g.Bytes()),
		ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, g.der),
	}
	if g.q != nil {
		t = append(t, ck.Bytes(ck.CKA_SUBPRIME, g.q.Bytes()))
	}
	return t
}

// readGroup takes the parameters of a template for a pair: what parameter
// generation gave, or the standard's single numbers.
func (r *request) readGroup(dsa bool) (g *group, err error) {
	if der := r.Bytes(ck.CKA_IBM_STRUCT_PARAMS); der != nil {
		g, err = parseGroup(der, dsa)
	} else {
		g, err = r.numbers(dsa)
	}
	if err != nil {
		return nil, err
	}
	return g, g.check()
}

func (r *request) numbers(dsa bool) (*group, error) {
	n := func(t ck.AttributeType) *big.Int { return new(big.Int).SetBytes(r.Bytes(t)) }
	if !r.Has(ck.CKA_PRIME) || !r.Has(ck.CKA_BASE) || dsa && !r.Has(ck.CKA_SUBPRIME) {
		return nil, fmt.Errorf("no domain parameters: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	g := &group{p: n(ck.CKA_PRIME), g: n(ck.CKA_BASE)}
	if dsa {
		g.q = n(ck.CKA_SUBPRIME)
	}
	return parseGroup(g.marshal(), dsa)
}

// parameters is the engine of parameter generation: it gives one of the
// prepared sets of the wanted size.
func parameters(block string, typ ck.KeyType) func(mech.Mechanism, ck.Template) (unit.Key, error) {
	return func(m mech.Mechanism, t ck.Template) (unit.Key, error) {
		r, err := readRequest(t, ck.CKO_DOMAIN_PARAMETERS)
		if err != nil {
			return unit.Key{}, err
		}
		if err := r.want(typ); err != nil {
			return unit.Key{}, err
		}
		bits, err := r.ulong(ck.CKA_PRIME_BITS)
		if err != nil {
			return unit.Key{}, err
		}
		sub, _, err := r.Ulong(ck.CKA_SUBPRIME_BITS)
		if err != nil {
			return unit.Key{}, err
		}
		g := pick(prepared[block], bits, sub)
		if g == nil {
			return unit.Key{}, fmt.Errorf("parameters of %d bits: %w", bits, ck.CKR_KEY_SIZE_RANGE)
		}
		return unit.Key{Blob: g.der, Attributes: append(ck.Template{
			ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_DOMAIN_PARAMETERS)), ck.Ulong(ck.CKA_KEY_TYPE, typ),
			ck.Ulong(ck.CKA_KEY_GEN_MECHANISM, m.Type), ck.Bool(ck.CKA_LOCAL, true), ck.Ulong(ck.CKA_PRIME_BITS, bits),
		}, g.attributes()...)}, nil
	}
}

func pick(all []*group, bits, sub uint64) *group {
	var fit []*group
	for _, g := range all {
		if uint64(g.p.BitLen()) == bits && (sub == 0 || g.q == nil || uint64(g.q.BitLen()) == sub) {
			fit = append(fit, g)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[rand.IntN(len(fit))] // any will do
}

// generateParameters answers GenerateKey for mechanisms that make no key.
func (u *Unit) generateParameters(_ context.Context, e *engine, m mech.Mechanism, t ck.Template) (unit.Key, error) {
	if _, err := u.current(); err != nil {
		return unit.Key{}, err
	}
	return e.parameters(m, t)
}
