package grep11

import (
	"fmt"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Go suite, fourth part: BIP32 and SLIP10.

const hardened = 0x80000000

func btc(kind pb.BTCDeriveParm_BTCDeriveType, index uint64, chain []byte) *pb.Mechanism {
	return &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_BTC_DERIVE), Parameter: &pb.Mechanism_BTCDeriveParameter{
		BTCDeriveParameter: &pb.BTCDeriveParm{Type: kind, ChildKeyIndex: index, ChainCode: chain, Version: 1}}}
}

func chainKey(curve []byte) attrs {
	return attrs{ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: curve, ck.CKA_VALUE_LEN: 0, ck.CKA_DERIVE: true, ck.CKA_IBM_USE_AS_DATA: true, ck.CKA_EXTRACTABLE: false}
}

// node is a derived key: its private and public half.
type node struct {
	priv, pub *pb.KeyBlob
	chain     []byte
	pubChain  []byte
}

func (c *client) chainCode(r *pb.DeriveKeyResponse) []byte {
	c.Helper()
	if len(r.CheckSum) != 32 {
		c.Fatalf("chain code of %d bytes", len(r.CheckSum))
	}
	return r.CheckSum
}

func (c *client) seed() *pb.KeyBlob {
	c.Helper()
	return c.key(ck.CKM_GENERIC_SECRET_KEY_GEN, attrs{ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE_LEN: 32,
		ck.CKA_WRAP: false, ck.CKA_UNWRAP: false, ck.CKA_SIGN: true, ck.CKA_VERIFY: true, ck.CKA_EXTRACTABLE: false, ck.CKA_DERIVE: true, ck.CKA_IBM_USE_AS_DATA: true}).Key
}

func (c *client) child(n node, prv, pub pb.BTCDeriveParm_BTCDeriveType, index uint64, a attrs) node {
	c.Helper()
	p := c.derive(btc(prv, index, n.chain), n.priv, a)
	q := c.derive(btc(pub, index, n.chain), n.priv, a)
	return node{p.NewKey, q.NewKey, c.chainCode(p), c.chainCode(q)}
}

func (c *client) fits(what string, m *pb.Mechanism, signer, verifier node, want ck.RV) {
	c.Helper()
	c.want(what+", single", c.verify(m, verifier.pub, sentence, c.sign(m, signer.priv, sentence)), want)
	c.want(what+", mixed", c.verifyInit(m, verifier.pub, sentence, c.sign(m, signer.priv, sentence)), want)
	c.want(what+", mixed the other way", c.verify(m, verifier.pub, sentence, c.signInit(m, signer.priv, sentence)), want)
}

func TestGoBIP32(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_BTC_DERIVE)
		a, ecdsa := chainKey(secp256k1), mechanism(ck.CKM_ECDSA)
		m := c.derive(btc(pb.BTCDeriveParm_CkBIP0032MASTERK, 0, nil), c.seed(), a)
		n := node{priv: m.NewKey, chain: c.chainCode(m)}
		var depths []node
		for depth := range 3 {
			n = c.child(n, pb.BTCDeriveParm_CkBIP0032PRV2PRV, pb.BTCDeriveParm_CkBIP0032PRV2PUB, 0, a)
			c.fits(fmt.Sprintf("depth %d", depth+1), ecdsa, n, n, ck.CKR_OK)
			depths = append(depths, n)
		}
		for i := range depths {
			c.fits("another depth's key", ecdsa, depths[i], depths[(i+1)%3], ck.CKR_SIGNATURE_INVALID)
		}
		public := c.derive(btc(pb.BTCDeriveParm_CkBIP0032PUB2PUB, 5, n.pubChain), n.pub, a)
		private := c.derive(btc(pb.BTCDeriveParm_CkBIP0032PRV2PRV, 5, n.chain), n.priv, a)
		c.fits("a child of the public key", ecdsa, node{priv: private.NewKey}, node{pub: public.NewKey}, ck.CKR_OK)
	})
}

func TestGoSLIP10(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_BTC_DERIVE, ck.CKM_IBM_ED25519_SHA512)
		for _, row := range []struct {
			curve []byte
			mech  ck.MechanismType
		}{{p256, ck.CKM_ECDSA}, {secp256k1, ck.CKM_ECDSA}, {ed25519, ck.CKM_IBM_ED25519_SHA512}} {
			a := chainKey(row.curve)
			a[ck.CKA_VERIFY] = true
			m := c.derive(btc(pb.BTCDeriveParm_CkSLIP0010MASTERK, 0, nil), c.seed(), a)
			n := node{priv: m.NewKey, chain: c.chainCode(m)}
			for depth := range 3 {
				var last node
				for i := range uint64(3) {
					last = c.child(n, pb.BTCDeriveParm_CkSLIP0010PRV2PRV, pb.BTCDeriveParm_CkSLIP0010PRV2PUB, hardened+i, a)
					c.fits(fmt.Sprintf("depth %d, child %d", depth+1, i), mechanism(row.mech), last, last, ck.CKR_OK)
				}
				n = last
			}
		}
	})
}
