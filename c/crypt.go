package main

// #include "engine.h"
import "C"

import (
	"context"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_EncryptInit
func go_C_EncryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_EncryptInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_Encrypt
func go_C_Encrypt(hSession C.CK_SESSION_HANDLE, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG,
	pEncryptedData C.CK_BYTE_PTR, pulEncryptedDataLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pData, ulDataLen), a.out(pEncryptedData, pulEncryptedDataLen)
	return call("C_Encrypt", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Encrypt(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_EncryptUpdate
func go_C_EncryptUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG,
	pEncryptedPart C.CK_BYTE_PTR, pulEncryptedPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pPart, ulPartLen), a.out(pEncryptedPart, pulEncryptedPartLen)
	return call("C_EncryptUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_EncryptFinal
func go_C_EncryptFinal(hSession C.CK_SESSION_HANDLE, pLastEncryptedPart C.CK_BYTE_PTR, pulLastEncryptedPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	out := a.out(pLastEncryptedPart, pulLastEncryptedPartLen)
	return call("C_EncryptFinal", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptFinal(ctx, ck.SessionHandle(hSession), out)
	})
}

//export go_C_DecryptInit
func go_C_DecryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanismOrNil(pMechanism)
	return call("C_DecryptInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_Decrypt
func go_C_Decrypt(hSession C.CK_SESSION_HANDLE, pEncryptedData C.CK_BYTE_PTR, ulEncryptedDataLen C.CK_ULONG,
	pData C.CK_BYTE_PTR, pulDataLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pEncryptedData, ulEncryptedDataLen), a.out(pData, pulDataLen)
	return call("C_Decrypt", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Decrypt(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_DecryptUpdate
func go_C_DecryptUpdate(hSession C.CK_SESSION_HANDLE, pEncryptedPart C.CK_BYTE_PTR, ulEncryptedPartLen C.CK_ULONG,
	pPart C.CK_BYTE_PTR, pulPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pEncryptedPart, ulEncryptedPartLen), a.out(pPart, pulPartLen)
	return call("C_DecryptUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_DecryptFinal
func go_C_DecryptFinal(hSession C.CK_SESSION_HANDLE, pLastPart C.CK_BYTE_PTR, pulLastPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	out := a.out(pLastPart, pulLastPartLen)
	return call("C_DecryptFinal", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptFinal(ctx, ck.SessionHandle(hSession), out)
	})
}

//export go_C_DigestEncryptUpdate
func go_C_DigestEncryptUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG,
	pEncryptedPart C.CK_BYTE_PTR, pulEncryptedPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pPart, ulPartLen), a.out(pEncryptedPart, pulEncryptedPartLen)
	return call("C_DigestEncryptUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DigestEncryptUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_SignEncryptUpdate
func go_C_SignEncryptUpdate(hSession C.CK_SESSION_HANDLE, pPart C.CK_BYTE_PTR, ulPartLen C.CK_ULONG,
	pEncryptedPart C.CK_BYTE_PTR, pulEncryptedPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pPart, ulPartLen), a.out(pEncryptedPart, pulEncryptedPartLen)
	return call("C_SignEncryptUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SignEncryptUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_DecryptDigestUpdate
func go_C_DecryptDigestUpdate(hSession C.CK_SESSION_HANDLE, pEncryptedPart C.CK_BYTE_PTR, ulEncryptedPartLen C.CK_ULONG,
	pPart C.CK_BYTE_PTR, pulPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pEncryptedPart, ulEncryptedPartLen), a.out(pPart, pulPartLen)
	return call("C_DecryptDigestUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptDigestUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}

//export go_C_DecryptVerifyUpdate
func go_C_DecryptVerifyUpdate(hSession C.CK_SESSION_HANDLE, pEncryptedPart C.CK_BYTE_PTR, ulEncryptedPartLen C.CK_ULONG,
	pPart C.CK_BYTE_PTR, pulPartLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	data, out := a.in(pEncryptedPart, ulEncryptedPartLen), a.out(pPart, pulPartLen)
	return call("C_DecryptVerifyUpdate", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptVerifyUpdate(ctx, ck.SessionHandle(hSession), data, out)
	})
}
