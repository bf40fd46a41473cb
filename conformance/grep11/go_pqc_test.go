package grep11

import (
	"encoding/asn1"
	"fmt"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Go suite, fifth part: Dilithium and Kyber, which the public examples run as
// soon as a server lists them.

// strength is the DER of an OID of the vendor's, 1.3.6.1.4.1.2.267 and on.
func strength(arcs ...int) []byte {
	der, err := asn1.Marshal(append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2, 267}, arcs...))
	if err != nil {
		panic(err)
	}
	return der
}

// The first one is needed where CKM_IBM_DILITHIUM is listed, the others where
// CKM_IBM_KYBER is, too; 5-4 of round 2 is in no example.
var (
	dilithiums = [][]byte{strength(1, 6, 5), strength(1, 8, 7), strength(7, 4, 4), strength(7, 6, 5), strength(7, 8, 7), strength(1, 5, 4)}
	kybers     = [][]byte{strength(5, 3, 3), strength(5, 4, 4)}
)

func TestGoDilithium(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_DILITHIUM)
		for _, s := range dilithiums {
			p := c.pair(ck.CKM_IBM_DILITHIUM, attrs{ck.CKA_IBM_PQC_PARAMS: s, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
			c.signed(mechanism(ck.CKM_IBM_DILITHIUM), p.PrivKey, p.PubKey, sentence, false)
		}
		_, err := c.GenerateKeyPair(c.ctx, &pb.GenerateKeyPairRequest{Mech: mechanism(ck.CKM_IBM_DILITHIUM), PubKeyTemplate: template(attrs{ck.CKA_IBM_PQC_PARAMS: strength(1, 9, 9)})})
		c.want("a strength that is none", rv(err), ck.CKR_IBM_PQC_PARAMS_NOT_SUPPORTED)
	})
}

// kyberPair is the pair of the examples.
func (c *client) kyberPair(strength []byte) *pb.GenerateKeyPairResponse {
	c.Helper()
	return c.pair(ck.CKM_IBM_KYBER, attrs{ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_IBM_PQC_PARAMS: strength, ck.CKA_ENCRYPT: true, ck.CKA_DERIVE: true},
		attrs{ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_DECRYPT: true, ck.CKA_DERIVE: true})
}

func kem(m ck.MechanismType, mode pb.KyberKEMParm_KyberMode, kdf pb.KyberKEMParm_KyberDeriveType, ciphered, mixed []byte) *pb.Mechanism {
	return &pb.Mechanism{Mechanism: uint64(m), Parameter: &pb.Mechanism_KyberKEMParameter{
		KyberKEMParameter: &pb.KyberKEMParm{Mode: mode, Kdf: kdf, CipherText: ciphered, Blob: mixed}}}
}

// both encapsulates and decapsulates, and decrypts with one key what the other
// encrypted; the keys' templates name no rights.
func (c *client) both(what string, m ck.MechanismType, p *pb.GenerateKeyPairResponse, kdf pb.KyberKEMParm_KyberDeriveType, mixed []byte) {
	c.Helper()
	aes := attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32}
	e := c.derive(kem(m, pb.KyberKEMParm_CkIbmKEMEncapsulate, kdf, nil, mixed), p.PubKey, aes)
	d := c.derive(kem(m, pb.KyberKEMParm_CkIbmKEMDecapsulate, kdf, e.CheckSum[7:], mixed), p.PrivKey, aes)
	c.same(what+", checksum", d.CheckSum, e.CheckSum[:7])
	iv := withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
	c.same(what, c.decrypt(iv, d.NewKey, c.encrypt(iv, e.NewKey, greeting)), greeting)
}

func TestGoKyber(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_KYBER)
		for _, s := range append(kybers, strength(5)) {
			c.both("standard", ck.CKM_IBM_KYBER, c.kyberPair(s), pb.KyberKEMParm_CkdNull, nil)
		}
	})
}

// TestGoKyberHybrid mixes in what key agreement on seven curves gives, a pair with
// its own public key.
func TestGoKyberHybrid(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_KYBER, ck.CKM_IBM_EC_X25519, ck.CKM_IBM_EC_X448)
		kdfs := []pb.KyberKEMParm_KyberDeriveType{pb.KyberKEMParm_CkdIbmHybridSha1Kdf, pb.KyberKEMParm_CkdIbmHybridSha224Kdf,
			pb.KyberKEMParm_CkdIbmHybridSha256Kdf, pb.KyberKEMParm_CkdIbmHybridSha384Kdf, pb.KyberKEMParm_CkdIbmHybridSha512Kdf}
		for _, curve := range []struct {
			name string
			mech ck.MechanismType
			len  int
		}{
			{"P-224", ck.CKM_ECDH1_DERIVE, 28}, {"P-256", ck.CKM_ECDH1_DERIVE, 32}, {"P-384", ck.CKM_ECDH1_DERIVE, 48}, {"P-521", ck.CKM_ECDH1_DERIVE, 66},
			{"SECP256K1", ck.CKM_ECDH1_DERIVE, 32}, {"curve25519", ck.CKM_IBM_EC_X25519, 32}, {"x448", ck.CKM_IBM_EC_X448, 56},
		} {
			ec := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: curve.name, ck.CKA_DERIVE: true}, attrs{ck.CKA_DERIVE: true})
			var public spki
			if _, err := asn1.Unmarshal(ec.PubKeyBytes, &public); err != nil {
				c.Fatal(err)
			}
			agreed := c.derive(&pb.Mechanism{Mechanism: uint64(curve.mech), Parameter: &pb.Mechanism_ECDH1DeriveParameter{ECDH1DeriveParameter: &pb.ECDH1DeriveParm{
				Kdf: pb.ECDH1DeriveParm_CkdIbmHybridNull, PublicData: public.Key.Bytes}}}, ec.PrivKey,
				attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_VALUE_LEN: curve.len, ck.CKA_IBM_USE_AS_DATA: true, ck.CKA_DERIVE: true})
			for i, s := range kybers {
				p := c.kyberPair(s)
				for _, kdf := range kdfs {
					c.both(fmt.Sprintf("strength %d, %s, %v", i, curve.name, kdf), ck.CKM_IBM_KYBER, p, kdf, agreed.NewKeyBytes)
				}
			}
		}
	})
}

// TestGoMLKEM is not in the examples: the standard's KEM travels as Kyber does.
func TestGoMLKEM(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_ML_KEM, ck.CKM_ML_KEM_KEY_PAIR_GEN)
		for set := 1; set <= 3; set++ {
			p := c.pair(ck.CKM_ML_KEM_KEY_PAIR_GEN, attrs{ck.CKA_PARAMETER_SET: set, ck.CKA_ENCAPSULATE: true}, attrs{ck.CKA_DECAPSULATE: true})
			c.both(fmt.Sprint("set ", set), ck.CKM_ML_KEM, p, pb.KyberKEMParm_CkdNull, nil)
		}
	})
}
