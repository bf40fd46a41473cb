package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_WrapKeyAuthenticated
func go_C_WrapKeyAuthenticated(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hWrappingKey, hKey C.CK_OBJECT_HANDLE,
	pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG,
	pWrappedKey C.CK_BYTE_PTR, pulWrappedKeyLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, out := a.mechanism(pMechanism), a.out(pWrappedKey, pulWrappedKeyLen)
	aad := a.in(pAssociatedData, ulAssociatedDataLen)
	return call("C_WrapKeyAuthenticated", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.WrapKeyAuthenticated(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hWrappingKey), ck.ObjectHandle(hKey), aad, out)
	})
}

//export go_C_UnwrapKeyAuthenticated
func go_C_UnwrapKeyAuthenticated(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hUnwrappingKey C.CK_OBJECT_HANDLE,
	pWrappedKey C.CK_BYTE_PTR, ulWrappedKeyLen C.CK_ULONG, pTemplate C.CK_ATTRIBUTE_PTR, ulAttributeCount C.CK_ULONG,
	pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG, phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulAttributeCount)
	wrapped, aad := a.in(pWrappedKey, ulWrappedKeyLen), a.in(pAssociatedData, ulAssociatedDataLen)
	a.need(unsafe.Pointer(phKey))
	return call("C_UnwrapKeyAuthenticated", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.UnwrapKeyAuthenticated(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hUnwrappingKey), wrapped, t, aad)
		if err == nil {
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}

//export go_C_EncapsulateKey
func go_C_EncapsulateKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hPublicKey C.CK_OBJECT_HANDLE,
	pTemplate C.CK_ATTRIBUTE_PTR, ulAttributeCount C.CK_ULONG,
	pCiphertext C.CK_BYTE_PTR, pulCiphertextLen C.CK_ULONG_PTR, phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulAttributeCount)
	out := a.out(pCiphertext, pulCiphertextLen)
	a.need(unsafe.Pointer(phKey))
	return call("C_EncapsulateKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.EncapsulateKey(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hPublicKey), t, out)
		if err == nil {
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}

//export go_C_DecapsulateKey
func go_C_DecapsulateKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hPrivateKey C.CK_OBJECT_HANDLE,
	pTemplate C.CK_ATTRIBUTE_PTR, ulAttributeCount C.CK_ULONG,
	pCiphertext C.CK_BYTE_PTR, ulCiphertextLen C.CK_ULONG, phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulAttributeCount)
	ciphertext := a.in(pCiphertext, ulCiphertextLen)
	a.need(unsafe.Pointer(phKey))
	return call("C_DecapsulateKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.DecapsulateKey(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hPrivateKey), t, ciphertext)
		if err == nil {
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}
