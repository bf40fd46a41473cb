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

import "grep11/pkcs11/mech"

func btc(r raw) (mech.Param, error) {
	s, err := as[C.vendor_btc](r)
	if err != nil {
		return nil, err
	}
	var f fields
	return &mech.BTC{Type: uint64(s._type), Index: uint64(s.childKeyIndex),
		ChainCode: f.bytes(part(&s.pChainCode, s.ulChainCodeLen)), Version: uint64(s.version)}, f.err
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
