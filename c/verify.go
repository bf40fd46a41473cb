package main

// #include "engine.h"
import "C"

import (
	"context"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_VerifyInit
func go_C_VerifyInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_VerifyInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_Verify
func go_C_Verify(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG,
	pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data, signature := a.in(pData, ulDataLen), a.in(pSignature, ulSignatureLen)
	return call("C_Verify", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Verify(ctx, ck.SessionHandle(hSession), data, signature)
	})
}

//export go_C_VerifyUpdate
func go_C_VerifyUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pPart, ulPartLen)
	return call("C_VerifyUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyUpdate(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_VerifyFinal
func go_C_VerifyFinal(hSession C.CK_SESSION_HANDLE, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	signature := a.in(pSignature, ulSignatureLen)
	return call("C_VerifyFinal", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyFinal(ctx, ck.SessionHandle(hSession), signature)
	})
}

//export go_C_VerifyRecoverInit
func go_C_VerifyRecoverInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_VerifyRecoverInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyRecoverInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_VerifyRecover
func go_C_VerifyRecover(hSession C.CK_SESSION_HANDLE, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG,
	pData C.CK_BYTE_PTR, pulDataLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pSignature, ulSignatureLen), a.out(pData, pulDataLen)
	return call("C_VerifyRecover", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifyRecover(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_VerifySignatureInit
func go_C_VerifySignatureInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE,
	pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	mechanism, signature := a.mechanismOrNil(pMechanism), a.in(pSignature, ulSignatureLen)
	return call("C_VerifySignatureInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifySignatureInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey), signature)
	})
}

//export go_C_VerifySignature
func go_C_VerifySignature(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pData, ulDataLen)
	return call("C_VerifySignature", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifySignature(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_VerifySignatureUpdate
func go_C_VerifySignatureUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pPart, ulPartLen)
	return call("C_VerifySignatureUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifySignatureUpdate(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_VerifySignatureFinal
func go_C_VerifySignatureFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_VerifySignatureFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.VerifySignatureFinal(ctx, ck.SessionHandle(hSession))
	})
}
