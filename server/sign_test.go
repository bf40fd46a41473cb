package server

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	gocrypto "crypto"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func pss(m, hash ck.MechanismType, mgf pb.RSAPSSParm_Mask) *pb.Mechanism {
	return &pb.Mechanism{Mechanism: uint64(m), Parameter: &pb.Mechanism_RSAPSSParameter{
		RSAPSSParameter: &pb.RSAPSSParm{HashMech: uint64(hash), Mgf: mgf, SaltByteCount: 0}}}
}

func TestWhatIsSignedIsVerified(t *testing.T) {
	c, _ := crypto(t)
	rsaPair := keyPair(t, c, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPublic, rsaPrivate)
	ec := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	secret := aesKey(t, c, attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_SIGN: yes(), ck.CKA_VERIFY: yes()})
	for _, row := range []struct {
		name         string
		mech         *pb.Mechanism
		sign, verify *pb.KeyBlob
		parts        bool
	}{
		{"RSA SHA-512", mechanism(ck.CKM_SHA512_RSA_PKCS), rsaPair.PrivKey, rsaPair.PubKey, true},
		{"RSA PKCS#1 of 28 raw bytes", mechanism(ck.CKM_RSA_PKCS), rsaPair.PrivKey, rsaPair.PubKey, false},
		{"PSS with an empty salt", pss(ck.CKM_SHA512_RSA_PKCS_PSS, ck.CKM_SHA512, pb.RSAPSSParm_CkgMgf1Sha512), rsaPair.PrivKey, rsaPair.PubKey, true},
		{"ECDSA of 28 raw bytes", mechanism(ck.CKM_ECDSA), ec.PrivKey, ec.PubKey, false},
		{"ECDSA SHA-512", mechanism(ck.CKM_ECDSA_SHA512), ec.PrivKey, ec.PubKey, true},
		{"HMAC with an AES key", mechanism(ck.CKM_SHA256_HMAC), secret.Key, secret.Key, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			data := []byte("These are 28 bytes of data!!")
			signatures := map[string][]byte{
				"single":   must[*pb.SignSingleResponse](t)(c.SignSingle(t.Context(), &pb.SignSingleRequest{Mech: row.mech, PrivKey: row.sign, Data: data})).Signature,
				"one part": signOnePart(t, c, row.mech, row.sign, data),
			}
			if row.parts {
				signatures["parts"] = signParts(t, c, row.mech, row.sign, data)
			}
			for how, sig := range signatures {
				verifyAll(t, c, how, row.mech, row.verify, data, sig, row.parts, ck.CKR_OK)
				bad := append([]byte(nil), sig...)
				bad[len(bad)-1] ^= 1
				verifyAll(t, c, how+", altered", row.mech, row.verify, data, bad, row.parts, ck.CKR_SIGNATURE_INVALID)
			}
		})
	}
}

func signOnePart(t *testing.T, c pb.CryptoClient, m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	s := must[*pb.SignInitResponse](t)(c.SignInit(t.Context(), &pb.SignInitRequest{Mech: m, PrivKey: k}))
	return must[*pb.SignResponse](t)(c.Sign(t.Context(), &pb.SignRequest{State: s.State, Data: data})).Signature
}

func signParts(t *testing.T, c pb.CryptoClient, m *pb.Mechanism, k *pb.KeyBlob, data []byte) []byte {
	state := must[*pb.SignInitResponse](t)(c.SignInit(t.Context(), &pb.SignInitRequest{Mech: m, PrivKey: k})).State
	for _, part := range [][]byte{data[:8], data[8:]} {
		state = must[*pb.SignUpdateResponse](t)(c.SignUpdate(t.Context(), &pb.SignUpdateRequest{State: state, Data: part})).State
	}
	return must[*pb.SignFinalResponse](t)(c.SignFinal(t.Context(), &pb.SignFinalRequest{State: state})).Signature
}

func verifyAll(t *testing.T, c pb.CryptoClient, how string, m *pb.Mechanism, k *pb.KeyBlob, data, sig []byte, parts bool, want ck.RV) {
	t.Helper()
	ctx := t.Context()
	check := func(flow string, err error) {
		t.Helper()
		if got := ck.RV(detail(t, err).Code); got != want {
			t.Errorf("signed by %s, verified by %s: %v (%v), want %v", how, flow, got, err, want)
		}
	}
	_, err := c.VerifySingle(ctx, &pb.VerifySingleRequest{Mech: m, PubKey: k, Data: data, Signature: sig})
	check("single", err)
	s := must[*pb.VerifyInitResponse](t)(c.VerifyInit(ctx, &pb.VerifyInitRequest{Mech: m, PubKey: k}))
	_, err = c.Verify(ctx, &pb.VerifyRequest{State: s.State, Data: data, Signature: sig})
	check("one part", err)
	if !parts {
		return
	}
	u := must[*pb.VerifyUpdateResponse](t)(c.VerifyUpdate(ctx, &pb.VerifyUpdateRequest{State: s.State, Data: data[:8]}))
	u = must[*pb.VerifyUpdateResponse](t)(c.VerifyUpdate(ctx, &pb.VerifyUpdateRequest{State: u.State, Data: data[8:]}))
	_, err = c.VerifyFinal(ctx, &pb.VerifyFinalRequest{State: u.State, Signature: sig})
	check("parts", err)
}

// spki parses the one ASN.1 object a public blob begins with.
func spki(t testing.TB, blob []byte) any {
	t.Helper()
	var first asn1.RawValue
	rest, err := asn1.Unmarshal(blob, &first)
	if err != nil || len(rest) == 0 {
		t.Fatalf("public blob: %v, %d bytes after the SPKI", err, len(rest))
	}
	k, err := x509.ParsePKIXPublicKey(first.FullBytes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestGoVerifiesTheServersSignatures(t *testing.T) {
	c, _ := crypto(t)
	rsaPair := keyPair(t, c, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPublic, rsaPrivate)
	ec := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	rsaSig := must[*pb.SignSingleResponse](t)(c.SignSingle(t.Context(), &pb.SignSingleRequest{
		Mech: mechanism(ck.CKM_SHA256_RSA_PKCS), PrivKey: rsaPair.PrivKey, Data: helloMessage}))
	h := sha256.Sum256(helloMessage)
	if err := rsa.VerifyPKCS1v15(spki(t, rsaPair.PubKeyBytes).(*rsa.PublicKey), gocrypto.SHA256, h[:], rsaSig.Signature); err != nil {
		t.Error(err)
	}
	long := sha512.Sum512(helloMessage) // longer than the order: the leftmost bits count
	ecSig := must[*pb.SignSingleResponse](t)(c.SignSingle(t.Context(), &pb.SignSingleRequest{
		Mech: mechanism(ck.CKM_ECDSA), PrivKey: ec.PrivKey, Data: long[:]})).Signature
	r, s := new(big.Int).SetBytes(ecSig[:32]), new(big.Int).SetBytes(ecSig[32:])
	if len(ecSig) != 64 || !ecdsa.Verify(spki(t, ec.PubKeyBytes).(*ecdsa.PublicKey), long[:], r, s) {
		t.Error("ECDSA signature is not right")
	}
}
