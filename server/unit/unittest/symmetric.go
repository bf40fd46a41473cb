package unittest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// text is as long as none of the blocks.
var text = []byte("The quick brown fox jumps over the lazy dog, and then again over another one that is lazy too.")

func testDigests(t *testing.T, k *kit) {
	for m, row := range k.listed {
		if row.Use&ck.CKF_DIGEST == 0 {
			continue
		}
		h := row.Hash.New()
		h.Write(text)
		got, err := k.Single(ctx, mech.OpDigest, mech.Mechanism{Type: m}, nil, unit.Input{Data: text})
		if err != nil || !bytes.Equal(got, h.Sum(nil)) {
			t.Errorf("%v: %x, %v", m, got, err)
		}
		got, err = k.inParts(mech.OpDigest, mech.Mechanism{Type: m}, nil, text)
		if err != nil || !bytes.Equal(got, h.Sum(nil)) {
			t.Errorf("%v in parts: %x, %v", m, got, err)
		}
	}
}

func testMACs(t *testing.T, k *kit) {
	for m, row := range k.listed {
		if row.Out != mech.OutHash || row.Use&ck.CKF_SIGN == 0 {
			continue
		}
		for _, n := range []int{1, 20, 64, 65, 200} {
			secret := bytes.Repeat([]byte{0x5a}, n)
			key, err := k.secret(ck.CKK_GENERIC_SECRET, secret)
			if err != nil {
				t.Fatal(err)
			}
			h := hmac.New(row.Hash.New, secret)
			h.Write(text)
			got, err := k.sign(mech.Mechanism{Type: m}, key.Blob, text)
			if err != nil || !bytes.Equal(got, h.Sum(nil)) {
				t.Errorf("%v with %d bytes: %x, %v", m, n, got, err)
			}
			got, err = k.inParts(mech.OpSign, mech.Mechanism{Type: m}, key.Blob, text)
			if err != nil || !bytes.Equal(got, h.Sum(nil)) {
				t.Errorf("%v in parts: %x, %v", m, got, err)
			}
			got[0] ^= 1
			if err := k.verify(mech.Mechanism{Type: m}, key.Blob, text, got); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
				t.Errorf("%v, altered MAC: %v", m, err)
			}
			if err := k.verify(mech.Mechanism{Type: m}, key.Blob, text, got[1:]); !errors.Is(err, ck.CKR_SIGNATURE_LEN_RANGE) {
				t.Errorf("%v, short MAC: %v", m, err)
			}
		}
	}
}

// ciphers compares each with Go's crypto over whole blocks and with padding.
func testCiphers(t *testing.T, k *kit) {
	iv := []byte("0123456789abcdef")
	for _, c := range []struct {
		name    string
		mech    ck.MechanismType
		typ     ck.KeyType
		value   []byte
		padded  bool
		encrypt func(b cipher.Block, dst, src []byte)
	}{
		{"AES-128-CBC", ck.CKM_AES_CBC, ck.CKK_AES, bytes.Repeat([]byte{1}, 16), false, goCBC},
		{"AES-192-CBC", ck.CKM_AES_CBC, ck.CKK_AES, bytes.Repeat([]byte{1}, 24), false, goCBC},
		{"AES-256-CBC padded", ck.CKM_AES_CBC_PAD, ck.CKK_AES, bytes.Repeat([]byte{1}, 32), true, goCBC},
		{"AES-256-ECB", ck.CKM_AES_ECB, ck.CKK_AES, bytes.Repeat([]byte{1}, 32), false, goECB},
		{"3DES-CBC", ck.CKM_DES3_CBC, ck.CKK_DES3, []byte("\x01\x23\x45\x67\x89\xab\xcd\xef\x10\x32\x54\x76\x98\xba\xdc\xfe\x02\x20\x45\x67\x89\xab\xcd\xef"), false, goCBC},
		{"3DES-CBC padded", ck.CKM_DES3_CBC_PAD, ck.CKK_DES3, []byte("\x01\x23\x45\x67\x89\xab\xcd\xef\x10\x32\x54\x76\x98\xba\xdc\xfe\x02\x20\x45\x67\x89\xab\xcd\xef"), true, goCBC},
		{"3DES-ECB of two keys", ck.CKM_DES3_ECB, ck.CKK_DES2, []byte("\x01\x23\x45\x67\x89\xab\xcd\xef\x10\x32\x54\x76\x98\xba\xdc\xfe"), false, goECB},
	} {
		if !k.has(c.mech) {
			continue
		}
		block := goBlock(t, c.typ, c.value)
		m := mech.Mechanism{Type: c.mech}
		if k.listed[c.mech].Param == mech.ParamIV {
			m.Param = mech.IV(iv[:block.BlockSize()])
		}
		plain := text
		want := bytes.Clone(text[:len(text)/16*16])
		if c.padded {
			n := block.BlockSize() - len(text)%block.BlockSize()
			want = append(bytes.Clone(text), bytes.Repeat([]byte{byte(n)}, n)...)
		} else {
			plain = want
		}
		want = bytes.Clone(want)
		c.encrypt(block, want, want)
		key, err := k.secret(c.typ, c.value)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		k.testCipher(t, c.name, m, key.Blob, plain, want)
	}
}

// testCipher goes there and back, whole and in parts.
func (k *kit) testCipher(t *testing.T, name string, m mech.Mechanism, key unit.Blob, plain, want []byte) {
	t.Helper()
	for _, op := range []mech.Op{mech.OpEncrypt, mech.OpDecrypt} {
		from, to := plain, want
		if op == mech.OpDecrypt {
			from, to = want, plain
		}
		got, err := k.Single(ctx, op, m, key, unit.Input{Data: from})
		if err != nil || !bytes.Equal(got, to) {
			t.Errorf("%s, %v: %x, %v", name, op, got, err)
		}
		if k.listed[m.Type].Single {
			continue
		}
		if got, err = k.inParts(op, m, key, from); err != nil || !bytes.Equal(got, to) {
			t.Errorf("%s, %v in parts: %x, %v", name, op, got, err)
		}
	}
}

func goBlock(t *testing.T, typ ck.KeyType, v []byte) (b cipher.Block) {
	var err error
	switch typ {
	case ck.CKK_AES:
		b, err = aes.NewCipher(v)
	case ck.CKK_DES2:
		b, err = des.NewTripleDESCipher(append(bytes.Clone(v), v[:8]...))
	default:
		b, err = des.NewTripleDESCipher(v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goCBC(b cipher.Block, dst, src []byte) {
	cipher.NewCBCEncrypter(b, []byte("0123456789abcdef")[:b.BlockSize()]).CryptBlocks(dst, src)
}

func goECB(b cipher.Block, dst, src []byte) {
	for i := 0; i < len(src); i += b.BlockSize() {
		b.Encrypt(dst[i:], src[i:])
	}
}

func testGCM(t *testing.T, k *kit) {
	value := bytes.Repeat([]byte{3}, 32)
	key, err := k.secret(ck.CKK_AES, value)
	if err != nil {
		t.Fatal(err)
	}
	block := goBlock(t, ck.CKK_AES, value)
	if k.has(ck.CKM_AES_CTR) {
		counter := bytes.Repeat([]byte{0xff}, 16)
		want := make([]byte, len(text))
		cipher.NewCTR(block, counter).XORKeyStream(want, text)
		k.testCipher(t, "CTR", mech.Mechanism{Type: ck.CKM_AES_CTR, Param: &mech.CTR{Bits: 128, Block: [16]byte(counter)}}, key.Blob, text, want)
		k.testShortCounter(t, block, key.Blob)
	}
	if !k.has(ck.CKM_AES_GCM) {
		return
	}
	for _, n := range []int{1, 12, 16, 60} {
		iv := bytes.Repeat([]byte{9}, n)
		aead, err := cipher.NewGCMWithNonceSize(block, n)
		if err != nil {
			t.Fatal(err)
		}
		m := mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: iv, AAD: text[:21], TagBits: 128}}
		want := aead.Seal(nil, iv, text, text[:21])
		k.testCipher(t, "GCM", m, key.Blob, text, want)
		want[3] ^= 1
		if _, err := k.Single(ctx, mech.OpDecrypt, m, key.Blob, unit.Input{Data: want}); !errors.Is(err, ck.CKR_ENCRYPTED_DATA_INVALID) {
			t.Errorf("altered ciphertext: %v", err)
		}
		if _, err := k.inParts(mech.OpDecrypt, m, key.Blob, want); !errors.Is(err, ck.CKR_ENCRYPTED_DATA_INVALID) {
			t.Errorf("altered ciphertext in parts: %v", err)
		}
	}
}

// testShortCounter: a counter of 4 bits wraps among them and ends after 16 blocks.
func (k *kit) testShortCounter(t *testing.T, block cipher.Block, key unit.Blob) {
	start := [16]byte(bytes.Repeat([]byte{0xa5}, 16))
	m := mech.Mechanism{Type: ck.CKM_AES_CTR, Param: &mech.CTR{Bits: 4, Block: start}}
	data := make([]byte, 16*16)
	want := make([]byte, 0, len(data))
	for i := range byte(16) {
		c := start
		c[15] = c[15]&0xf0 | (c[15]+i)&0x0f
		block.Encrypt(c[:], c[:])
		want = append(want, c[:]...)
	}
	k.testCipher(t, "CTR of 4 bits", m, key, data, want)
	if _, err := k.Single(ctx, mech.OpEncrypt, m, key, unit.Input{Data: append(data, 0)}); !errors.Is(err, ck.CKR_DATA_LEN_RANGE) {
		t.Errorf("a byte beyond the last counter: %v", err)
	}
}

func testReencrypt(t *testing.T, k *kit) {
	a, b := k.aes(t), k.aes(t)
	iv := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: mech.IV("fedcba9876543210")}
	c, err := k.Single(ctx, mech.OpEncrypt, cbcPad, a.Blob, unit.Input{Data: text})
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.Reencrypt(ctx, cbcPad, a.Blob, iv, b.Blob, c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Single(ctx, mech.OpDecrypt, iv, b.Blob, unit.Input{Data: out})
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := k.Reencrypt(ctx, iv, a.Blob, iv, b.Blob, c[:len(c)-16]); !errors.Is(err, ck.CKR_ENCRYPTED_DATA_INVALID) {
		t.Errorf("wrong padding: %v", err)
	}
}
