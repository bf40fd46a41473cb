package unittest

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testDerivations: keys made of secret keys, with known answers.
func testDerivations(t *testing.T, k *kit) {
	key := "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	hkdf := func(extract, expand bool) *mech.HKDF {
		return &mech.HKDF{Extract: extract, Expand: expand, Hash: ck.CKM_SHA256, SaltType: uint64(ck.CKF_HKDF_SALT_DATA), Salt: countUp(0, 13), Info: countUp(0xf0, 10)}
	}
	prk, okm := "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
	ikm := "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
	fixed := []mech.KDF108Data{{Type: ck.CK_SP800_108_BYTE_ARRAY, Bytes: []byte("label\x00context")},
		{Type: ck.CK_SP800_108_DKM_LENGTH, Method: ck.CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, Bits: 32}}
	counted := append([]mech.KDF108Data{{Type: ck.CK_SP800_108_ITERATION_VARIABLE, Bits: 32}}, fixed...)
	fedBack := append([]mech.KDF108Data{{Type: ck.CK_SP800_108_ITERATION_VARIABLE}, {Type: ck.CK_SP800_108_OPTIONAL_COUNTER, Bits: 32}}, fixed...)
	kseed := "239ab9cb282daf66231dc5a4df6bfbae"
	for _, c := range []struct {
		name string
		mech mech.Mechanism
		typ  ck.KeyType
		key  string
		want string
	}{
		// RFC 5869 A.1
		{"HKDF", mech.Mechanism{Type: ck.CKM_HKDF_DERIVE, Param: hkdf(true, true)}, ck.CKK_HKDF, ikm, okm},
		{"HKDF's first half", mech.Mechanism{Type: ck.CKM_HKDF_DERIVE, Param: hkdf(true, false)}, ck.CKK_GENERIC_SECRET, ikm, prk},
		{"HKDF's second half", mech.Mechanism{Type: ck.CKM_HKDF_DERIVE, Param: hkdf(false, true)}, ck.CKK_HKDF, prk, okm},
		{"HKDF to data", mech.Mechanism{Type: ck.CKM_HKDF_DATA, Param: hkdf(true, true)}, ck.CKK_HKDF, ikm, okm},
		// openssl kdf -kdfopt hexkey:… -kdfopt hexsalt:6c6162656c -kdfopt hexinfo:636f6e74657874 KBKDF
		{"SP 800-108 by a counter", mech.Mechanism{Type: ck.CKM_SP800_108_COUNTER_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC, Data: counted}}, ck.CKK_GENERIC_SECRET, key,
			"c5115a8e2c9cf655fabbfecbe725e440a9838838f5b46130c654f368f780edd650d532c0fdeb6a35"},
		{"SP 800-108 by a counter, with CMAC", mech.Mechanism{Type: ck.CKM_SP800_108_COUNTER_KDF, Param: &mech.KDF108{PRF: ck.CKM_AES_CMAC, Data: counted}}, ck.CKK_AES, key,
			"f14b2590d159191e74c966b0ccefd4e8acc21dac50a6b9816be8a8b591834af5291ae4253390327d"},
		{"SP 800-108 by feedback", mech.Mechanism{Type: ck.CKM_SP800_108_FEEDBACK_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC, Data: fedBack, IV: countUp(0xa0, 32)}}, ck.CKK_GENERIC_SECRET, key,
			"429d4a1f9b421653d084fd6ab43e90f9b9c51c5f4cc5f6001d37b614fade3bffc70f88ab29314deb"},
		// ICAO 9303-11 D.1, before the keys get DES's parity
		{"a passport's encryption key", mech.Mechanism{Type: ck.CKM_IBM_EAC, Param: &mech.EAC{Variant: mech.EACEncrypt}}, ck.CKK_GENERIC_SECRET, kseed, "ab94fcedf2664edfb9b291f85d7f77f2"},
		{"HKDF of a passport", mech.Mechanism{Type: ck.CKM_IBM_EAC, Param: &mech.EAC{Variant: mech.EACHKDF, Nonce: countUp(0, 13), Info: countUp(0xf0, 10)}}, ck.CKK_GENERIC_SECRET, ikm, okm},
		{"base, then data", mech.Mechanism{Type: ck.CKM_CONCATENATE_BASE_AND_DATA, Param: mech.Raw("\xaa\xbb")}, ck.CKK_GENERIC_SECRET, kseed, kseed + "aabb"},
		{"data, then base", mech.Mechanism{Type: ck.CKM_CONCATENATE_DATA_AND_BASE, Param: mech.Raw("\xaa\xbb")}, ck.CKK_GENERIC_SECRET, kseed, "aabb" + kseed},
		{"base XOR data", mech.Mechanism{Type: ck.CKM_XOR_BASE_AND_DATA, Param: mech.Raw(unhex("ff00ff00ff00ff00ff00ff00ff00ff00ff"))}, ck.CKK_GENERIC_SECRET, kseed, "dc9a46cbd72d5066dc1d3aa4206b04ae"},
		{"extracted from bit 4 on", mech.Mechanism{Type: ck.CKM_EXTRACT_KEY_FROM_KEY, Param: &mech.Extract{Bit: 4}}, ck.CKK_GENERIC_SECRET, kseed, "39ab9cb282daf66231dc5a4df6bfbae2"},
		{"extracted from bit 16 on", mech.Mechanism{Type: ck.CKM_EXTRACT_KEY_FROM_KEY, Param: &mech.Extract{Bit: 16}}, ck.CKK_GENERIC_SECRET, kseed, "b9cb282daf66231dc5a4df6bfbae239a"},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		got, err := k.asReadable(c.mech, c.typ, unhex(c.key), len(c.want)/2)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if v := k.value(t, got.Blob); !bytes.Equal(v, unhex(c.want)) {
			t.Errorf("%s: %x", c.name, v)
		}
	}
	testPipeline(t, k, counted)
	testPassportKeys(t, k, unhex(kseed))
	testEncryptedData(t, k)
}

// asReadable derives from a key whose value is no secret, so that the result
// may be read whatever the mechanism keeps of its base's rights.
func (k *kit) asReadable(m mech.Mechanism, typ ck.KeyType, value []byte, n int) (unit.Key, error) {
	kek, err := k.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_ENCRYPT, true),
		ck.Bool(ck.CKA_UNWRAP, true), ck.Bool(ck.CKA_WRAP, false), ck.Bool(ck.CKA_MODIFIABLE, false)})
	if err != nil {
		return unit.Key{}, err
	}
	c, err := k.Single(ctx, mech.OpEncrypt, cbcPad, kek.Blob, unit.Input{Data: value})
	if err != nil {
		return unit.Key{}, err
	}
	base, err := k.UnwrapKey(ctx, cbcPad, c, kek.Blob, nil, ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, typ),
		ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)})
	if err != nil {
		return unit.Key{}, err
	}
	return k.DeriveKey(ctx, m, base.Blob, nil, readable(n))
}

// testPipeline recomputes SP 800-108's double pipeline from its definition.
func testPipeline(t *testing.T, k *kit, data []mech.KDF108Data) {
	m := mech.Mechanism{Type: ck.CKM_SP800_108_DOUBLE_PIPELINE_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC,
		Data: append([]mech.KDF108Data{{Type: ck.CK_SP800_108_ITERATION_VARIABLE}, {Type: ck.CK_SP800_108_OPTIONAL_COUNTER, Bits: 8}}, data[1:]...)}}
	if !k.has(m.Type) {
		return
	}
	prf := func(b ...[]byte) []byte {
		h := hmac.New(sha256.New, countUp(0, 32))
		h.Write(bytes.Join(b, nil))
		return h.Sum(nil)
	}
	fixed := binary.BigEndian.AppendUint32([]byte("label\x00context"), 40*8)
	a1 := prf(fixed)
	a2 := prf(a1)
	want := append(prf(a1, []byte{1}, fixed), prf(a2, []byte{2}, fixed)...)[:40]
	base, err := k.secret(ck.CKK_GENERIC_SECRET, countUp(0, 32))
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.DeriveKey(ctx, m, base.Blob, nil, readable(40))
	if err != nil || !bytes.Equal(k.value(t, got.Blob), want) {
		t.Errorf("double pipeline: %v", err)
	}
}

// testPassportKeys: ICAO 9303-11 D.1, the keys with parity.
func testPassportKeys(t *testing.T, k *kit, seed []byte) {
	if !k.has(ck.CKM_IBM_EAC) {
		return
	}
	base, err := k.secret(ck.CKK_GENERIC_SECRET, seed)
	if err != nil {
		t.Fatal(err)
	}
	for variant, want := range map[uint64]string{mech.EACEncrypt: "ab94fdecf2674fdfb9b391f85d7f76f2", mech.EACMAC: "7962d9ece03d1acd4c76089dce131543"} {
		got, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_EAC, Param: &mech.EAC{Variant: variant}}, base.Blob, nil, readable(0).Set(ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DES2)))
		if err != nil || !bytes.Equal(k.value(t, got.Blob), unhex(want)) {
			t.Errorf("variant %d: %v", variant, err)
		}
	}
	got, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_EAC, Param: &mech.EAC{Variant: mech.EACPassword, Nonce: text[:8]}}, base.Blob, nil, readable(32))
	want := sum(crypto.SHA256, append(append(bytes.Clone(seed), text[:8]...), 0, 0, 0, 3))
	if err != nil || !bytes.Equal(k.value(t, got.Blob), want) {
		t.Errorf("key of a password, with a nonce: %v", err)
	}
}

// testEncryptedData: keys that are data under another key, as Go encrypts it.
func testEncryptedData(t *testing.T, k *kit) {
	iv := []byte("0123456789abcdef") // goCBC's
	des := unhex("8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5")
	for _, c := range []struct {
		mech  mech.Mechanism
		typ   ck.KeyType
		value []byte
		want  func(dst []byte)
	}{
		{mech.Mechanism{Type: ck.CKM_AES_CBC_ENCRYPT_DATA, Param: &mech.CBCData{IV: iv, Data: text[:32]}}, ck.CKK_AES, countUp(0, 16),
			func(dst []byte) { goCBC(goBlock(t, ck.CKK_AES, countUp(0, 16)), dst, text[:32]) }},
		{mech.Mechanism{Type: ck.CKM_DES3_CBC_ENCRYPT_DATA, Param: &mech.CBCData{IV: iv[:8], Data: text[:32]}}, ck.CKK_DES3, des,
			func(dst []byte) { goCBC(goBlock(t, ck.CKK_DES3, des), dst, text[:32]) }},
		{mech.Mechanism{Type: ck.CKM_DES3_ECB_ENCRYPT_DATA, Param: mech.Raw(text[:32])}, ck.CKK_DES3, des,
			func(dst []byte) { goECB(goBlock(t, ck.CKK_DES3, des), dst, text[:32]) }},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		base, err := k.secret(c.typ, c.value)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 32)
		c.want(want)
		got, err := k.DeriveKey(ctx, c.mech, base.Blob, nil, readable(32))
		if err != nil || !bytes.Equal(k.value(t, got.Blob), want) {
			t.Errorf("%v: %v", c.mech, err)
		}
	}
}

// testDerivedRights: derivations that keep a key's own bits keep its rights, and
// none gives so few of them that they can be tried.
func testDerivedRights(t *testing.T, k *kit) {
	secret := k.aes(t, ck.Bool(ck.CKA_DERIVE, true))
	trusted := k.aes(t, ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true))
	hidden := func(n int) ck.Template {
		return ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Ulong(ck.CKA_VALUE_LEN, n)}
	}
	extract := mech.Mechanism{Type: ck.CKM_EXTRACT_KEY_FROM_KEY, Param: &mech.Extract{}}
	xor := mech.Mechanism{Type: ck.CKM_XOR_BASE_AND_DATA, Param: mech.Raw(make([]byte, 32))}
	short := mech.Mechanism{Type: ck.CKM_XOR_BASE_AND_DATA, Param: mech.Raw(make([]byte, 1))}
	before := mech.Mechanism{Type: ck.CKM_CONCATENATE_DATA_AND_BASE, Param: mech.Raw(make([]byte, 31))}
	after := mech.Mechanism{Type: ck.CKM_CONCATENATE_BASE_AND_DATA, Param: mech.Raw(make([]byte, 8))}
	for _, c := range []struct {
		name string
		mech mech.Mechanism
		base unit.Blob
		tmpl ck.Template
		want error
	}{
		{"half of a secret key", extract, secret.Blob, hidden(16), nil},
		{"a byte of a secret key", extract, secret.Blob, hidden(1), ck.CKR_KEY_SIZE_RANGE},
		{"a byte of a secret key, by XOR", short, secret.Blob, hidden(1), ck.CKR_KEY_SIZE_RANGE},
		{"a byte of a secret key behind known ones", before, secret.Blob, hidden(32), ck.CKR_KEY_SIZE_RANGE},
		{"a byte of a secret key before known ones", after, secret.Blob, hidden(1), ck.CKR_KEY_SIZE_RANGE},
		{"a secret key and more", after, secret.Blob, hidden(40), nil},
		{"a secret key, to be read", xor, secret.Blob, readable(32), ck.CKR_TEMPLATE_INCONSISTENT},
		{"a secret key, to be wrapped", xor, secret.Blob, hidden(32).Set(ck.Bool(ck.CKA_EXTRACTABLE, true)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"what only trusted keys wrap, for all", xor, trusted.Blob, hidden(32), ck.CKR_TEMPLATE_INCONSISTENT},
		{"what only trusted keys wrap", xor, trusted.Blob, hidden(32).Set(ck.Bool(ck.CKA_WRAP_WITH_TRUSTED, true)), nil},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		if _, err := k.DeriveKey(ctx, c.mech, c.base, nil, c.tmpl); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	testRefusedDerivations(t, k)
}

func testRefusedDerivations(t *testing.T, k *kit) {
	base := k.aes(t, ck.Bool(ck.CKA_DERIVE, true))
	iteration := mech.KDF108Data{Type: ck.CK_SP800_108_ITERATION_VARIABLE, Bits: 8}
	hkdf := &mech.HKDF{Extract: true, Hash: ck.CKM_SHA256, SaltType: uint64(ck.CKF_HKDF_SALT_NULL)}
	for _, c := range []struct {
		name string
		mech mech.Mechanism
		n    int
		want error
	}{
		{"no iteration variable", mech.Mechanism{Type: ck.CKM_SP800_108_COUNTER_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a counter of 8 bits that ends", mech.Mechanism{Type: ck.CKM_SP800_108_COUNTER_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC, Data: []mech.KDF108Data{iteration}}}, 256 * 32, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a hash as PRF", mech.Mechanism{Type: ck.CKM_SP800_108_COUNTER_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256, Data: []mech.KDF108Data{iteration}}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a number in feedback mode", mech.Mechanism{Type: ck.CKM_SP800_108_FEEDBACK_KDF, Param: &mech.KDF108{PRF: ck.CKM_SHA256_HMAC, Data: []mech.KDF108Data{iteration}}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
		{"more than HKDF extracts", mech.Mechanism{Type: ck.CKM_HKDF_DERIVE, Param: hkdf}, 33, ck.CKR_KEY_SIZE_RANGE},
		{"a bit beyond the key", mech.Mechanism{Type: ck.CKM_EXTRACT_KEY_FROM_KEY, Param: &mech.Extract{Bit: 256}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
		{"an unknown variant", mech.Mechanism{Type: ck.CKM_IBM_EAC, Param: &mech.EAC{Variant: 5}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
		{"half a block of data", mech.Mechanism{Type: ck.CKM_AES_CBC_ENCRYPT_DATA, Param: &mech.CBCData{IV: zeroIV, Data: text[:24]}}, 16, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		if _, err := k.DeriveKey(ctx, c.mech, base.Blob, nil, readable(c.n)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
