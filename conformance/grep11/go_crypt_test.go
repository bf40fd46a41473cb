package grep11

import (
	"crypto/sha256"
	"sync"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Go suite (grep11-wire 16.1), first part: queries, digests, encryption,
// key generation and derivation.

func TestGoQueries(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.has()
		c.want("the first mechanism", ck.RV(c.mechs[0]), ck.RV(ck.CKM_RSA_PKCS))
		i := ok[*pb.GetMechanismInfoResponse](c)(c.GetMechanismInfo(c.ctx, &pb.GetMechanismInfoRequest{Mech: uint64(ck.CKM_RSA_PKCS)})).MechInfo
		if i.MinKeySize != 512 || i.MaxKeySize != 4096 {
			c.Errorf("CKM_RSA_PKCS: %v", i)
		}
		c.random(4096)
	})
}

func TestGoDigest(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		data := []byte("This is a sentence in plain ASCII that has more than sixty-four bytes, so it is split up.")
		want := sha256.Sum256(data)
		m := mechanism(ck.CKM_SHA256)
		c.same("single", ok[*pb.DigestSingleResponse](c)(c.DigestSingle(c.ctx, &pb.DigestSingleRequest{Mech: m, Data: data})).Digest, want[:])
		s := ok[*pb.DigestInitResponse](c)(c.DigestInit(c.ctx, &pb.DigestInitRequest{Mech: m})).State
		c.same("one part", ok[*pb.DigestResponse](c)(c.Digest(c.ctx, &pb.DigestRequest{State: s, Data: data})).Digest, want[:])
		for _, part := range [][]byte{data[:64], data[64:]} {
			s = ok[*pb.DigestUpdateResponse](c)(c.DigestUpdate(c.ctx, &pb.DigestUpdateRequest{State: s, Data: part})).State
		}
		c.same("parts", ok[*pb.DigestFinalResponse](c)(c.DigestFinal(c.ctx, &pb.DigestFinalRequest{State: s})).Digest, want[:])
	})
}

// roundTrip encrypts and decrypts in the three flows, parts split at 16 bytes.
func (c *client) roundTrip(m *pb.Mechanism, enc, dec *pb.KeyBlob, parts bool) {
	c.Helper()
	c.same("single", c.decrypt(m, dec, c.encrypt(m, enc, greeting)), greeting)
	es := ok[*pb.EncryptInitResponse](c)(c.EncryptInit(c.ctx, &pb.EncryptInitRequest{Mech: m, Key: enc})).State
	ds := ok[*pb.DecryptInitResponse](c)(c.DecryptInit(c.ctx, &pb.DecryptInitRequest{Mech: m, Key: dec})).State
	ciphered := ok[*pb.EncryptResponse](c)(c.Encrypt(c.ctx, &pb.EncryptRequest{State: es, Plain: greeting})).Ciphered
	c.same("one part", ok[*pb.DecryptResponse](c)(c.Decrypt(c.ctx, &pb.DecryptRequest{State: ds, Ciphered: ciphered})).Plain, greeting)
	if !parts {
		return
	}
	ciphered = nil
	for _, part := range [][]byte{greeting[:16], greeting[16:]} {
		u := ok[*pb.EncryptUpdateResponse](c)(c.EncryptUpdate(c.ctx, &pb.EncryptUpdateRequest{State: es, Plain: part}))
		es, ciphered = u.State, append(ciphered, u.Ciphered...)
	}
	ciphered = append(ciphered, ok[*pb.EncryptFinalResponse](c)(c.EncryptFinal(c.ctx, &pb.EncryptFinalRequest{State: es})).Ciphered...)
	var plain []byte
	for _, part := range [][]byte{ciphered[:16], ciphered[16:]} {
		u := ok[*pb.DecryptUpdateResponse](c)(c.DecryptUpdate(c.ctx, &pb.DecryptUpdateRequest{State: ds, Ciphered: part}))
		ds, plain = u.State, append(plain, u.Plain...)
	}
	plain = append(plain, ok[*pb.DecryptFinalResponse](c)(c.DecryptFinal(c.ctx, &pb.DecryptFinalRequest{State: ds})).Plain...)
	c.same("parts", plain, greeting)
}

func TestGoEncryptDecrypt(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		usage := attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true}
		k := c.aes(usage).Key
		c.roundTrip(withBytes(ck.CKM_AES_CBC_PAD, c.random(16)), k, k, true)
		k = c.key(ck.CKM_DES3_KEY_GEN, usage).Key
		c.roundTrip(withBytes(ck.CKM_DES3_CBC_PAD, c.random(8)), k, k, true)
		rsa := c.rsa4096()
		oaep := &pb.Mechanism{Mechanism: uint64(ck.CKM_RSA_PKCS_OAEP), Parameter: &pb.Mechanism_RSAOAEPParameter{
			RSAOAEPParameter: &pb.RSAOAEPParm{HashMech: uint64(ck.CKM_SHA_1), Mgf: pb.RSAOAEPParm_CkgMgf1Sha1}}}
		c.roundTrip(oaep, rsa.PubKey, rsa.PrivKey, false)
		c.roundTrip(mechanism(ck.CKM_RSA_PKCS), rsa.PubKey, rsa.PrivKey, false)
	})
}

// rsa4096 is one pair for all examples, with all rights and extractable:
// making it takes seconds.
func (c *client) rsa4096() *pb.GenerateKeyPairResponse {
	c.Helper()
	sharedRSA.once.Do(func() {
		sharedRSA.pair = c.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN,
			attrs{ck.CKA_MODULUS_BITS: 4096, ck.CKA_PUBLIC_EXPONENT: 65537, ck.CKA_ENCRYPT: true, ck.CKA_VERIFY: true, ck.CKA_WRAP: true, ck.CKA_EXTRACTABLE: false},
			attrs{ck.CKA_PRIVATE: true, ck.CKA_SENSITIVE: true, ck.CKA_DECRYPT: true, ck.CKA_SIGN: true, ck.CKA_UNWRAP: true, ck.CKA_EXTRACTABLE: true})
	})
	if sharedRSA.pair == nil {
		c.Fatal("no RSA pair")
	}
	return sharedRSA.pair
}

var sharedRSA struct {
	once sync.Once
	pair *pb.GenerateKeyPairResponse
}

func TestGoKeyGeneration(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.key(ck.CKM_GENERIC_SECRET_KEY_GEN, attrs{ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE_LEN: 16})
		all := attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_WRAP: true, ck.CKA_UNWRAP: true, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: false, ck.CKA_TOKEN: true}
		c.aes(all)
		c.key(ck.CKM_DES3_KEY_GEN, all)
		if c.hasCurve(secp256k1) {
			p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: secp256k1, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
			s, _ := c.spki(p.PubKeyBytes)
			if point := s.Key.Bytes; len(point) != 65 || point[0] != 4 || !onSecp256k1(point) {
				c.Errorf("point %x", point)
			}
		}
	})
}

func TestGoDiffieHellman(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_DH_PKCS_PARAMETER_GEN, ck.CKM_DH_PKCS_KEY_PAIR_GEN, ck.CKM_DH_PKCS_DERIVE)
		params := c.key(ck.CKM_DH_PKCS_PARAMETER_GEN, attrs{ck.CKA_PRIME_BITS: 2048}).KeyBytes
		pub, priv := attrs{ck.CKA_IBM_STRUCT_PARAMS: params}, attrs{ck.CKA_DERIVE: true}
		a, b := c.pair(ck.CKM_DH_PKCS_KEY_PAIR_GEN, pub, priv), c.pair(ck.CKM_DH_PKCS_KEY_PAIR_GEN, pub, priv)
		c.agree(withBytes(ck.CKM_DH_PKCS_DERIVE, c.dhPublic(b.PubKeyBytes)), withBytes(ck.CKM_DH_PKCS_DERIVE, c.dhPublic(a.PubKeyBytes)), a, b)
	})
}

func TestGoECDerive(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		pub, priv := attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_EXTRACTABLE: false}, attrs{ck.CKA_DERIVE: true, ck.CKA_EXTRACTABLE: false}
		a, b := c.pair(ck.CKM_EC_KEY_PAIR_GEN, pub, priv), c.pair(ck.CKM_EC_KEY_PAIR_GEN, pub, priv)
		sa, _ := c.spki(a.PubKeyBytes)
		sb, _ := c.spki(b.PubKey.KeyBlobs[0])
		c.agree(withBytes(ck.CKM_ECDH1_DERIVE, sb.Key.Bytes), withBytes(ck.CKM_ECDH1_DERIVE, sa.Key.Bytes), a, b)
	})
}

// agree derives an AES-128 key on both sides, encrypts with one and decrypts
// with the other.
func (c *client) agree(ma, mb *pb.Mechanism, a, b *pb.GenerateKeyPairResponse) {
	c.Helper()
	secret := attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true}
	ka, kb := c.derive(ma, a.PrivKey, secret), c.derive(mb, blob(b.PrivKeyBytes), secret)
	m := withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
	c.same("what the other side decrypts", c.decrypt(m, kb.NewKey, c.encrypt(m, blob(ka.NewKeyBytes), greeting)), greeting)
}
