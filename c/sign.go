package main

// #include "engine.h"
import "C"

import (
	"context"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_SignInit
func go_C_SignInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_SignInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_Sign
func go_C_Sign(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG,
	pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pData, ulDataLen), a.out(pSignature, pulSignatureLen)
	return call("C_Sign", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Sign(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_SignUpdate
func go_C_SignUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pPart, ulPartLen)
	return call("C_SignUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignUpdate(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_SignFinal
func go_C_SignFinal(hSession C.CK_SESSION_HANDLE, pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	out := a.out(pSignature, pulSignatureLen)
	return call("C_SignFinal", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignFinal(ctx, ck.SessionHandle(hSession), out)
	})
}

//export go_C_SignRecoverInit
func go_C_SignRecoverInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_SignRecoverInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignRecoverInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_SignRecover
func go_C_SignRecover(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG,
	pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pData, ulDataLen), a.out(pSignature, pulSignatureLen)
	return call("C_SignRecover", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignRecover(ctx, ck.SessionHandle(hSession), data, out)
	})
}
