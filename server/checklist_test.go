package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// Rows of grep11-wire 19 that other tests do not show.

func TestTemplatesInTheFormsOfAllClients(t *testing.T) {
	c, _ := crypto(t)
	for _, row := range []struct {
		name string
		mech ck.MechanismType
		pub  attrs
	}{
		{"exponent as an integer", ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: number(2048), ck.CKA_PUBLIC_EXPONENT: number(17)}},
		{"exponent as bytes", ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: number(2048), ck.CKA_PUBLIC_EXPONENT: octets([]byte{1, 0, 1})}},
		{"size as bytes", ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: octets([]byte{8, 0}), ck.CKA_PUBLIC_EXPONENT: number(65537)}},
		{"the curve's OID", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256)}},
		{"the curve's name", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets([]byte("P-256"))}},
		{"attributes that make no sense for the object", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256),
			ck.CKA_EXTRACTABLE: no(), ck.CKA_SENSITIVE: yes(), ck.CKA_TOKEN: yes(), ck.CKA_PRIVATE: yes(), ck.CKA_LABEL: octets([]byte("label")), ck.CKA_ID: octets([]byte{1})}},
		{"an attribute nobody knows", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256), 0x8fffff01: octets([]byte{1})}},
		{"a Boolean as an integer", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256), ck.CKA_VERIFY: number(1)}},
		{"a Boolean as a byte", ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256), ck.CKA_VERIFY: octets([]byte{1})}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := keyPair(t, c, row.mech, row.pub, attrs{})
			switch k := spki(t, p.PubKeyBytes).(type) {
			case *rsa.PublicKey:
				if k.N.BitLen() != 2048 {
					t.Errorf("%d bits", k.N.BitLen())
				}
			case *ecdsa.PublicKey:
				if k.Curve.Params().Name != "P-256" {
					t.Errorf("curve %s", k.Curve.Params().Name)
				}
			}
		})
	}
}

// What the template does not say is permitted, where the algorithm can; what it
// denies is denied (grep11-wire 14).
func TestDefaultRights(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	plain := aesKey(t, c, attrs{ck.CKA_VALUE_LEN: number(32)})
	pair := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: octets(oidP256)}, attrs{})
	rsaPair := keyPair(t, c, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: number(2048), ck.CKA_PUBLIC_EXPONENT: number(65537)}, attrs{})
	loose := aesKey(t, c, extractable)
	pad := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	for _, row := range []struct {
		name string
		do   func() error
		want ck.RV
	}{
		{"a secret key encrypts", func() error {
			_, err := c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: pad, Key: plain.Key, Plain: helloMessage})
			return err
		}, ck.CKR_OK},
		{"a secret key makes MACs", func() error {
			_, err := c.SignSingle(ctx, &pb.SignSingleRequest{Mech: mechanism(ck.CKM_SHA256_HMAC), PrivKey: plain.Key, Data: helloMessage})
			return err
		}, ck.CKR_OK},
		{"a secret key does not wrap", func() error {
			_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: pad, Key: loose.Key, KeK: plain.Key})
			return err
		}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a private key signs, its public key verifies", func() error {
			sig, err := c.SignSingle(ctx, &pb.SignSingleRequest{Mech: mechanism(ck.CKM_ECDSA_SHA256), PrivKey: pair.PrivKey, Data: helloMessage})
			if err != nil {
				return err
			}
			_, err = c.VerifySingle(ctx, &pb.VerifySingleRequest{Mech: mechanism(ck.CKM_ECDSA_SHA256), PubKey: pair.PubKey, Data: helloMessage, Signature: sig.Signature})
			return err
		}, ck.CKR_OK},
		{"an RSA public key encrypts, its private key decrypts", func() error {
			e, err := c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: mechanism(ck.CKM_RSA_PKCS), Key: rsaPair.PubKey, Plain: helloMessage})
			if err != nil {
				return err
			}
			_, err = c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: mechanism(ck.CKM_RSA_PKCS), Key: rsaPair.PrivKey, Ciphered: e.Ciphered})
			return err
		}, ck.CKR_OK},
		{"a private key does not derive", func() error {
			_, err := c.DeriveKey(ctx, &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_ECDH1_DERIVE, point(t, pair.PubKeyBytes)), BaseKey: pair.PrivKey,
				Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(16)})})
			return err
		}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		t.Run(row.name, func(t *testing.T) { wantRV(t, row.do(), row.want) })
	}
}

// point is the content of the BIT STRING in a public blob's SPKI.
func point(t testing.TB, blob []byte) []byte {
	t.Helper()
	var s struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(blob, &s); err != nil {
		t.Fatal(err)
	}
	return s.Key.Bytes
}

// Edwards and Montgomery keys are named as EP11 names them, id-ecPublicKey with
// the curve's OID (grep11-wire 10.3), by whatever mechanism they are made.
func TestEdwardsAndMontgomeryKeysHaveTheNativeForm(t *testing.T) {
	c, _ := crypto(t)
	ecPublicKey := []byte{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}
	for _, row := range []struct {
		name     string
		mech     ck.MechanismType
		arc      byte // of 1.3.101
		lenBytes int
	}{
		{"X25519", ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, 110, 32},
		{"X448", ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, 111, 56},
		{"Ed25519", ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, 112, 32},
		{"Ed448", ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, 113, 57},
	} {
		oid := []byte{0x06, 0x03, 0x2b, 0x65, row.arc}
		for _, m := range []ck.MechanismType{row.mech, ck.CKM_EC_KEY_PAIR_GEN} {
			p := keyPair(t, c, m, attrs{ck.CKA_EC_PARAMS: octets(oid)}, attrs{})
			if !bytes.Contains(p.PubKeyBytes[:30], append(bytes.Clone(ecPublicKey), oid...)) {
				t.Errorf("%s by %v: algorithm identifier: %x", row.name, m, p.PubKeyBytes[:30])
			}
			if n := len(point(t, p.PubKeyBytes)); n != row.lenBytes {
				t.Errorf("%s by %v: public key of %d bytes", row.name, m, n)
			}
		}
	}
}

// An empty salt is honoured, and not taken for one of the usual length: nothing
// random is left in the signature.
func TestAnEmptySaltIsNone(t *testing.T) {
	c, _ := crypto(t)
	p := keyPair(t, c, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPublic, rsaPrivate)
	twice := func(salt uint64) bool {
		m := pss(ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_SHA256, pb.RSAPSSParm_CkgMgf1Sha256)
		m.GetRSAPSSParameter().SaltByteCount = salt
		var sigs [2][]byte
		for i := range sigs {
			sigs[i] = must[*pb.SignSingleResponse](t)(c.SignSingle(t.Context(), &pb.SignSingleRequest{Mech: m, PrivKey: p.PrivKey, Data: helloMessage})).Signature
		}
		return bytes.Equal(sigs[0], sigs[1])
	}
	if !twice(0) || twice(32) {
		t.Errorf("signatures are the same: %v without salt, %v with one", twice(0), twice(32))
	}
}

func TestPublicBlobsOfAKindAreOfOneLength(t *testing.T) {
	c, _ := crypto(t)
	var lens []int
	for range 4 {
		lens = append(lens, len(keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign).PubKeyBytes))
	}
	for _, n := range lens {
		if n != lens[0] {
			t.Fatalf("lengths %v", lens)
		}
	}
}

// The same derivation on both sides gives keys that fit; the peer's point may
// be raw or in a DER OCTET STRING (grep11-wire 11.2).
func TestBothSidesDeriveTheSameKey(t *testing.T) {
	c, _ := crypto(t)
	a, b := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign), keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	secret := wireTemplate(attrs{ck.CKA_CLASS: number(int64(ck.CKO_SECRET_KEY)), ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(16), ck.CKA_ENCRYPT: yes(), ck.CKA_DECRYPT: yes()})
	der, _ := asn1.Marshal(point(t, a.PubKeyBytes))
	kdf := func(public []byte) *pb.Mechanism {
		return &pb.Mechanism{Mechanism: uint64(ck.CKM_ECDH1_DERIVE), Parameter: &pb.Mechanism_ECDH1DeriveParameter{
			ECDH1DeriveParameter: &pb.ECDH1DeriveParm{Kdf: pb.ECDH1DeriveParm_CkdNull, PublicData: public}}}
	}
	mine := must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_ECDH1_DERIVE, point(t, b.PubKeyBytes)), BaseKey: a.PrivKey, Template: secret}))
	for how, m := range map[string]*pb.Mechanism{"raw": withBytes(ck.CKM_ECDH1_DERIVE, point(t, a.PubKeyBytes)), "DER": withBytes(ck.CKM_ECDH1_DERIVE, der), "message": kdf(point(t, a.PubKeyBytes))} {
		theirs := must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: m, BaseKey: b.PrivKey, Template: secret}))
		if !bytes.Equal(mine.CheckSum, theirs.CheckSum) || len(mine.CheckSum) != 7 {
			t.Errorf("%s: checksums %x and %x", how, mine.CheckSum, theirs.CheckSum)
		}
	}
}
