package grep11

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The JavaScript examples (grep11-wire 16.2): keys are raw bytes under the older
// dialect's numbers, results are read from the plain byte fields. Requests are
// built from those numbers by hand, not from our .proto's names for them.

// js sends a current request whose keys were left out, with legacy fields added.
func js[R proto.Message](c *client, method string, req proto.Message, resp R, keys map[protowire.Number][]byte) (R, error) {
	c.Helper()
	b, err := proto.Marshal(req)
	if err != nil {
		c.Fatal(err)
	}
	for n, key := range keys {
		b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), key)
	}
	// The bytes go through an empty message: what it does not know it keeps.
	carrier := new(pb.LogoutRequest)
	if err := proto.Unmarshal(b, carrier); err != nil {
		c.Fatal(err)
	}
	return resp, c.conn.Invoke(c.ctx, "/grep11.Crypto/"+method, carrier, resp)
}

// legacy is js for calls that must succeed.
func legacy[R proto.Message](c *client, method string, req proto.Message, resp R, keys map[protowire.Number][]byte) R {
	c.Helper()
	r, err := js(c, method, req, resp, keys)
	if err != nil {
		c.Fatalf("%s: %v: %v", method, rv(err), err)
	}
	return r
}

type numbered = map[protowire.Number][]byte

func TestJavaScriptEncryptDecrypt(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		k := c.aes(attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_WRAP: false, ck.CKA_UNWRAP: false, ck.CKA_EXTRACTABLE: false, ck.CKA_TOKEN: true}).KeyBytes
		m := withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
		state := legacy(c, "EncryptInit", &pb.EncryptInitRequest{Mech: m}, &pb.EncryptInitResponse{}, numbered{3: k}).State
		var ciphered []byte
		for _, part := range [][]byte{greeting[:20], greeting[20:]} {
			u := ok[*pb.EncryptUpdateResponse](c)(c.EncryptUpdate(c.ctx, &pb.EncryptUpdateRequest{State: state, Plain: part}))
			state, ciphered = u.State, append(ciphered, u.Ciphered...)
		}
		ciphered = append(ciphered, ok[*pb.EncryptFinalResponse](c)(c.EncryptFinal(c.ctx, &pb.EncryptFinalRequest{State: state})).Ciphered...)
		state = legacy(c, "DecryptInit", &pb.DecryptInitRequest{Mech: m}, &pb.DecryptInitResponse{}, numbered{3: k}).State
		var plain []byte
		for _, part := range [][]byte{ciphered[:20], ciphered[20:]} {
			u := ok[*pb.DecryptUpdateResponse](c)(c.DecryptUpdate(c.ctx, &pb.DecryptUpdateRequest{State: state, Ciphered: part}))
			state, plain = u.State, append(plain, u.Plain...)
		}
		plain = append(plain, ok[*pb.DecryptFinalResponse](c)(c.DecryptFinal(c.ctx, &pb.DecryptFinalRequest{State: state})).Plain...)
		c.same("parts", plain, greeting)
		e := legacy(c, "EncryptSingle", &pb.EncryptSingleRequest{Mech: m, Plain: greeting}, &pb.EncryptSingleResponse{}, numbered{1: k}).Ciphered
		c.same("single", legacy(c, "DecryptSingle", &pb.DecryptSingleRequest{Mech: m, Ciphered: e}, &pb.DecryptSingleResponse{}, numbered{1: k}).Plain, greeting)
	})
}

func TestJavaScriptSignVerify(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		rsa := c.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs{ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: 17, ck.CKA_VERIFY: true, ck.CKA_EXTRACTABLE: false}, attrs{ck.CKA_SIGN: true, ck.CKA_EXTRACTABLE: false})
		ec := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		hex64 := []byte("ad4e0b6e309d192862ec6db692d17072ddd3a98ccd37afe642a04f7ca554c94c")
		for _, row := range []struct {
			mech ck.MechanismType
			pair *pb.GenerateKeyPairResponse
		}{{ck.CKM_SHA1_RSA_PKCS, rsa}, {ck.CKM_ECDSA, ec}} {
			m := mechanism(row.mech)
			s := legacy(c, "SignInit", &pb.SignInitRequest{Mech: m}, &pb.SignInitResponse{}, numbered{3: row.pair.PrivKeyBytes}).State
			sig := ok[*pb.SignResponse](c)(c.Sign(c.ctx, &pb.SignRequest{State: s, Data: hex64})).Signature
			v := legacy(c, "VerifyInit", &pb.VerifyInitRequest{Mech: m}, &pb.VerifyInitResponse{}, numbered{3: row.pair.PubKeyBytes}).State
			_, err := c.Verify(c.ctx, &pb.VerifyRequest{State: v, Data: hex64, Signature: sig})
			c.want(row.mech.String(), rv(err), ck.CKR_OK)
			sig = legacy(c, "SignSingle", &pb.SignSingleRequest{Mech: m, Data: hex64}, &pb.SignSingleResponse{}, numbered{1: row.pair.PrivKeyBytes}).Signature
			_, err = js(c, "VerifySingle", &pb.VerifySingleRequest{Mech: m, Data: hex64, Signature: sig}, &pb.VerifySingleResponse{}, numbered{1: row.pair.PubKeyBytes})
			c.want(row.mech.String()+", single", rv(err), ck.CKR_OK)
			_, err = js(c, "VerifySingle", &pb.VerifySingleRequest{Mech: m, Data: greeting, Signature: sig}, &pb.VerifySingleResponse{}, numbered{1: row.pair.PubKeyBytes})
			c.want(row.mech.String()+", other data", rv(err), ck.CKR_SIGNATURE_INVALID)
		}
	})
}

func TestJavaScriptDeriveAndWrap(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		a := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256}, attrs{ck.CKA_DERIVE: true})
		b := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256}, attrs{ck.CKA_DERIVE: true})
		secret := template(attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true})
		side := func(mine, theirs *pb.GenerateKeyPairResponse) *pb.DeriveKeyResponse {
			s, _ := c.spki(theirs.PubKeyBytes)
			return legacy(c, "DeriveKey", &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_ECDH1_DERIVE, s.Key.Bytes), Template: secret}, &pb.DeriveKeyResponse{}, numbered{3: mine.PrivKeyBytes})
		}
		c.same("checksums of both sides", side(a, b).CheckSum, side(b, a).CheckSum)

		k := c.aes(attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})
		rsa := c.rsa4096()
		w := legacy(c, "WrapKey", &pb.WrapKeyRequest{Mech: mechanism(ck.CKM_RSA_PKCS)}, &pb.WrapKeyResponse{}, numbered{1: k.KeyBytes, 2: rsa.PubKeyBytes}).Wrapped
		u := legacy(c, "UnwrapKey", &pb.UnwrapKeyRequest{Mech: mechanism(ck.CKM_RSA_PKCS), Wrapped: w, Template: template(attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY,
			ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})}, &pb.UnwrapKeyResponse{}, numbered{2: rsa.PrivKeyBytes})
		c.same("checksum", u.CheckSum[:len(k.CheckSum)], k.CheckSum)
		if len(u.UnwrappedBytes) == 0 {
			c.Error("no UnwrappedBytes")
		}
		_, err := js(c, "RewrapKeyBlob", &pb.LogoutRequest{}, &pb.RewrapKeyBlobResponse{}, numbered{1: k.KeyBytes})
		c.want("a rewrap before a rotation", rv(err), ck.CKR_IBM_WK_NOT_INITIALIZED)
	})
}
