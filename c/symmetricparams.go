package main

// #include "cryptoki.h"
// /* Parameters of the vendor's mechanisms whose format is ours. */
// typedef struct { CK_ULONG variant; CK_BYTE_PTR pNonce; CK_ULONG ulNonceLen; CK_BYTE_PTR pInfo; CK_ULONG ulInfoLen; } vendor_eac;
// typedef struct { CK_ULONG wordRounds, endRounds, bytes; } vendor_siphash;
// typedef struct { CK_ULONG credits; CK_BYTE_PTR pRefill; CK_ULONG ulRefillLen; } vendor_retain;
import "C"

import (
	"encoding/binary"
	"unsafe"

	"grep11/pkcs11/mech"
)

func stringData(r raw) (mech.Param, error) {
	s, err := as[C.CK_KEY_DERIVATION_STRING_DATA](r)
	if err != nil {
		return nil, err
	}
	b, err := part(&s.pData, s.ulLen).bytes()
	return mech.Raw(b), err
}

func macLen(r raw) (mech.Param, error) {
	s, err := as[C.CK_MAC_GENERAL_PARAMS](r)
	if err != nil {
		return nil, err
	}
	return &mech.MACLen{Bytes: uint64(*s)}, nil
}

func extract(r raw) (mech.Param, error) {
	s, err := as[C.CK_EXTRACT_PARAMS](r)
	if err != nil {
		return nil, err
	}
	return &mech.Extract{Bit: uint64(*s)}, nil
}

// cbcData takes the structures of both block sizes.
func cbcData(r raw) (mech.Param, error) {
	if s, err := as[C.CK_DES_CBC_ENCRYPT_DATA_PARAMS](r); err == nil {
		data, err := part(&s.pData, s.length).bytes()
		return &mech.CBCData{IV: C.GoBytes(unsafe.Pointer(&s.iv[0]), C.int(len(s.iv))), Data: data}, err
	}
	s, err := as[C.CK_AES_CBC_ENCRYPT_DATA_PARAMS](r)
	if err != nil {
		return nil, err
	}
	data, err := part(&s.pData, s.length).bytes()
	return &mech.CBCData{IV: C.GoBytes(unsafe.Pointer(&s.iv[0]), C.int(len(s.iv))), Data: data}, err
}

// chacha20 has the counter as the cipher's state holds it, little-endian.
func chacha20(r raw) (mech.Param, error) {
	s, err := as[C.CK_CHACHA20_PARAMS](r)
	if err != nil {
		return nil, err
	}
	if s.blockCounterBits != 32 && s.blockCounterBits != 64 || s.ulNonceBits%8 != 0 || s.blockCounterBits/8+s.ulNonceBits/8 != 16 {
		return nil, badField("sizes of counter and nonce")
	}
	var f fields
	counter := f.bytes(part(&s.pBlockCounter, s.blockCounterBits/8))
	p := &mech.ChaCha20{Nonce: f.bytes(part(&s.pNonce, s.ulNonceBits/8))}
	if f.err != nil {
		return nil, f.err
	}
	p.Counter = binary.LittleEndian.Uint64(append(counter, make([]byte, 8-len(counter))...))
	return p, nil
}

func eac(r raw) (mech.Param, error) {
	s, err := as[C.vendor_eac](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.EAC{Variant: uint64(s.variant), Nonce: f.bytes(part(&s.pNonce, s.ulNonceLen)), Info: f.bytes(part(&s.pInfo, s.ulInfoLen))}, f.err
}

func siphash(r raw) (mech.Param, error) {
	s, err := as[C.vendor_siphash](r)
	if err != nil {
		return nil, err
	}
	return &mech.SipHash{Word: uint64(s.wordRounds), End: uint64(s.endRounds), Bytes: uint64(s.bytes)}, nil
}

func retain(r raw) (mech.Param, error) {
	s, err := as[C.vendor_retain](r)
	if err != nil {
		return nil, err
	}
	refill, err := part(&s.pRefill, s.ulRefillLen).bytes()
	return &mech.Retain{Credits: uint64(s.credits), Refill: refill}, err
}
