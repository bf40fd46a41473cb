package command

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"testing"

	"grep11/pkcs11/ck"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestKeyWrapVectors(t *testing.T) {
	for _, v := range []struct{ name, kek, key, wrapped string }{ // RFC 3394 §4.3, §4.6
		{"128 bits under 256", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
			"00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"256 bits under 256", "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
			"00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, err := wrapKey(unhex(v.kek), unhex(v.key))
			if err != nil || !bytes.Equal(got, unhex(v.wrapped)) {
				t.Fatalf("wrapped %X, %v", got, err)
			}
			back, err := unwrapKey(unhex(v.kek), got)
			if err != nil || !bytes.Equal(back, unhex(v.key)) {
				t.Fatalf("unwrapped %X, %v", back, err)
			}
			got[3] ^= 1
			if _, err := unwrapKey(unhex(v.kek), got); err == nil {
				t.Fatal("an altered key was unwrapped")
			}
		})
	}
}

// NIST CAVP, ANSI X9.63-2001 KDF, SHA-256 and SHA-512 (ansx963_2001.rsp), first
// vectors without and with shared info.
func TestKDFVectors(t *testing.T) {
	for _, v := range []struct {
		name              string
		hash              crypto.Hash
		secret, info, key string
	}{
		{"SHA-256", crypto.SHA256, "96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		{"SHA-256 with shared info", crypto.SHA256, "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
			"c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
	} {
		t.Run(v.name, func(t *testing.T) {
			want := unhex(v.key)
			if got := kdfX963(v.hash, unhex(v.secret), unhex(v.info), len(want)); !bytes.Equal(got, want) {
				t.Errorf("got %x", got)
			}
		})
	}
}

func TestBlocksRoundTrip(t *testing.T) {
	c := &Command{XCP_ADM_COMMIT_WK, Domain{3, 4}.Bytes(), Module{Instance: 1}.Bytes(), make([]byte, LenCounter), []byte("pay")}
	// SEQUENCE of five OCTET STRINGs, written out by hand.
	want := unhex("3039" + "04040000000d" + "04080000000300000004" + "0410" + "000000000000000000000000" + "00000001" +
		"0410" + "00000000000000000000000000000000" + "0403706179")
	if got := c.Marshal(); !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	back, err := ParseCommand(want)
	if err != nil || !bytes.Equal(back.Marshal(), want) {
		t.Fatal(err)
	}
	r := &Response{c.Function, c.Domain, c.Module, c.Counter, ck.CKR_IBM_WK_NOT_INITIALIZED, nil}
	got, err := ParseResponse(r.Marshal())
	if err != nil || got.Return != r.Return {
		t.Fatal(got, err)
	}
}

func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]crypto.Signer{"RSA": r, "Ed25519": e}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if all[c.Params().Name], err = ecdsa.GenerateKey(c, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestSignaturesVerifyAndOnlyTheirOwn(t *testing.T) {
	block := []byte("a command block")
	all := keys(t)
	for name, key := range all {
		t.Run(name, func(t *testing.T) {
			der, err := Sign(rand.Reader, key, block)
			if err != nil {
				t.Fatal(err)
			}
			two, err := ParseSignatures(append(der, der...))
			if err != nil || len(two) != 2 {
				t.Fatal(err)
			}
			if ski, _ := SKIOf(key.Public()); two[0].Signer != ski {
				t.Error("wrong signer")
			}
			for other, k := range all {
				if ok := two[1].Verify(k.Public(), block); ok != (other == name) {
					t.Errorf("with the key of %s: %v", other, ok)
				}
			}
			if two[0].Verify(key.Public(), append(block, 0)) {
				t.Error("another block verifies")
			}
		})
	}
}

func TestControlPointBits(t *testing.T) {
	s := SetOf(XCP_CPB_ADD_CPBS, XCP_CPB_SKIP_KEYTESTS, XCP_CPB_ALG_EC_PAIRING_FRIENDLY)
	if got := s.String(); got != "80010000000000000008000000000000" {
		t.Error(got)
	}
	if s.Has(XCP_CPB_DELETE_CPBS) || !s.Has(XCP_CPB_ADD_CPBS) || s.Has(200) || len(s.Points()) != 3 {
		t.Error("wrong members")
	}
	for name, p := range Profiles {
		if err := p.Consistent(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ProfileOf(p) != name {
			t.Errorf("%s is taken for %s", name, ProfileOf(p))
		}
	}
	// What the public GREP11 example suite needs (ep11 administration).
	for _, n := range []ControlPoint{2, 13, 16, 17, 20, 21, 22, 24, 34, 35, 36, 39, 41, 44, 46, 48, 55, 60, 61, 65, 66, 67, 68, 69, 71, 74, 76} {
		if !Profiles["compatible"].Has(n) {
			t.Errorf("compatible lacks %v", n)
		}
	}
	for _, n := range []ControlPoint{XCP_CPB_KEYSZ_80BIT, XCP_CPB_WRAP_CRYPT_KEYS, XCP_CPB_ALG_RAW_RSA} {
		if Profiles["strict"].Has(n) {
			t.Errorf("strict has %v", n)
		}
	}
}

func TestEveryReasonHasWordsAndAReturnValue(t *testing.T) {
	for _, r := range Reasons() {
		if r.Meaning() == "" || r.RV() == ck.CKR_OK || r.String() == "" {
			t.Errorf("reason %d", r)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add((&Command{XCP_ADM_DOM_ZEROIZE, make([]byte, 8), make([]byte, 16), make([]byte, 16), nil}).Marshal())
	f.Add((&Command{Function: XCP_ADMQ_WK}).Marshal())
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCommand(der)
		if err == nil && !bytes.Equal(c.Marshal(), der) {
			t.Fatalf("%x is not how %+v is encoded", der, c)
		}
		r, err := ParseResponse(der)
		if err == nil && !bytes.Equal(r.Marshal(), der) {
			t.Fatalf("%x is not how %+v is encoded", der, r)
		}
	})
}

func FuzzParseSignatures(f *testing.F) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	der, err := Sign(rand.Reader, key, []byte("block"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(append(der, der...))
	f.Fuzz(func(t *testing.T, der []byte) {
		all, err := ParseSignatures(der)
		if err == nil && len(all) > MaxSigners {
			t.Fatal("too many")
		}
		for i := range all {
			all[i].Verify(key.Public(), []byte("block"))
		}
	})
}

func FuzzParseParts(f *testing.F) {
	p := PartRequest{0, []byte("block"), []byte("signature")}
	f.Add(p.Marshal())
	f.Add(append(p.Marshal(), p.Marshal()...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if parts, err := ParseParts(payload); err == nil && (len(parts) == 0 || len(parts) > MaxParts) {
			t.Fatalf("%d parts", len(parts))
		}
		if e, err := ParseExport(payload); err == nil && !bytes.Equal(e.Marshal(), payload) {
			t.Fatal("not as encoded")
		}
		if a, err := ParseAttributes(payload); err == nil && len(a.Marshal()) != len(payload) {
			t.Fatal("attributes not as encoded")
		}
	})
}

func FuzzDecryptPart(f *testing.F) {
	ec, err := GenerateImporter(rand.Reader, XCP_IMPRKEY_EC_P256)
	if err != nil {
		f.Fatal(err)
	}
	r, err := GenerateImporter(rand.Reader, XCP_IMPRKEY_RSA_2048)
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range []crypto.PrivateKey{ec, r} {
		der, err := EncryptPart(ImporterPublic(k), make(ck.Secret, LenKey))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, k := range []crypto.PrivateKey{ec, r} {
			if part, _, err := DecryptPart(k, der); err == nil && len(part) != LenKey {
				t.Fatalf("%d bytes", len(part))
			}
		}
	})
}
