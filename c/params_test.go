package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"unsafe"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// words lays out CK_ULONGs and pointers as C does.
func words(w ...uintptr) []byte {
	var b []byte
	for _, v := range w {
		b = binary.NativeEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func rawOf(b []byte) raw { return raw{unsafe.Pointer(unsafe.SliceData(b)), uint64(len(b))} }

// text is memory that a parameter points to, kept by the test.
func text(p *runtime.Pinner, s string) uintptr {
	b := []byte(s)
	p.Pin(unsafe.SliceData(b))
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

func TestDecodeParam(t *testing.T) {
	var p runtime.Pinner
	defer p.Unpin()
	iv, aad := text(&p, "twelve bytes"), text(&p, "more")
	var block [16]byte
	copy(block[:], "counter block...")
	for _, row := range []struct {
		what string
		typ  ck.MechanismType
		in   []byte
		want mech.Param
	}{
		{"an IV", ck.CKM_AES_CBC, []byte("sixteen bytes iv"), mech.IV("sixteen bytes iv")},
		{"no parameter at all", ck.CKM_AES_CBC, nil, nil},
		{"no parameter wanted", ck.CKM_ECDSA, nil, nil},
		{"PSS", ck.CKM_RSA_PKCS_PSS, words(0x250, 2, 32), &mech.PSS{Hash: ck.CKM_SHA256, MGF: 2, SaltLen: 32}},
		{"OAEP without a label", ck.CKM_RSA_PKCS_OAEP, words(0x220, 1, 1, 0, 0), &mech.OAEP{Hash: ck.CKM_SHA_1, MGF: 1, Source: 1}},
		{"OAEP with a label", ck.CKM_RSA_PKCS_OAEP, words(0x220, 1, 1, aad, 4), &mech.OAEP{Hash: ck.CKM_SHA_1, MGF: 1, Source: 1, Label: []byte("more")}},
		{"CTR", ck.CKM_AES_CTR, append(words(32), block[:]...), &mech.CTR{Bits: 32, Block: block}},
		{"GCM with ulIvBits", ck.CKM_AES_GCM, words(iv, 12, 96, aad, 4, 128), &mech.GCM{IV: []byte("twelve bytes"), AAD: []byte("more"), TagBits: 128}},
		{"GCM with ulIvBits left 0", ck.CKM_AES_GCM, words(iv, 12, 0, 0, 0, 96), &mech.GCM{IV: []byte("twelve bytes"), TagBits: 96}},
		{"GCM without ulIvBits", ck.CKM_AES_GCM, words(iv, 12, aad, 4, 128), &mech.GCM{IV: []byte("twelve bytes"), AAD: []byte("more"), TagBits: 128}},
		{"ECDH1", ck.CKM_ECDH1_DERIVE, words(1, 0, 0, 12, iv), &mech.ECDH1{KDF: 1, Public: []byte("twelve bytes")}},
		{"ECDH1 with shared data", ck.CKM_ECDH1_DERIVE, words(6, 4, aad, 12, iv), &mech.ECDH1{KDF: 6, Shared: []byte("more"), Public: []byte("twelve bytes")}},
		{"EdDSA with a context", ck.CKM_EDDSA, words(0, 4, aad), &mech.EdDSA{Context: []byte("more")}},
		{"EdDSA over a hash", ck.CKM_EDDSA, words(1, 0, 0), &mech.EdDSA{Prehash: true}},
		{"string data", ck.CKM_AES_ECB_ENCRYPT_DATA, words(aad, 4), mech.Raw("more")},
		{"data to encrypt under AES", ck.CKM_AES_CBC_ENCRYPT_DATA, append([]byte("sixteen bytes iv"), words(aad, 4)...), &mech.CBCData{IV: []byte("sixteen bytes iv"), Data: []byte("more")}},
		{"data to encrypt under DES", ck.CKM_DES3_CBC_ENCRYPT_DATA, append([]byte("eight iv"), words(aad, 4)...), &mech.CBCData{IV: []byte("eight iv"), Data: []byte("more")}},
		{"a MAC's length", ck.CKM_SHA256_HMAC_GENERAL, words(8), &mech.MACLen{Bytes: 8}},
		{"a bit to begin with", ck.CKM_EXTRACT_KEY_FROM_KEY, words(0), &mech.Extract{}},
		{"ChaCha20 with a counter of 32 bits", ck.CKM_CHACHA20, words(aad, 32, iv, 96), &mech.ChaCha20{Counter: 0x65726f6d, Nonce: []byte("twelve bytes")}},
		{"ChaCha20 with a counter of 64 bits", ck.CKM_CHACHA20, words(iv, 64, iv, 64), &mech.ChaCha20{Counter: 0x622065766c657774, Nonce: []byte("twelve b")}},
		{"a passport's key", ck.CKM_IBM_EAC, words(4, aad, 4, iv, 12), &mech.EAC{Variant: 4, Nonce: []byte("more"), Info: []byte("twelve bytes")}},
		{"SipHash's rounds", ck.CKM_IBM_SIPHASH, words(2, 4, 16), &mech.SipHash{Word: 2, End: 4, Bytes: 16}},
	} {
		got, err := decodeParam(row.typ, rawOf(row.in))
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %#v, %v", row.what, got, err)
		}
	}
}

func TestDecodeParamRefuses(t *testing.T) {
	for _, row := range []struct {
		what string
		typ  ck.MechanismType
		in   raw
	}{
		{"a parameter where none belongs", ck.CKM_ECDSA, rawOf([]byte{1})},
		{"an IV at NULL", ck.CKM_AES_CBC, raw{nil, 16}},
		{"an endless IV", ck.CKM_AES_CBC, raw{unsafe.Pointer(t), ^uint64(0)}},
		{"half a PSS", ck.CKM_RSA_PKCS_PSS, rawOf(words(0x250, 2))},
		{"a PSS and more", ck.CKM_RSA_PKCS_PSS, rawOf(words(0x250, 2, 32, 0))},
		{"a PSS at NULL", ck.CKM_RSA_PKCS_PSS, raw{nil, 24}},
		{"a GCM of no known size", ck.CKM_AES_GCM, rawOf(words(0, 0, 0, 0))},
		{"a GCM whose IV is at NULL", ck.CKM_AES_GCM, rawOf(words(0, 12, 96, 0, 0, 128))},
		{"a GCM whose AAD is at NULL", ck.CKM_AES_GCM, rawOf(words(0, 0, 0, 0, 4, 128))},
		{"an OAEP whose label is endless", ck.CKM_RSA_PKCS_OAEP, rawOf(words(0x220, 1, 1, 1, ^uintptr(0)))},
		{"a ChaCha20 whose counter and nonce are no block", ck.CKM_CHACHA20, rawOf(words(0, 32, 0, 64))},
		{"an ECDH1 whose public data is at NULL", ck.CKM_ECDH1_DERIVE, rawOf(words(1, 0, 0, 65, 0))},
	} {
		if _, err := decodeParam(row.typ, row.in); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}

// TestEveryParamKind: a mechanism whose parameter nobody reads would take none.
func TestEveryParamKind(t *testing.T) {
	for _, row := range mech.All() {
		if row.Param != mech.ParamNone && params[row.Param] == nil {
			t.Errorf("%v: no row in params for its parameter", row.Type)
		}
	}
}

// FuzzDecodeParam gives each mechanism a parameter of any size. Its words hold
// sizes or point to memory that is long enough for them: no crash, and whatever
// is taken was copied.
func FuzzDecodeParam(f *testing.F) {
	f.Add(uint16(32), uint8(48), []byte("C_EncryptInit with CKM_AES_GCM"))
	f.Add(uint16(3), uint8(24), []byte("C_SignInit with CKM_RSA_PKCS_PSS"))
	f.Add(uint16(22), uint8(40), []byte("C_DeriveKey with CKM_ECDH1_DERIVE"))
	f.Add(uint16(24), uint8(24), []byte{})
	f.Fuzz(func(t *testing.T, which uint16, size uint8, data []byte) {
		if row := mech.All()[int(which)%len(mech.All())]; row.Param == mech.ParamRSAAES || row.Param == mech.ParamKDF108 {
			return // structures that point to others: nobody can tell a pointer inside those from garbage
		}
		memory := append(bytes.Clone(data), make([]byte, 256)...)
		var p runtime.Pinner
		defer p.Unpin()
		p.Pin(&memory[0])
		row := mech.All()[int(which)%len(mech.All())]
		w := make([]uintptr, 32)
		for i, b := range memory[:len(w)] {
			w[i] = uintptr(b)
		}
		for _, i := range pointersAt[row.Param] {
			w[i] = uintptr(unsafe.Pointer(&memory[0]))
		}
		in := rawOf(words(w...)[:size])
		got, err := decodeParam(row.Type, in)
		if err != nil {
			return
		}
		again, _ := decodeParam(row.Type, in)
		clear(memory)
		if !reflect.DeepEqual(got, again) {
			t.Errorf("%v: %#v and then %#v", row.Type, got, again)
		}
	})
}

// pointersAt are the words of a parameter that are pointers; of the two forms
// of CK_GCM_PARAMS, in both.
var pointersAt = map[mech.ParamKind][]int{
	mech.ParamOAEP: {3}, mech.ParamGCM: {0, 2, 3}, mech.ParamECDH1: {2, 4}, mech.ParamEdDSA: {2},
	mech.ParamBTC: {2}, mech.ParamECAGG: {3}, mech.ParamKyber: {4, 6, 8}, mech.ParamCCM: {1, 3}, mech.ParamChaCha: {0, 2},
	mech.ParamHKDF: {3, 6}, mech.ParamPBE: {0, 1, 3}, mech.ParamPBKDF2: {1, 5, 7}, mech.ParamKDF108: {2, 4, 6},
	mech.ParamRSAAES: {1}, mech.ParamContext: {1}, mech.ParamHashContext: {1},
}
