package grep11

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Go suite, second part: signatures.

// signed signs and verifies in the flows a mechanism has; an altered signature
// is CKR_SIGNATURE_INVALID.
func (c *client) signed(m *pb.Mechanism, sign, verify *pb.KeyBlob, data []byte, parts bool) {
	c.Helper()
	sigs := map[string][]byte{"single": c.sign(m, sign, data), "one part": c.signInit(m, sign, data)}
	if parts {
		sigs["parts"] = c.signParts(m, sign, data)
	}
	for how, sig := range sigs {
		c.want(how+", single", c.verify(m, verify, data, sig), ck.CKR_OK)
		c.want(how+", one part", c.verifyInit(m, verify, data, sig), ck.CKR_OK)
		if parts {
			c.want(how+", parts", c.verifyParts(m, verify, data, sig), ck.CKR_OK)
		}
		sig[0] ^= 0xff
		c.want(how+", altered", c.verifyInit(m, verify, data, sig), ck.CKR_SIGNATURE_INVALID)
	}
}

func TestGoSignVerify(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		aes := c.aes(attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_SIGN: true, ck.CKA_VERIFY: true})
		c.signed(mechanism(ck.CKM_SHA256_HMAC), aes.Key, aes.Key, sentence, true)
		rsa := c.rsa4096()
		c.signed(mechanism(ck.CKM_SHA512_RSA_PKCS), rsa.PrivKey, rsa.PubKey, sentence, true)
		c.signed(&pb.Mechanism{Mechanism: uint64(ck.CKM_SHA512_RSA_PKCS_PSS), Parameter: &pb.Mechanism_RSAPSSParameter{
			RSAPSSParameter: &pb.RSAPSSParm{HashMech: uint64(ck.CKM_SHA512), Mgf: pb.RSAPSSParm_CkgMgf1Sha512, SaltByteCount: 0}}}, rsa.PrivKey, rsa.PubKey, sentence, true)
		ec := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		c.signed(mechanism(ck.CKM_ECDSA_SHA512), ec.PrivKey, ec.PubKey, sentence, true)
		c.signed(mechanism(ck.CKM_ECDSA), ec.PrivKey, ec.PubKey, sentence, false)
		if c.hasCurve(secp256k1) {
			ec = c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: secp256k1, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
			c.signed(mechanism(ck.CKM_ECDSA), ec.PrivKey, ec.PubKey, sentence, false)
		}
	})
}

func TestGoDSA(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_DSA_PARAMETER_GEN, ck.CKM_DSA_KEY_PAIR_GEN, ck.CKM_DSA_SHA1)
		params := c.key(ck.CKM_DSA_PARAMETER_GEN, attrs{ck.CKA_PRIME_BITS: 2048}).Key.KeyBlobs[0]
		p := c.pair(ck.CKM_DSA_KEY_PAIR_GEN, attrs{ck.CKA_IBM_STRUCT_PARAMS: params, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		c.signed(mechanism(ck.CKM_DSA_SHA1), p.PrivKey, p.PubKey, sentence, true)
	})
}

func TestGoEdwards(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_ED25519_SHA512)
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: ed25519, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		c.signed(mechanism(ck.CKM_IBM_ED25519_SHA512), p.PrivKey, p.PubKey, sentence, false)
	})
}

func TestGoSchnorr(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_ECDSA_OTHER)
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: secp256k1, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		message := make([]byte, 6*1024)
		rand.Read(message)
		for _, kind := range []pb.ECSGParm_ECSGType{pb.ECSGParm_CkEcsgIbmEcsdsaS256, pb.ECSGParm_CkEcsgIbmEcsdsaComprMulti} {
			m := &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_ECDSA_OTHER), Parameter: &pb.Mechanism_ECSGParameter{ECSGParameter: &pb.ECSGParm{Type: kind}}}
			sig := c.sign(m, p.PrivKey, message)
			c.want(kind.String(), c.verify(m, p.PubKey, message, sig), ck.CKR_OK)
			s, _ := c.spki(p.PubKeyBytes)
			if kind == pb.ECSGParm_CkEcsgIbmEcsdsaComprMulti && !zilliqa(s.Key.Bytes, message, sig) {
				c.Error("the signature is none of Zilliqa's")
			}
			sig[len(sig)-1] ^= 1
			c.want(kind.String()+", altered", c.verify(m, p.PubKey, message, sig), ck.CKR_SIGNATURE_INVALID)
		}
	})
}

// secp256k1 by its definition (SEC 2, section 2.4.1), for checks alone.
var (
	fieldP, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f", 16)
	orderN, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	baseX, _  = new(big.Int).SetString("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", 16)
	baseY, _  = new(big.Int).SetString("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", 16)
)

func onSecp256k1(point []byte) bool {
	x, y := new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:])
	right := new(big.Int).Exp(x, big.NewInt(3), fieldP)
	right.Add(right, big.NewInt(7)).Mod(right, fieldP)
	return new(big.Int).Exp(y, big.NewInt(2), fieldP).Cmp(right) == 0
}

type affine struct{ x, y *big.Int } // x nil: infinity

func add(a, b affine) affine {
	if a.x == nil {
		return b
	}
	if b.x == nil {
		return a
	}
	slope := new(big.Int)
	switch {
	case a.x.Cmp(b.x) != 0:
		slope.Sub(b.y, a.y).Mul(slope, new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Sub(b.x, a.x), fieldP), fieldP))
	case a.y.Cmp(b.y) != 0:
		return affine{}
	default:
		slope.Mul(a.x, a.x).Mul(slope, big.NewInt(3)).Mul(slope, new(big.Int).ModInverse(new(big.Int).Lsh(a.y, 1), fieldP))
	}
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, a.x).Sub(x, b.x).Mod(x, fieldP)
	y := new(big.Int).Sub(a.x, x)
	y.Mul(y, slope).Sub(y, a.y).Mod(y, fieldP)
	return affine{x, y}
}

func times(k *big.Int, p affine) (sum affine) {
	for i := k.BitLen() - 1; i >= 0; i-- {
		if sum = add(sum, sum); k.Bit(i) == 1 {
			sum = add(sum, p)
		}
	}
	return sum
}

func compressed(p affine) []byte {
	return append([]byte{2 + byte(p.y.Bit(0))}, p.x.FillBytes(make([]byte, 32))...)
}

// zilliqa verifies as that software does: Q = sG + rP, r = SHA-256(Q, P, message).
func zilliqa(point, message, sig []byte) bool {
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	p := affine{new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:])}
	q := add(times(s, affine{baseX, baseY}), times(r, p))
	if len(sig) != 64 || r.Sign() == 0 || s.Sign() == 0 || q.x == nil {
		return false
	}
	h := sha256.New()
	h.Write(compressed(q))
	h.Write(compressed(p))
	h.Write(message)
	got := new(big.Int).SetBytes(h.Sum(nil))
	return got.Mod(got, orderN).Cmp(r) == 0
}

func TestGoBLS(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_ECDSA_OTHER, ck.CKM_IBM_EC_AGGREGATE)
		m := &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_ECDSA_OTHER), Parameter: &pb.Mechanism_ECSGParameter{ECSGParameter: &pb.ECSGParm{Type: pb.ECSGParm_CkEcsgIbmBls}}}
		pub := attrs{ck.CKA_EC_PARAMS: bls12, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_VERIFY: true, ck.CKA_DERIVE: true, ck.CKA_IBM_USE_AS_DATA: true}
		for _, row := range []struct {
			signers, of int
			want        ck.RV
		}{{10, 10, ck.CKR_OK}, {2, 3, ck.CKR_SIGNATURE_INVALID}} {
			var sigs, pubs []byte
			var first *pb.KeyBlob
			var lenSig, lenPub int
			for i := range row.of {
				p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, pub, attrs{ck.CKA_SIGN: true})
				if first == nil {
					first = p.PubKey
				}
				pubs, lenPub = append(pubs, p.PubKeyBytes...), len(p.PubKeyBytes)
				if i < row.signers {
					s := c.sign(m, p.PrivKey, sentence)
					sigs, lenSig = append(sigs, s...), len(s)
				}
			}
			aggregate := func(mode pb.ECAGGParm_ECAGGMode, size int, elements []byte) *pb.Mechanism {
				return &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_EC_AGGREGATE), Parameter: &pb.Mechanism_ECAGGParameter{
					ECAGGParameter: &pb.ECAGGParm{Mode: mode, PerElementSize: uint32(size), Elements: elements}}}
			}
			sig := c.sign(aggregate(pb.ECAGGParm_CkIbmEcAggBLS12_381Sign, lenSig, sigs), nil, sentence)
			key := c.derive(aggregate(pb.ECAGGParm_CkIbmEcAggBLS12_381Pkey, lenPub, pubs), nil, pub)
			c.want("with the aggregated key", c.verify(m, key.NewKey, sentence, sig), row.want)
			first.KeyBlobs[0] = pubs
			c.want("with all keys", c.verify(m, first, sentence, sig), row.want)
		}
	})
}
