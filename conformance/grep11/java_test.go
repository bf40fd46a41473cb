package grep11

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Java examples (grep11-wire 16.3): KeyBlobs hold nothing but the blob,
// vendor numbers come sign-extended, CKA_CLASS is often left out.

// extended is a vendor number as Java's signed integers give it.
func extended[T ~uint64](n T) uint64 { return uint64(int64(int32(uint32(n)))) }

func TestJavaKeys(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.has()
		c.aes(attrs{ck.CKA_VALUE_LEN: 32})
		p := c.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: []byte{1, 0, 1}}, attrs{})
		if len(p.PrivKeyBytes) == 0 || len(p.PubKeyBytes) == 0 {
			c.Error("a blob is missing")
		}
	})
}

func TestJavaExample1(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		curve := p256
		if c.hasCurve(secp256k1) {
			curve = secp256k1
		}
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: curve, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		m := mechanism(ck.CKM_ECDSA)
		sig := c.sign(m, blob(p.PrivKeyBytes), sentence)
		c.want("the signature", c.verify(m, blob(p.PubKeyBytes), sentence, sig), ck.CKR_OK)
		_, err := c.VerifySingle(c.ctx, &pb.VerifySingleRequest{Mech: m, PubKey: blob(p.PubKeyBytes), Data: greeting, Signature: sig})
		if !strings.Contains(status.Convert(err).Message(), "CKR_SIGNATURE_INVALID") {
			c.Errorf("message %q", status.Convert(err).Message())
		}
	})
}

func TestJavaExample2(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_ED25519_SHA512)
		// The key pair mechanism is the plain one, the curve decides.
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: ed25519, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true, ck.CKA_EXTRACTABLE: true})
		kek, m := c.aes(kekRights).KeyBytes, withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
		u := c.unwrap(m, c.wrap(m, blob(p.PrivKeyBytes), blob(kek)), blob(kek), attrs{ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_SIGN: true, ck.CKA_EC_PARAMS: ed25519})
		s, der := c.spki(u.CheckSum)
		if len(u.CheckSum) < len(der)+4 || len(s.Key.Bytes) != 32 {
			c.Errorf("checksum %x", u.CheckSum)
		}
		_, want := c.spki(p.PubKeyBytes)
		c.same("the SPKI in the checksum", der, want)
		java := &pb.Mechanism{Mechanism: extended(ck.CKM_IBM_ED25519_SHA512)}
		c.want("signed with the unwrapped key", c.verify(java, blob(p.PubKeyBytes), sentence, c.sign(java, blob(u.UnwrappedBytes), sentence)), ck.CKR_OK)
	})
}

func TestJavaExample3(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		k := c.aes(attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})
		rsa := c.rsa4096()
		oaep := &pb.Mechanism{Mechanism: uint64(ck.CKM_RSA_PKCS_OAEP), Parameter: &pb.Mechanism_RSAOAEPParameter{
			RSAOAEPParameter: &pb.RSAOAEPParm{HashMech: uint64(ck.CKM_SHA256), Mgf: pb.RSAOAEPParm_CkgMgf1Sha256}}}
		u := c.unwrap(oaep, c.wrap(oaep, blob(k.KeyBytes), blob(rsa.PubKeyBytes)), blob(rsa.PrivKeyBytes), attrs{ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32, ck.CKA_DECRYPT: true})
		m := withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
		c.same("decrypted with the unwrapped key", c.decrypt(m, blob(u.UnwrappedBytes), c.encrypt(m, blob(k.KeyBytes), greeting)), greeting)
	})
}

func TestJavaExample4(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_BTC_DERIVE)
		p := ok[*pb.GenerateKeyPairResponse](c)(c.GenerateKeyPair(c.ctx, &pb.GenerateKeyPairRequest{Mech: mechanism(ck.CKM_EC_KEY_PAIR_GEN),
			PubKeyTemplate:  template(attrs{ck.CKA_EC_PARAMS: secp256k1, ck.CKA_VERIFY: true}),
			PrivKeyTemplate: map[uint64]*pb.AttributeValue{uint64(ck.CKA_SIGN): value(true), uint64(ck.CKA_DERIVE): value(true), extended(ck.CKA_IBM_USE_AS_DATA): value(true)}}))
		key, chain := p.PrivKeyBytes, c.random(32)
		for _, index := range []uint64{hardened + 44, hardened, hardened} {
			m := btc(pb.BTCDeriveParm_CkBIP0032PRV2PRV, index, chain)
			m.Mechanism = extended(ck.CKM_IBM_BTC_DERIVE)
			a := chainKey(secp256k1)
			a[ck.CKA_VERIFY] = true
			r := c.derive(m, blob(key), a)
			key, chain = r.NewKeyBytes, c.chainCode(r)
		}
		c.sign(mechanism(ck.CKM_ECDSA), blob(key), sentence)
	})
}

// A plain SPKI, as VerifySingle natively takes it (grep11-wire 11.5).
func TestPublicBlobsBeginWithAnSPKI(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		_, der := c.spki(p.PubKeyBytes)
		if _, err := x509.ParsePKIXPublicKey(der); err != nil {
			c.Error(err)
		}
		m := mechanism(ck.CKM_ECDSA_SHA256)
		c.want("verified with the plain SPKI", c.verify(m, blob(der), sentence, c.sign(m, p.PrivKey, sentence)), ck.CKR_OK)
		for rest, n := p.PubKeyBytes[len(der):], 0; len(rest) > 0; n++ {
			var o asn1.RawValue
			next, err := asn1.Unmarshal(rest, &o)
			if err != nil || o.Tag != asn1.TagOctetString {
				c.Fatalf("trailer %d: %v", n, err)
			}
			rest = next
		}
		if bytes.Equal(p.PubKeyBytes, der) {
			c.Error("no trailer")
		}
	})
}
