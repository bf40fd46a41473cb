package unittest

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func countUp(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// known is a row of a table of known answers.
type known struct {
	name          string
	mech          mech.Mechanism
	typ           ck.KeyType
	key           []byte
	plain, cipher string // hexadecimal
}

// testModes: modes of AES, and ChaCha20, with published vectors.
func testModes(t *testing.T, k *kit) {
	aes := unhex("2b7e151628aed2a6abf7158809cf4f3c")
	iv := mech.IV(countUp(0, 16))
	nist := "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
	teriyaki := []byte("chicken teriyaki")
	zero := mech.IV(make([]byte, 16))
	gau := "4920776f756c64206c696b65207468652047656e6572616c20476175277320436869636b656e2c20706c656173652c"
	ccm := func(nonce string, aad []byte, lenData, lenMAC uint64) mech.Mechanism {
		return mech.Mechanism{Type: ck.CKM_AES_CCM, Param: &mech.CCM{DataLen: lenData, Nonce: unhex(nonce), AAD: aad, MACLen: lenMAC}}
	}
	sunscreen := "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e"
	for _, c := range []known{
		// SP 800-38A F.4, F.3
		{"OFB", mech.Mechanism{Type: ck.CKM_AES_OFB, Param: iv}, ck.CKK_AES, aes, nist, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"},
		{"CFB of a block", mech.Mechanism{Type: ck.CKM_AES_CFB128, Param: iv}, ck.CKK_AES, aes, nist, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"},
		{"CFB of a byte", mech.Mechanism{Type: ck.CKM_AES_CFB8, Param: iv}, ck.CKK_AES, aes, nist[:36], "3b79424c9c0dd436bace9e0ed4586a4f32b9"},
		{"CFB of a bit", mech.Mechanism{Type: ck.CKM_AES_CFB1, Param: iv}, ck.CKK_AES, aes, nist[:4], "68b3"},
		// openssl enc -aes-128-cfb1
		{"CFB of a bit, longer", mech.Mechanism{Type: ck.CKM_AES_CFB1, Param: iv}, ck.CKK_AES, aes, nist, "68b3a264f838f5f8c3101070d1ab4c2e22e7f950383a0b71ade4fad0095cb188"},
		// RFC 3962 B, its last two blocks in the order of CBC-CS1
		{"CTS of 17 bytes", mech.Mechanism{Type: ck.CKM_AES_CTS, Param: zero}, ck.CKK_AES, teriyaki, gau[:34], "97" + "c6353568f2bf8cb4d8a580362da7ff7f"},
		{"CTS of 31 bytes", mech.Mechanism{Type: ck.CKM_AES_CTS, Param: zero}, ck.CKK_AES, teriyaki, gau[:62], "97687268d6ecccc0c07b25e25ecfe5" + "fc00783e0efdb2c1d445d4c8eff7ed22"},
		{"CTS of two blocks", mech.Mechanism{Type: ck.CKM_AES_CTS, Param: zero}, ck.CKK_AES, teriyaki, gau[:64], "97687268d6ecccc0c07b25e25ecfe584" + "39312523a78662d5be7fcbcc98ebf5a8"},
		{"CTS of 47 bytes", mech.Mechanism{Type: ck.CKM_AES_CTS, Param: zero}, ck.CKK_AES, teriyaki, gau, "97687268d6ecccc0c07b25e25ecfe584" + "39312523a78662d5be7fcbcc98ebf5" + "b3fffd940c16a18c1b5549d2f838029e"},
		// RFC 3610 packet vector 1; SP 800-38C examples 1 and 4
		{"CCM of RFC 3610", ccm("00000003020100a0a1a2a3a4a5", countUp(0, 8), 23, 8), ck.CKK_AES, countUp(0xc0, 16), "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e", "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"},
		{"CCM with a short nonce", ccm("10111213141516", countUp(0, 8), 4, 4), ck.CKK_AES, countUp(0x40, 16), "20212223", "7162015b4dac255d"},
		{"CCM with long additional data", ccm("101112131415161718191a1b1c", countUp(0, 65536), 32, 14), ck.CKK_AES, countUp(0x40, 16), "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
			"69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72b4ac6bec93e8598e7f0dadbcea5b"},
		// RFC 8439 2.4.2 and 2.8.2
		{"ChaCha20", mech.Mechanism{Type: ck.CKM_CHACHA20, Param: &mech.ChaCha20{Counter: 1, Nonce: unhex("000000000000004a00000000")}}, ck.CKK_CHACHA20, countUp(0, 32), sunscreen,
			"6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eedf2785e42874d"},
		{"ChaCha20-Poly1305", mech.Mechanism{Type: ck.CKM_CHACHA20_POLY1305, Param: &mech.ChaCha{Nonce: unhex("070000004041424344454647"), AAD: unhex("50515253c0c1c2c3c4c5c6c7")}}, ck.CKK_CHACHA20, countUp(0x80, 32), sunscreen,
			"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"},
		// openssl enc -chacha20: two blocks over the end of the counter's lower half
		{"ChaCha20 with a counter of 64 bits", mech.Mechanism{Type: ck.CKM_CHACHA20, Param: &mech.ChaCha20{Counter: 0xffffffff, Nonce: countUp(0, 8)}}, ck.CKK_CHACHA20, countUp(0, 32), hexZeros(128),
			"a2b8d04b13877b4a7013cb9031e4b70836e9705a9691bd18f8fca48502eacdcae0b8faaeef6c5dfee436afd8268aa6385dabb2855761127a3946b50d649f9a4b" +
				"2fcab2c09a960545c6f57e9269ebc22b4ed12782e66dc4cb612536f5cdbed4bcba16af8a92140bf4ded4808af8eee82bd0f18fbb64f073c2a547bc2372528f36"},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		key, err := k.secret(c.typ, c.key)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		k.testCipher(t, c.name, c.mech, key.Blob, unhex(c.plain), unhex(c.cipher))
	}
	testCFB64(t, k)
	testRefusedModes(t, k)
}

func hexZeros(n int) string { return string(bytes.Repeat([]byte("00"), n)) }

// testCFB64 compares with Go's CFB of the same segment, made of one block at a time.
func testCFB64(t *testing.T, k *kit) {
	if !k.has(ck.CKM_AES_CFB64) {
		return
	}
	value := countUp(7, 32)
	key, err := k.secret(ck.CKK_AES, value)
	if err != nil {
		t.Fatal(err)
	}
	block := goBlock(t, ck.CKK_AES, value)
	reg, out := countUp(0, 16), make([]byte, 0, len(text))
	for rest := text; len(rest) > 0; {
		var o [16]byte
		block.Encrypt(o[:], reg)
		n := min(8, len(rest))
		for i := range n {
			out = append(out, rest[i]^o[i])
		}
		reg, rest = append(reg[n:], out[len(out)-n:]...), rest[n:]
	}
	k.testCipher(t, "CFB of half a block", mech.Mechanism{Type: ck.CKM_AES_CFB64, Param: mech.IV(countUp(0, 16))}, key.Blob, text, out)
}

// testRefusedModes: altered data, wrong lengths and parameters.
func testRefusedModes(t *testing.T, k *kit) {
	aes, err := k.secret(ck.CKK_AES, countUp(0, 16))
	if err != nil {
		t.Fatal(err)
	}
	ccm := mech.Mechanism{Type: ck.CKM_AES_CCM, Param: &mech.CCM{DataLen: 4, Nonce: countUp(0, 12), MACLen: 8}}
	chacha := mech.Mechanism{Type: ck.CKM_CHACHA20_POLY1305, Param: &mech.ChaCha{Nonce: countUp(0, 12)}}
	stream := mech.Mechanism{Type: ck.CKM_CHACHA20, Param: &mech.ChaCha20{Counter: 0xffffffff, Nonce: countUp(0, 12)}}
	cts := mech.Mechanism{Type: ck.CKM_AES_CTS, Param: zeroIV}
	var ccKey unit.Key
	if k.has(ck.CKM_CHACHA20_KEY_GEN) {
		ccKey = k.generate(t, ck.CKM_CHACHA20_KEY_GEN, ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true))
	}
	for _, c := range []struct {
		name string
		op   mech.Op
		mech mech.Mechanism
		key  unit.Blob
		data []byte
		want error
	}{
		{"CCM of another length than announced", mech.OpEncrypt, ccm, aes.Blob, text[:5], ck.CKR_DATA_LEN_RANGE},
		{"CCM, altered", mech.OpDecrypt, ccm, aes.Blob, text[:12], ck.CKR_ENCRYPTED_DATA_INVALID},
		{"CCM shorter than its MAC", mech.OpDecrypt, ccm, aes.Blob, text[:7], ck.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{"CCM with an odd MAC", mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CCM, Param: &mech.CCM{DataLen: 4, Nonce: countUp(0, 12), MACLen: 5}}, aes.Blob, text[:4], ck.CKR_MECHANISM_PARAM_INVALID},
		{"ChaCha20-Poly1305, altered", mech.OpDecrypt, chacha, ccKey.Blob, text[:20], ck.CKR_ENCRYPTED_DATA_INVALID},
		{"ChaCha20-Poly1305 shorter than its tag", mech.OpDecrypt, chacha, ccKey.Blob, text[:15], ck.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{"ChaCha20 to its last block", mech.OpEncrypt, stream, ccKey.Blob, text[:64], nil},
		{"ChaCha20 beyond its last block", mech.OpEncrypt, stream, ccKey.Blob, text[:65], ck.CKR_DATA_LEN_RANGE},
		{"CTS of less than a block", mech.OpEncrypt, cts, aes.Blob, text[:15], ck.CKR_DATA_LEN_RANGE},
		{"CTS of less than a block, decrypted", mech.OpDecrypt, cts, aes.Blob, text[:15], ck.CKR_ENCRYPTED_DATA_LEN_RANGE},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		if _, err := k.Single(ctx, c.op, c.mech, c.key, unit.Input{Data: c.data}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := k.inParts(c.op, c.mech, c.key, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s, in parts: %v", c.name, err)
		}
	}
}

// testGeneralMACs: MACs of any length are the starts of whole ones; GMAC is the
// tag of GCM over no data; SipHash as OpenSSL computes it.
func testGeneralMACs(t *testing.T, k *kit) {
	secret := countUp(1, 24)
	for m, row := range k.listed {
		if row.Param != mech.ParamMACLen || row.Hash == 0 {
			continue
		}
		key, err := k.secret(ck.CKK_GENERIC_SECRET, secret)
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(row.Hash.New, secret)
		h.Write(text)
		for _, n := range []int{1, 4, row.Hash.Size()} {
			k.testMAC(t, mech.Mechanism{Type: m, Param: &mech.MACLen{Bytes: uint64(n)}}, key.Blob, text, h.Sum(nil)[:n])
		}
		if _, err := k.sign(mech.Mechanism{Type: m, Param: &mech.MACLen{Bytes: uint64(row.Hash.Size() + 1)}}, key.Blob, text); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%v longer than the hash: %v", m, err)
		}
	}
	msg := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
	for _, c := range []struct {
		mech mech.Mechanism
		typ  ck.KeyType
		key  string
		msg  []byte
		mac  string
	}{
		{mech.Mechanism{Type: ck.CKM_AES_CMAC_GENERAL, Param: &mech.MACLen{Bytes: 8}}, ck.CKK_AES, "2b7e151628aed2a6abf7158809cf4f3c", msg, "dfa66747de9ae630"},
		{mech.Mechanism{Type: ck.CKM_DES3_CMAC_GENERAL, Param: &mech.MACLen{Bytes: 4}}, ck.CKK_DES3, "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5", msg[:20], "743ddbe0"},
		{mech.Mechanism{Type: ck.CKM_IBM_SIPHASH}, ck.CKK_GENERIC_SECRET, "000102030405060708090a0b0c0d0e0f", countUp(0, 15), "e545be4961ca29a1"},
		{mech.Mechanism{Type: ck.CKM_IBM_SIPHASH, Param: &mech.SipHash{Word: 2, End: 4, Bytes: 16}}, ck.CKK_GENERIC_SECRET, "000102030405060708090a0b0c0d0e0f", countUp(0, 15), "5493e99933b0a8117e08ec0f97cfc3d9"},
		{mech.Mechanism{Type: ck.CKM_IBM_SIPHASH, Param: &mech.SipHash{Word: 4, End: 8, Bytes: 8}}, ck.CKK_GENERIC_SECRET, "000102030405060708090a0b0c0d0e0f", countUp(0, 15), "e0a6a97dd589d383"},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		key, err := k.secret(c.typ, unhex(c.key))
		if err != nil {
			t.Fatal(err)
		}
		k.testMAC(t, c.mech, key.Blob, c.msg, unhex(c.mac))
	}
	testGMAC(t, k)
}

func testGMAC(t *testing.T, k *kit) {
	if !k.has(ck.CKM_AES_GMAC) {
		return
	}
	key, err := k.secret(ck.CKK_AES, countUp(0, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{12, 16, 60} {
		iv := countUp(9, n)
		aead, err := cipher.NewGCMWithNonceSize(goBlock(t, ck.CKK_AES, countUp(0, 32)), n)
		if err != nil {
			t.Fatal(err)
		}
		tag := aead.Seal(nil, iv, nil, text)
		for _, bits := range []uint64{128, 96} {
			k.testMAC(t, mech.Mechanism{Type: ck.CKM_AES_GMAC, Param: &mech.GCM{IV: iv, TagBits: bits}}, key.Blob, text, tag[:bits/8])
		}
	}
	m := mech.Mechanism{Type: ck.CKM_AES_GMAC, Param: &mech.GCM{IV: countUp(0, 12), AAD: text, TagBits: 128}}
	if _, err := k.sign(m, key.Blob, text); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
		t.Errorf("GMAC with additional data: %v", err)
	}
}

// testMAC makes and checks a MAC, whole and in parts.
func (k *kit) testMAC(t *testing.T, m mech.Mechanism, key unit.Blob, msg, want []byte) {
	t.Helper()
	got, err := k.sign(m, key, msg)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: %x, %v", m, got, err)
	}
	if got, err = k.inParts(mech.OpSign, m, key, msg); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v in parts: %x, %v", m, got, err)
	}
	if err := k.verify(m, key, msg, want); err != nil {
		t.Errorf("%v: %v", m, err)
	}
	bad := bytes.Clone(want)
	bad[0] ^= 1
	if err := k.verify(m, key, msg, bad); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
		t.Errorf("%v, altered: %v", m, err)
	}
	if err := k.verify(m, key, msg, append(bad, 0)); !errors.Is(err, ck.CKR_SIGNATURE_LEN_RANGE) {
		t.Errorf("%v, longer: %v", m, err)
	}
}
