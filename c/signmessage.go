package main

// #include "engine.h"
import "C"

import (
	"context"
	"fmt"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// noParam: the mechanisms that sign messages take no parameter with each.
func (a *args) noParam(n C.CK_ULONG) {
	if n != 0 {
		a.fail("message: %w", fmt.Errorf("parameter of %d bytes: %w", uint64(n), ck.CKR_MECHANISM_PARAM_INVALID))
	}
}

//export go_C_MessageSignInit
func go_C_MessageSignInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_MessageSignInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageSignInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_SignMessage
func go_C_SignMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	a.noParam(ulParameterLen)
	data, out := a.in(pData, ulDataLen), a.out(pSignature, pulSignatureLen)
	return call("C_SignMessage", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignMessage(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_SignMessageBegin
func go_C_SignMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	a.noParam(ulParameterLen)
	return call("C_SignMessageBegin", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignMessageBegin(ctx, ck.SessionHandle(hSession))
	})
}

// Without a place for the signature's length more parts follow.
//
//export go_C_SignMessageNext
func go_C_SignMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	var out *pkcs11.Output
	a.noParam(ulParameterLen)
	data := a.in(pData, ulDataLen)
	if pulSignatureLen != nil {
		out = a.out(pSignature, pulSignatureLen)
	}
	return call("C_SignMessageNext", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignMessageNext(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_MessageSignFinal
func go_C_MessageSignFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_MessageSignFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageSignFinal(ctx, ck.SessionHandle(hSession))
	})
}

//export go_C_MessageVerifyInit
func go_C_MessageVerifyInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_MessageVerifyInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageVerifyInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_VerifyMessage
func go_C_VerifyMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	a.noParam(ulParameterLen)
	data, signature := a.in(pData, ulDataLen), a.in(pSignature, ulSignatureLen)
	return call("C_VerifyMessage", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyMessage(ctx, ck.SessionHandle(hSession), data, signature)
	})
}

//export go_C_VerifyMessageBegin
func go_C_VerifyMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	a.noParam(ulParameterLen)
	return call("C_VerifyMessageBegin", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyMessageBegin(ctx, ck.SessionHandle(hSession))
	})
}

// Without a signature more parts follow.
//
//export go_C_VerifyMessageNext
func go_C_VerifyMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	a.noParam(ulParameterLen)
	data, signature := a.in(pData, ulDataLen), a.in(pSignature, ulSignatureLen)
	return call("C_VerifyMessageNext", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyMessageNext(ctx, ck.SessionHandle(hSession), data, signature, pSignature != nil)
	})
}

//export go_C_MessageVerifyFinal
func go_C_MessageVerifyFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_MessageVerifyFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageVerifyFinal(ctx, ck.SessionHandle(hSession))
	})
}
