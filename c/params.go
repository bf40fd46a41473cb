package main

// #include "engine.h"
import "C"

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// raw is a mechanism's parameter, or a byte string inside it, as C has it.
type raw struct {
	p unsafe.Pointer
	n uint64
}

// params has a row per kind of parameter: what reads it. A parameter that is
// absent altogether is nil; whether it may be is mech's to say.
var params = map[mech.ParamKind]func(raw) (mech.Param, error){
	mech.ParamIV:        func(r raw) (mech.Param, error) { b, err := r.bytes(); return mech.IV(b), err },
	mech.ParamKeyWrapIV: func(r raw) (mech.Param, error) { b, err := r.bytes(); return mech.IV(b), err },
	mech.ParamBytes:     func(r raw) (mech.Param, error) { b, err := r.bytes(); return mech.Raw(b), err },
	mech.ParamPSS:       pss,
	mech.ParamOAEP:      oaep,
	mech.ParamCTR:       ctr,
	mech.ParamGCM:       gcm,
	mech.ParamECDH1:     ecdh1,
	mech.ParamEdDSA:     eddsa,

	mech.ParamBTC:         btc,
	mech.ParamECSG:        ecsg,
	mech.ParamECAGG:       ecagg,
	mech.ParamKyber:       kyber,
	mech.ParamCCM:         ccm,
	mech.ParamChaCha:      chacha,
	mech.ParamHKDF:        hkdf,
	mech.ParamPBE:         pbe,
	mech.ParamPBKDF2:      pbkdf2,
	mech.ParamKDF108:      kdf108,
	mech.ParamRSAAES:      rsaAES,
	mech.ParamContext:     signContext,
	mech.ParamHashContext: hashContext,

	mech.ParamString:   stringData,
	mech.ParamMACLen:   macLen,
	mech.ParamCBCData:  cbcData,
	mech.ParamChaCha20: chacha20,
	mech.ParamExtract:  extract,
	mech.ParamEAC:      eac,
	mech.ParamSipHash:  siphash,
	mech.ParamRetain:   retain,
}

// decodeParam reads the parameter that a mechanism takes. A mechanism without a
// row passes: its operation is refused by name, after the session is checked.
func decodeParam(t ck.MechanismType, r raw) (mech.Param, error) {
	row, err := mech.Lookup(t)
	if err != nil || r.n == 0 {
		return nil, nil
	}
	decode := params[row.Param]
	if decode == nil {
		return nil, fmt.Errorf("takes no parameter, given %d bytes: %w", r.n, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return decode(r)
}

// bytes copies a byte string.
func (r raw) bytes() ([]byte, error) {
	if r.n == 0 {
		return nil, nil
	}
	if r.p == nil || r.n > maxLen {
		return nil, fmt.Errorf("%d bytes at %p: %w", r.n, r.p, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return bytes.Clone(unsafe.Slice((*byte)(r.p), int(r.n))), nil
}

// as reads a parameter as a struct, which it must fill exactly.
func as[T any](r raw) (*T, error) {
	if size := unsafe.Sizeof(*new(T)); r.p == nil || r.n != uint64(size) {
		return nil, fmt.Errorf("%d bytes at %p instead of %d: %w", r.n, r.p, size, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return (*T)(r.p), nil
}

// part is a byte string inside a parameter.
func part[P C.CK_BYTE_PTR | C.CK_UTF8CHAR_PTR | *C.CK_BYTE | C.CK_VOID_PTR](p *P, n C.CK_ULONG) raw {
	return raw{pointer(unsafe.Pointer(p)), uint64(n)}
}

// firstAddress is the lowest that can be mapped; the upper half of all addresses
// is the kernel's.
const firstAddress = 4096

// pointer loads a pointer from C's memory, one that cannot be valid as nil:
// Go's runtime ends the process when it meets such a value on a stack, and
// callers leave anything beside a length of 0. (entries.c does the same for
// arguments.)
func pointer(at unsafe.Pointer) unsafe.Pointer {
	if *(*uintptr)(at)-firstAddress > math.MaxInt64 {
		return nil
	}
	return *(*unsafe.Pointer)(at)
}

func pss(r raw) (mech.Param, error) {
	s, err := as[C.CK_RSA_PKCS_PSS_PARAMS](r)
	if err != nil {
		return nil, err
	}
	return &mech.PSS{Hash: ck.MechanismType(s.hashAlg), MGF: uint64(s.mgf), SaltLen: uint64(s.sLen)}, nil
}

func oaep(r raw) (mech.Param, error) {
	s, err := as[C.CK_RSA_PKCS_OAEP_PARAMS](r)
	if err != nil {
		return nil, err
	}
	label, err := part(&s.pSourceData, s.ulSourceDataLen).bytes()
	return &mech.OAEP{Hash: ck.MechanismType(s.hashAlg), MGF: uint64(s.mgf), Source: uint64(s.source), Label: label}, err
}

func ctr(r raw) (mech.Param, error) {
	s, err := as[C.CK_AES_CTR_PARAMS](r)
	if err != nil {
		return nil, err
	}
	p := &mech.CTR{Bits: uint64(s.ulCounterBits)}
	copy(p.Block[:], unsafe.Slice((*byte)(&s.cb[0]), len(s.cb)))
	return p, nil
}

// shortGCM is CK_GCM_PARAMS as PKCS#11 2.40 first printed it, without ulIvBits.
type shortGCM struct {
	pIv       C.CK_BYTE_PTR
	ulIvLen   C.CK_ULONG
	pAAD      C.CK_BYTE_PTR
	ulAADLen  C.CK_ULONG
	ulTagBits C.CK_ULONG
}

// gcm takes both forms of CK_GCM_PARAMS. ulIvBits is not looked at: callers of
// the longer form leave it 0 as often as they fill it.
func gcm(r raw) (mech.Param, error) {
	if s, err := as[shortGCM](r); err == nil {
		return gcmOf(part(&s.pIv, s.ulIvLen), part(&s.pAAD, s.ulAADLen), s.ulTagBits)
	}
	s, err := as[C.CK_GCM_PARAMS](r)
	if err != nil {
		return nil, err
	}
	return gcmOf(part(&s.pIv, s.ulIvLen), part(&s.pAAD, s.ulAADLen), s.ulTagBits)
}

func gcmOf(rawIV, rawAAD raw, tagBits C.CK_ULONG) (mech.Param, error) {
	iv, err := rawIV.bytes()
	if err != nil {
		return nil, err
	}
	aad, err := rawAAD.bytes()
	return &mech.GCM{IV: iv, AAD: aad, TagBits: uint64(tagBits)}, err
}

func ecdh1(r raw) (mech.Param, error) {
	s, err := as[C.CK_ECDH1_DERIVE_PARAMS](r)
	if err != nil {
		return nil, err
	}
	shared, err := part(&s.pSharedData, s.ulSharedDataLen).bytes()
	if err != nil {
		return nil, err
	}
	public, err := part(&s.pPublicData, s.ulPublicDataLen).bytes()
	return &mech.ECDH1{KDF: uint64(s.kdf), Shared: shared, Public: public}, err
}

func eddsa(r raw) (mech.Param, error) {
	s, err := as[C.CK_EDDSA_PARAMS](r)
	if err != nil {
		return nil, err
	}
	context, err := part(&s.pContextData, s.ulContextDataLen).bytes()
	return &mech.EdDSA{Prehash: s.phFlag != C.CK_FALSE, Context: context}, err
}
