package main

// #include "engine.h"
import "C"

import (
	"context"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_DigestInit
func go_C_DigestInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_DigestInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DigestInit(ctx, ck.SessionHandle(hSession), mechanism)
	})
}

//export go_C_Digest
func go_C_Digest(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG,
	pDigest C.CK_BYTE_PTR, pulDigestLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pData, ulDataLen), a.out(pDigest, pulDigestLen)
	return call("C_Digest", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Digest(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_DigestUpdate
func go_C_DigestUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pPart, ulPartLen)
	return call("C_DigestUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DigestUpdate(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_DigestKey
func go_C_DigestKey(hSession C.CK_SESSION_HANDLE, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	return call("C_DigestKey", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DigestKey(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hKey))
	})
}

//export go_C_DigestFinal
func go_C_DigestFinal(hSession C.CK_SESSION_HANDLE, pDigest C.CK_BYTE_PTR, pulDigestLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	out := a.out(pDigest, pulDigestLen)
	return call("C_DigestFinal", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DigestFinal(ctx, ck.SessionHandle(hSession), out)
	})
}
