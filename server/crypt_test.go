package server

import (
	"bytes"
	"context"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Each mechanism runs in the three flows of grep11-wire 12: Single, Init and
// one part, Init and parts; what one flow encrypted, the others decrypt.
func TestWhatIsEncryptedIsDecrypted(t *testing.T) {
	c, _ := crypto(t)
	iv := bytes.Repeat([]byte{7}, 16)
	des := must[*pb.GenerateKeyResponse](t)(c.GenerateKey(t.Context(), &pb.GenerateKeyRequest{
		Mech: mechanism(ck.CKM_DES3_KEY_GEN), Template: wireTemplate(usageAES)})) // VALUE_LEN 32 is ignored
	aes := aesKey(t, c, usageAES)
	rsa := keyPair(t, c, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPublic, rsaPrivate)
	gcm, err := wire.EncodeMechanism(mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: iv[:12], TagBits: 128}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		mech     *pb.Mechanism
		enc, dec *pb.KeyBlob
		single   bool
	}{
		{"AES CBC_PAD", withBytes(ck.CKM_AES_CBC_PAD, iv), aes.Key, aes.Key, false},
		{"DES3 CBC_PAD", withBytes(ck.CKM_DES3_CBC_PAD, iv[:8]), des.Key, des.Key, false},
		{"AES GCM", gcm, aes.Key, aes.Key, false},
		{"RSA PKCS#1", mechanism(ck.CKM_RSA_PKCS), rsa.PubKey, rsa.PrivKey, true},
		{"RSA OAEP", &pb.Mechanism{Mechanism: uint64(ck.CKM_RSA_PKCS_OAEP), Parameter: &pb.Mechanism_RSAOAEPParameter{
			RSAOAEPParameter: &pb.RSAOAEPParm{HashMech: uint64(ck.CKM_SHA_1), Mgf: pb.RSAOAEPParm_CkgMgf1Sha1}}}, rsa.PubKey, rsa.PrivKey, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			enc := flows(c, row.mech, row.enc, true)
			dec := flows(c, row.mech, row.dec, false)
			for how, e := range enc {
				ciphered, err := e(helloMessage)
				if row.single && how == "parts" {
					if err == nil {
						t.Error("a mechanism without parts took parts")
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				for back, d := range dec {
					plain, err := d(ciphered)
					if row.single && back == "parts" {
						continue
					}
					if err != nil || !bytes.Equal(plain, helloMessage) {
						t.Errorf("encrypted by %s, decrypted by %s: %q, %v", how, back, plain, err)
					}
				}
			}
		})
	}
}

type flow = func(data []byte) ([]byte, error)

// flows are the three ways to run an operation; parts are cut at 20 bytes,
// which is no block boundary.
func flows(c pb.CryptoClient, m *pb.Mechanism, k *pb.KeyBlob, encrypt bool) map[string]flow {
	ctx := context.Background()
	if encrypt {
		return map[string]flow{
			"single": func(d []byte) ([]byte, error) {
				r, err := c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: m, Key: k, Plain: d})
				return r.GetCiphered(), err
			},
			"one part": func(d []byte) ([]byte, error) {
				s, err := c.EncryptInit(ctx, &pb.EncryptInitRequest{Mech: m, Key: k})
				if err != nil {
					return nil, err
				}
				r, err := c.Encrypt(ctx, &pb.EncryptRequest{State: s.State, Plain: d})
				return r.GetCiphered(), err
			},
			"parts": func(d []byte) ([]byte, error) {
				s, err := c.EncryptInit(ctx, &pb.EncryptInitRequest{Mech: m, Key: k})
				if err != nil {
					return nil, err
				}
				return inParts(d, s.State, func(state, part []byte) ([]byte, []byte, error) {
					r, err := c.EncryptUpdate(ctx, &pb.EncryptUpdateRequest{State: state, Plain: part})
					return r.GetState(), r.GetCiphered(), err
				}, func(state []byte) ([]byte, error) {
					r, err := c.EncryptFinal(ctx, &pb.EncryptFinalRequest{State: state})
					return r.GetCiphered(), err
				})
			},
		}
	}
	return map[string]flow{
		"single": func(d []byte) ([]byte, error) {
			r, err := c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: m, Key: k, Ciphered: d})
			return r.GetPlain(), err
		},
		"one part": func(d []byte) ([]byte, error) {
			s, err := c.DecryptInit(ctx, &pb.DecryptInitRequest{Mech: m, Key: k})
			if err != nil {
				return nil, err
			}
			r, err := c.Decrypt(ctx, &pb.DecryptRequest{State: s.State, Ciphered: d})
			return r.GetPlain(), err
		},
		"parts": func(d []byte) ([]byte, error) {
			s, err := c.DecryptInit(ctx, &pb.DecryptInitRequest{Mech: m, Key: k})
			if err != nil {
				return nil, err
			}
			return inParts(d, s.State, func(state, part []byte) ([]byte, []byte, error) {
				r, err := c.DecryptUpdate(ctx, &pb.DecryptUpdateRequest{State: state, Ciphered: part})
				return r.GetState(), r.GetPlain(), err
			}, func(state []byte) ([]byte, error) {
				r, err := c.DecryptFinal(ctx, &pb.DecryptFinalRequest{State: state})
				return r.GetPlain(), err
			})
		},
	}
}

func inParts(data, state []byte, update func(state, part []byte) (next, out []byte, err error), final func(state []byte) ([]byte, error)) ([]byte, error) {
	var all []byte
	for _, part := range [][]byte{data[:20], data[20:21], data[21:]} {
		next, out, err := update(state, part)
		if err != nil {
			return nil, err
		}
		state, all = next, append(all, out...)
	}
	out, err := final(state)
	return append(all, out...), err
}

func TestReencryptMovesDataBetweenKeys(t *testing.T) {
	c, _ := crypto(t)
	a, b := aesKey(t, c, usageAES), aesKey(t, c, usageAES)
	from := withBytes(ck.CKM_AES_CBC_PAD, bytes.Repeat([]byte{1}, 16))
	to := withBytes(ck.CKM_AES_CBC_PAD, bytes.Repeat([]byte{2}, 16))
	e := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(t.Context(), &pb.EncryptSingleRequest{Mech: from, Key: a.Key, Plain: helloMessage}))
	r := must[*pb.ReencryptSingleResponse](t)(c.ReencryptSingle(t.Context(), &pb.ReencryptSingleRequest{
		DecMech: from, EncMech: to, Ciphered: e.Ciphered, DecKey: a.Key, EncKey: b.Key}))
	d := must[*pb.DecryptSingleResponse](t)(c.DecryptSingle(t.Context(), &pb.DecryptSingleRequest{Mech: to, Key: b.Key, Ciphered: r.Reciphered}))
	if !bytes.Equal(d.Plain, helloMessage) {
		t.Errorf("came back as %q", d.Plain)
	}
}

func TestAStateMayBeUsedTwiceAndOnlyByItsFamily(t *testing.T) {
	c, _ := crypto(t)
	k := aesKey(t, c, usageAES)
	m := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	s := must[*pb.EncryptInitResponse](t)(c.EncryptInit(t.Context(), &pb.EncryptInitRequest{Mech: m, Key: k.Key}))
	a := must[*pb.EncryptResponse](t)(c.Encrypt(t.Context(), &pb.EncryptRequest{State: s.State, Plain: helloMessage}))
	b := must[*pb.EncryptResponse](t)(c.Encrypt(t.Context(), &pb.EncryptRequest{State: s.State, Plain: helloMessage}))
	if !bytes.Equal(a.Ciphered, b.Ciphered) {
		t.Error("the same state gave two results")
	}
	_, err := c.Sign(t.Context(), &pb.SignRequest{State: s.State, Data: helloMessage})
	if detail(t, err).Code == 0 {
		t.Error("Sign took an encryption's state")
	}
}
