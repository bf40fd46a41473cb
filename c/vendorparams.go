package main

// #include "cryptoki.h"
// /* Parameters of the vendor's mechanisms, in CK_ULONG-sized members. */
// typedef struct { CK_ULONG type, childKeyIndex; CK_BYTE_PTR pChainCode; CK_ULONG ulChainCodeLen, version; } vendor_btc;
// typedef struct { CK_ULONG version, mode, perElementSize; CK_BYTE_PTR pElements; CK_ULONG ulElementsLen; } vendor_ecagg;
// typedef struct {
//	CK_ULONG version, mode, kdf, prepend;
//	CK_BYTE_PTR pCipher; CK_ULONG ulCipherLen;
//	CK_BYTE_PTR pSharedData; CK_ULONG ulSharedDataLen;
//	CK_BYTE_PTR pBlob; CK_ULONG ulBlobLen;
// } vendor_kyber;
import "C"

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"grep11/pkcs11/mech"
)

func btc(r raw) (mech.Param, error) {
	s, err := as[C.vendor_btc](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.BTC{Type: uint64(s._type), Index: uint64(s.childKeyIndex),
		ChainCode: f.bytes(part(&s.pChainCode, s.ulChainCodeLen)), Version: uint64(s.version)}, f.err
}

// giveBack writes what a derivation puts into its parameter: a chain code, to
// where the parent's was. A master key has none; the vendor's callers give room
// for the new one there, and a length of 0. Others leave anything beside such a
// length: the kernel looks at the address, and nothing is written to a bad one.
func giveBack(r raw, p mech.Param) {
	b, ok := p.(*mech.BTC)
	if !ok || len(b.ChainCode) == 0 {
		return
	}
	s, err := as[C.vendor_btc](r)
	if err != nil {
		return
	}
	at := pointer(unsafe.Pointer(&s.pChainCode))
	if at == nil || s.ulChainCodeLen != 0 && int(s.ulChainCodeLen) < len(b.ChainCode) {
		return
	}
	local := unix.Iovec{Base: &b.ChainCode[0]}
	local.SetLen(len(b.ChainCode))
	remote := unix.RemoteIovec{Base: uintptr(at), Len: len(b.ChainCode)}
	_, err = unix.ProcessVMWritev(os.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
	if err != nil && err != unix.EFAULT && s.ulChainCodeLen != 0 { // a sandbox may not let it
		copy(unsafe.Slice((*byte)(at), len(b.ChainCode)), b.ChainCode)
	}
}

func ecsg(r raw) (mech.Param, error) {
	s, err := as[C.CK_ULONG](r)
	if err != nil {
		return nil, err
	}
	return &mech.ECSG{Type: uint64(*s)}, nil
}

func ecagg(r raw) (mech.Param, error) {
	s, err := as[C.vendor_ecagg](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.ECAGG{Version: uint64(s.version), Mode: uint64(s.mode), PerElement: uint64(s.perElementSize),
		Elements: f.bytes(part(&s.pElements, s.ulElementsLen))}, f.err
}

func kyber(r raw) (mech.Param, error) {
	s, err := as[C.vendor_kyber](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.Kyber{Version: uint64(s.version), Mode: uint64(s.mode), KDF: uint64(s.kdf), Prepend: s.prepend != 0,
		CipherText: f.bytes(part(&s.pCipher, s.ulCipherLen)), Shared: f.bytes(part(&s.pSharedData, s.ulSharedDataLen)),
		Blob: f.bytes(part(&s.pBlob, s.ulBlobLen))}, f.err
}
