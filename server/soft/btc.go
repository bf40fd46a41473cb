package soft

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
)

// CKM_IBM_BTC_DERIVE: BIP32 and SLIP-0010 (grep11-wire 11.4). The new chain code
// is the call's checksum.
func init() {
	if libcrypto.Available {
		provide(engine{derive: deriveBTC}, ck.CKM_IBM_BTC_DERIVE)
	}
}

const (
	lenChain  = mech.LenChainCode
	hardened  = 1 << 31
	versionV1 = 1
)

// btcSeeds are the HMAC keys of master keys, by curve.
var btcSeeds = map[string]string{"SECP256K1": "Bitcoin seed", "P-256": "Nist256p1 seed", "ed25519": "ed25519 seed"}

// btcStep is one kind of derivation.
type btcStep struct {
	slip, master, public, fromPublic bool
}

var btcSteps = map[uint64]btcStep{
	ck.CK_IBM_BIP0032_MASTERK:  {master: true},
	ck.CK_IBM_BIP0032_PRV2PRV:  {},
	ck.CK_IBM_BIP0032_PRV2PUB:  {public: true},
	ck.CK_IBM_BIP0032_PUB2PUB:  {public: true, fromPublic: true},
	ck.CK_IBM_SLIP0010_MASTERK: {slip: true, master: true},
	ck.CK_IBM_SLIP0010_PRV2PRV: {slip: true},
	ck.CK_IBM_SLIP0010_PRV2PUB: {slip: true, public: true},
}

// btcNode is a key of the tree: a scalar or seed, or for public ones a point.
type btcNode struct {
	c      *curve
	secret []byte
	point  []byte
	chain  []byte
}

func badBTC(format string, a ...any) error {
	return fmt.Errorf("BIP32: %s: %w", fmt.Sprintf(format, a...), ck.CKR_MECHANISM_PARAM_INVALID)
}

func deriveBTC(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.BTC](m)
	if err != nil {
		return derived{}, err
	}
	step, ok := btcSteps[p.Type]
	if !ok || p.Version != versionV1 || p.Index > math.MaxUint32 {
		return derived{}, badBTC("type %d, version %d, index %d", p.Type, p.Version, p.Index)
	}
	var node *btcNode
	if step.master {
		node, err = step.masterNode(k, p, t)
	} else {
		node, err = step.child(k, p)
	}
	if err != nil {
		return derived{}, err
	}
	return node.derived(step, t)
}

// derived makes the key of a node. Class follows from the step. The chain code is
// the checksum and CKA_CHECK_VALUE (grep11-wire 11.4).
func (n *btcNode) derived(step btcStep, t ck.Template) (derived, error) {
	class := ck.ObjectClass(ck.CKO_PRIVATE_KEY)
	defaults := n.c.kind.private
	if step.public {
		class, defaults = ck.CKO_PUBLIC_KEY, n.c.kind.public
	}
	r, err := readRequest(t, class)
	if err != nil {
		return derived{}, err
	}
	if err := r.want(n.c.kind.typ, ck.CKK_EC); err != nil {
		return derived{}, err
	}
	if given := t.Bytes(ck.CKA_EC_PARAMS); given != nil {
		if c, err := curveOf(given); err != nil || c != n.c {
			return derived{}, fmt.Errorf("EC_PARAMS of another curve than the parent's: %w", ck.CKR_TEMPLATE_INCONSISTENT)
		}
	}
	k := &key{typ: n.c.kind.typ, spki: makeSPKI(oidEC, n.c.oid, n.point)}
	if !step.public {
		k.value = n.secret
	}
	chain := ck.Template{ck.Bytes(ck.CKA_CHECK_VALUE, n.chain)}
	return derived{key: k, request: r, defaults: defaults, checkSum: n.chain, shown: chain}, nil
}

// masterNode makes the root of a seed.
func (step btcStep) masterNode(k *key, p *mech.BTC, t ck.Template) (*btcNode, error) {
	if k.class != ck.CKO_SECRET_KEY {
		return nil, fmt.Errorf("a master key comes from a seed: %w", ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	c, err := curveOf(t.Bytes(ck.CKA_EC_PARAMS))
	if err != nil {
		return nil, err
	}
	if err := step.supports(c); err != nil {
		return nil, err
	}
	if len(p.ChainCode) != 0 || p.Index != 0 {
		return nil, badBTC("chain code or index of a master key")
	}
	seed := []byte(k.value)
	for {
		left, right := hmac512([]byte(btcSeeds[c.name]), seed)
		node, err := newNode(c, left, nil, right)
		if err == nil || !step.slip {
			return node, err
		}
		seed = append(left, right...) // SLIP-0010: again with what came out
	}
}

func (step btcStep) supports(c *curve) error {
	if btcSeeds[c.name] == "" || !step.slip && c.name != "SECP256K1" {
		return fmt.Errorf("derivation on %s: %w", c.name, ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return nil
}

func hmac512(key, data []byte) (left, right []byte) {
	h := hmac.New(sha512.New, key)
	h.Write(data)
	sum := h.Sum(nil)
	return sum[:lenChain:lenChain], sum[lenChain:]
}

// newNode makes a private node of an HMAC's left half and the parent's scalar.
func newNode(c *curve, left, parent, chain []byte) (*btcNode, error) {
	n := &btcNode{c: c, chain: chain, secret: left}
	if c.kind == &edwardsFamily {
		var err error
		n.point, err = rawCurves[c.name].public(left)
		return n, err
	}
	order, err := c.groupOrder()
	if err != nil {
		return nil, err
	}
	d := new(big.Int).SetBytes(left)
	if d.Cmp(order) >= 0 {
		return nil, fmt.Errorf("this index has no key, take the next: %w", ck.CKR_FUNCTION_FAILED)
	}
	if d.Add(d, new(big.Int).SetBytes(parent)).Mod(d, order); d.Sign() == 0 {
		return nil, fmt.Errorf("this index has no key, take the next: %w", ck.CKR_FUNCTION_FAILED)
	}
	n.secret = d.FillBytes(make([]byte, c.order))
	n.point, err = c.multiply(d, nil, nil)
	return n, err
}

func (step btcStep) child(k *key, p *mech.BTC) (*btcNode, error) {
	if len(p.ChainCode) != lenChain {
		return nil, badBTC("chain code of %d bytes", len(p.ChainCode))
	}
	if k.class == ck.CKO_SECRET_KEY || (k.class == ck.CKO_PUBLIC_KEY) != step.fromPublic {
		return nil, fmt.Errorf("%v as parent: %w", k.class, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	if err := step.supports(info.curve); err != nil {
		return nil, err
	}
	hard := p.Index >= hardened
	if hard && step.fromPublic || !hard && info.family == &edwardsFamily {
		return nil, badBTC("index %d for this parent", p.Index)
	}
	if step.fromPublic {
		return publicChild(info, p)
	}
	return step.privateChild(k, info, p, hard)
}

func (step btcStep) privateChild(k *key, info *publicInfo, p *mech.BTC, hard bool) (*btcNode, error) {
	data := append([]byte{0}, k.value...)
	if !hard {
		data = compress(info.key)
	}
	index := binary.BigEndian.AppendUint32(nil, uint32(p.Index))
	data = append(data, index...)
	defer func() { clear(data) }()
	for {
		left, right := hmac512(p.ChainCode, data)
		node, err := newNode(info.curve, left, k.value, right)
		if err == nil || !step.slip {
			return node, err
		}
		data = append(append([]byte{1}, right...), index...)
	}
}

func publicChild(info *publicInfo, p *mech.BTC) (*btcNode, error) {
	left, right := hmac512(p.ChainCode, binary.BigEndian.AppendUint32(compress(info.key), uint32(p.Index)))
	order, err := info.curve.groupOrder()
	if err != nil {
		return nil, err
	}
	d := new(big.Int).SetBytes(left)
	if d.Cmp(order) >= 0 {
		return nil, fmt.Errorf("this index has no key, take the next: %w", ck.CKR_FUNCTION_FAILED)
	}
	point, err := info.curve.multiply(d, info.key, big.NewInt(1))
	if err != nil {
		return nil, fmt.Errorf("this index has no key, take the next: %w", ck.CKR_FUNCTION_FAILED)
	}
	return &btcNode{c: info.curve, point: point, chain: right}, nil
}
