package server

import (
	"bytes"
	"encoding/asn1"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The older dialect sends keys as raw bytes under other numbers (grep11-wire 4),
// and Java sends numbers sign-extended (7.1).

func TestTheOlderDialect(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	kek := aesKey(t, c, usageKEK)
	m := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	e := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: m, LegacyKey: kek.KeyBytes, Plain: helloMessage}))
	d := must[*pb.DecryptSingleResponse](t)(c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: m, LegacyKey: kek.KeyBytes, Ciphered: e.Ciphered}))
	if !bytes.Equal(d.Plain, helloMessage) {
		t.Errorf("came back as %q", d.Plain)
	}
	ei := must[*pb.EncryptInitResponse](t)(c.EncryptInit(ctx, &pb.EncryptInitRequest{Mech: m, LegacyKey: kek.KeyBytes}))
	di := must[*pb.DecryptInitResponse](t)(c.DecryptInit(ctx, &pb.DecryptInitRequest{Mech: m, LegacyKey: kek.KeyBytes}))
	e2 := must[*pb.EncryptResponse](t)(c.Encrypt(ctx, &pb.EncryptRequest{State: ei.State, Plain: helloMessage}))
	d2 := must[*pb.DecryptResponse](t)(c.Decrypt(ctx, &pb.DecryptRequest{State: di.State, Ciphered: e2.Ciphered}))
	if !bytes.Equal(d2.Plain, helloMessage) {
		t.Errorf("came back as %q", d2.Plain)
	}

	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, attrs{ck.CKA_SIGN: yes(), ck.CKA_EXTRACTABLE: yes(), ck.CKA_DERIVE: yes()})
	sha := mechanism(ck.CKM_ECDSA_SHA256)
	sig := must[*pb.SignSingleResponse](t)(c.SignSingle(ctx, &pb.SignSingleRequest{Mech: sha, LegacyPrivKey: p.PrivKeyBytes, Data: helloMessage})).Signature
	must[*pb.VerifySingleResponse](t)(c.VerifySingle(ctx, &pb.VerifySingleRequest{Mech: sha, LegacyPubKey: p.PubKeyBytes, Data: helloMessage, Signature: sig}))
	si := must[*pb.SignInitResponse](t)(c.SignInit(ctx, &pb.SignInitRequest{Mech: sha, LegacyPrivKey: p.PrivKeyBytes}))
	sig = must[*pb.SignResponse](t)(c.Sign(ctx, &pb.SignRequest{State: si.State, Data: helloMessage})).Signature
	vi := must[*pb.VerifyInitResponse](t)(c.VerifyInit(ctx, &pb.VerifyInitRequest{Mech: sha, LegacyPubKey: p.PubKeyBytes}))
	must[*pb.VerifyResponse](t)(c.Verify(ctx, &pb.VerifyRequest{State: vi.State, Data: helloMessage, Signature: sig}))

	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: m, LegacyKey: p.PrivKeyBytes, LegacyKeK: kek.KeyBytes}))
	must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: m, Wrapped: w.Wrapped, LegacyKeK: kek.KeyBytes,
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_EC)), ck.CKA_SIGN: yes()})}))
	_, err := c.RewrapKeyBlob(ctx, &pb.RewrapKeyBlobRequest{WrappedKeyBytes: kek.KeyBytes})
	wantRV(t, err, ck.CKR_IBM_WK_NOT_INITIALIZED)
}

func TestTheCurrentFieldCountsWhereBothCame(t *testing.T) {
	c, _ := crypto(t)
	k := aesKey(t, c, usageAES)
	m := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(t.Context(), &pb.EncryptSingleRequest{Mech: m, Key: k.Key, LegacyKey: []byte("not a blob"), Plain: helloMessage}))
	empty := &pb.KeyBlob{KeyBlobs: [][]byte{{}}, KeyBlobID: []byte("sixteen bytes id")}
	must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(t.Context(), &pb.EncryptSingleRequest{Mech: m, Key: empty, LegacyKey: k.KeyBytes, Plain: helloMessage}))
}

func TestWhatClientsSayOfAKeyIsNotTrusted(t *testing.T) {
	c, _ := crypto(t)
	k := aesKey(t, c, attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_ENCRYPT: no()})
	lie := &pb.KeyBlob{KeyBlobs: k.Key.KeyBlobs, Attributes: wireTemplate(attrs{ck.CKA_ENCRYPT: yes()}), KeyBlobID: []byte("x"), Version: 7, TxID: []byte("y")}
	_, err := c.EncryptSingle(t.Context(), &pb.EncryptSingleRequest{Mech: withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16)), Key: lie, Plain: helloMessage})
	wantRV(t, err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
}

func TestNumbersMayBeSignExtended(t *testing.T) {
	c, _ := crypto(t)
	const extend = 0xffffffff_00000000
	const vendor = uint64(ck.CKM_IBM_TRANSPORTKEY) | extend
	pair := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(pair.PubKeyBytes, &first); err != nil {
		t.Fatal(err)
	}
	must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(t.Context(), &pb.UnwrapKeyRequest{Mech: &pb.Mechanism{Mechanism: vendor}, Wrapped: first.FullBytes,
		Template: wireTemplate(attrs{ck.CKA_VERIFY: yes()})}))
	must[*pb.GetMechanismInfoResponse](t)(c.GetMechanismInfo(t.Context(), &pb.GetMechanismInfoRequest{Mech: vendor}))
	g := must[*pb.GetAttributeValueResponse](t)(c.GetAttributeValue(t.Context(), &pb.GetAttributeValueRequest{Object: pair.PrivKeyBytes,
		Attributes: map[uint64]*pb.AttributeValue{uint64(ck.CKA_IBM_USE_AS_DATA) | extend: no()}}))
	if _, ok := g.Attributes[uint64(ck.CKA_IBM_USE_AS_DATA)]; !ok || len(g.Attributes) != 1 {
		t.Errorf("answer keys: %v", g.Attributes)
	}
}
