package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"slices"
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
		{"credits of a retained key", ck.CKM_IBM_RETAINKEY, words(100, aad, 4), &mech.Retain{Credits: 100, Refill: ck.Secret("more")}},
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

// TestGiveBack: a new chain code goes where its parent's was, or to the room that
// a caller gives for a master key's, and nowhere else.
func TestGiveBack(t *testing.T) {
	chain := bytes.Repeat([]byte{7}, 32)
	for _, row := range []struct {
		what    string
		length  uintptr
		address func(room uintptr) uintptr
		written bool
	}{
		{"the parent's place", 32, func(room uintptr) uintptr { return room }, true},
		{"room with a length of 0", 0, func(room uintptr) uintptr { return room }, true},
		{"a place that is too short", 31, func(room uintptr) uintptr { return room }, false},
		{"none", 0, func(uintptr) uintptr { return 0 }, false},
		{"garbage beside a length of 0", 0, func(uintptr) uintptr { return 0x10000 }, false},
	} {
		var p runtime.Pinner
		room := make([]byte, 64)
		p.Pin(&room[0])
		in := words(4, 0, row.address(uintptr(unsafe.Pointer(&room[0]))), row.length, 1)
		giveBack(rawOf(in), &mech.BTC{ChainCode: chain})
		if got := bytes.Equal(room, append(bytes.Clone(chain), make([]byte, 32)...)); got != row.written {
			t.Errorf("%s: %x", row.what, room)
		}
		p.Unpin()
	}
	giveBack(rawOf(words(1, 2)), &mech.BTC{ChainCode: chain})
	giveBack(raw{}, nil)
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
// sizes or point to memory that is long enough for them, or to structures laid
// out so: no crash, and whatever is taken was copied.
func FuzzDecodeParam(f *testing.F) {
	f.Add(uint16(32), uint8(48), []byte("C_EncryptInit with CKM_AES_GCM"))
	f.Add(uint16(3), uint8(24), []byte("C_SignInit with CKM_RSA_PKCS_PSS"))
	f.Add(uint16(22), uint8(40), []byte("C_DeriveKey with CKM_ECDH1_DERIVE"))
	f.Add(uint16(24), uint8(24), []byte{})
	for _, row := range nestedSeeds {
		f.Add(uint16(indexOf(row.typ)), row.size, row.data)
	}
	f.Fuzz(func(t *testing.T, which uint16, size uint8, data []byte) {
		row := mech.All()[int(which)%len(mech.All())]
		var p runtime.Pinner
		defer p.Unpin()
		l := newLayout(&p, data)
		in := rawOf(words(l.parameter(row.Param, size)...)[:size])
		got, err := decodeParam(row.Type, in)
		if err != nil {
			return
		}
		again, _ := decodeParam(row.Type, in)
		l.clear()
		if !reflect.DeepEqual(got, again) {
			t.Errorf("%v: %#v and then %#v", row.Type, got, again)
		}
	})
}

// nestedSeeds fill structures that point to structures: 32 words of the
// parameter come first, then those of what it points to.
var nestedSeeds = []struct {
	typ  ck.MechanismType
	size uint8
	data []byte
}{
	{ck.CKM_RSA_AES_KEY_WRAP, 16, append(first(32, 128), 0x20, 1, 1, 0, 4)},
	{ck.CKM_SP800_108_COUNTER_KDF, 40, append(first(32, 0x51, 3), 1, 0, 16, 4, 0, 5, 3, 0, 24)},
	{ck.CKM_SP800_108_FEEDBACK_KDF, 56, append(first(32, 0x51, 2, 0, 8), 1, 0, 0, 4, 0, 5)},
	{ck.CKM_PKCS5_PBKD2, 72, first(32, 1, 0, 8, 100, 4, 0, 0, 0, 1)},
}

func indexOf(t ck.MechanismType) int {
	return slices.IndexFunc(mech.All(), func(m mech.Row) bool { return m.Type == t })
}

// TestNestedSeeds: the seeds are parameters that are taken.
func TestNestedSeeds(t *testing.T) {
	for _, row := range nestedSeeds {
		var p runtime.Pinner
		in := words(newLayout(&p, row.data).parameter(mech.All()[indexOf(row.typ)].Param, row.size)...)[:row.size]
		got, err := decodeParam(row.typ, rawOf(in))
		p.Unpin()
		if err != nil {
			t.Errorf("%v: %#v, %v", row.typ, got, err)
		}
	}
}

// first is n bytes that begin with some.
func first(n int, b ...byte) []byte { return append(b, make([]byte, n-len(b))...) }

// layout is C's memory around a parameter: byte strings, structures that
// pointers point to, and lengths.
type layout struct {
	strings []byte
	nested  []uintptr
	length  *uint64
	words   []uintptr
}

// newLayout takes a byte of data per word, first the parameter's.
func newLayout(p *runtime.Pinner, data []byte) *layout {
	l := &layout{strings: append(bytes.Clone(data), make([]byte, 256)...), length: new(uint64), words: make([]uintptr, 32), nested: make([]uintptr, 3*maxKDFData)}
	for i := range l.words {
		l.words[i] = uintptr(l.strings[i])
	}
	for i := range l.nested {
		l.nested[i] = uintptr(l.strings[len(l.words)+i])
	}
	*l.length = uint64(l.strings[0])
	p.Pin(&l.strings[0])
	p.Pin(&l.nested[0])
	p.Pin(l.length)
	return l
}

func (l *layout) parameter(kind mech.ParamKind, size uint8) []uintptr {
	at := uintptr(unsafe.Pointer(&l.strings[0]))
	pointers := pointersAt[kind]
	if short, ok := shortAt[kind]; ok && short.size == size {
		pointers = short.pointers
	}
	for _, i := range pointers {
		l.words[i] = at
	}
	switch kind {
	case mech.ParamRSAAES:
		l.words[1] = uintptr(unsafe.Pointer(&l.nested[0]))
		l.nested[3] = at
	case mech.ParamKDF108:
		l.words[2] = uintptr(unsafe.Pointer(&l.nested[0]))
		for i := 1; i < len(l.nested); i += 3 {
			l.nested[i] = at
		}
	case mech.ParamPBKDF2:
		if l.words[8]%2 == 1 { // the older structure
			l.words[8] = uintptr(unsafe.Pointer(l.length))
		}
	}
	return l.words
}

func (l *layout) clear() {
	clear(l.strings)
	clear(l.nested)
	*l.length = 0
}

// pointersAt are the words of a parameter that are pointers to byte strings.
var pointersAt = map[mech.ParamKind][]int{
	mech.ParamOAEP: {3}, mech.ParamGCM: {0, 3}, mech.ParamECDH1: {2, 4}, mech.ParamEdDSA: {2},
	mech.ParamBTC: {2}, mech.ParamECAGG: {3}, mech.ParamKyber: {4, 6, 8}, mech.ParamCCM: {1, 3}, mech.ParamChaCha: {0, 2},
	mech.ParamHKDF: {3, 6}, mech.ParamPBE: {0, 1, 3}, mech.ParamPBKDF2: {1, 5, 7}, mech.ParamKDF108: {4},
	mech.ParamContext: {1}, mech.ParamHashContext: {1},
	mech.ParamString: {0}, mech.ParamCBCData: {2}, mech.ParamChaCha20: {0, 2}, mech.ParamEAC: {1, 3}, mech.ParamRetain: {1},
}

// shortAt are those of a second, shorter form.
var shortAt = map[mech.ParamKind]struct {
	size     uint8
	pointers []int
}{
	mech.ParamGCM:     {40, []int{0, 2}},
	mech.ParamCBCData: {24, []int{1}},
}
