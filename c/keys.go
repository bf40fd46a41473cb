package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_GenerateKey
func go_C_GenerateKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG,
	phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulCount)
	a.need(unsafe.Pointer(phKey))
	return call("C_GenerateKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.GenerateKey(ctx, ck.SessionHandle(hSession), mechanism, t)
		if err == nil {
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}

//export go_C_GenerateKeyPair
func go_C_GenerateKeyPair(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR,
	pPublicKeyTemplate C.CK_ATTRIBUTE_PTR, ulPublicKeyAttributeCount C.CK_ULONG,
	pPrivateKeyTemplate C.CK_ATTRIBUTE_PTR, ulPrivateKeyAttributeCount C.CK_ULONG,
	phPublicKey, phPrivateKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.mechanism(pMechanism)
	public := a.template(pPublicKeyTemplate, ulPublicKeyAttributeCount)
	private := a.template(pPrivateKeyTemplate, ulPrivateKeyAttributeCount)
	a.need(unsafe.Pointer(phPublicKey))
	a.need(unsafe.Pointer(phPrivateKey))
	return call("C_GenerateKeyPair", &a, func(ctx context.Context, m *pkcs11.Module) error {
		pub, priv, err := m.GenerateKeyPair(ctx, ck.SessionHandle(hSession), mechanism, public, private)
		if err == nil {
			*phPublicKey, *phPrivateKey = C.CK_OBJECT_HANDLE(pub), C.CK_OBJECT_HANDLE(priv)
		}
		return err
	})
}

//export go_C_WrapKey
func go_C_WrapKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hWrappingKey, hKey C.CK_OBJECT_HANDLE,
	pWrappedKey C.CK_BYTE_PTR, pulWrappedKeyLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, out := a.mechanism(pMechanism), a.out(pWrappedKey, pulWrappedKeyLen)
	return call("C_WrapKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.WrapKey(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hWrappingKey), ck.ObjectHandle(hKey), out)
	})
}

//export go_C_UnwrapKey
func go_C_UnwrapKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hUnwrappingKey C.CK_OBJECT_HANDLE,
	pWrappedKey C.CK_BYTE_PTR, ulWrappedKeyLen C.CK_ULONG, pTemplate C.CK_ATTRIBUTE_PTR, ulAttributeCount C.CK_ULONG,
	phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulAttributeCount)
	wrapped := a.in(pWrappedKey, ulWrappedKeyLen)
	a.need(unsafe.Pointer(phKey))
	return call("C_UnwrapKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.UnwrapKey(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hUnwrappingKey), wrapped, t)
		if err == nil {
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}

//export go_C_DeriveKey
func go_C_DeriveKey(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hBaseKey C.CK_OBJECT_HANDLE,
	pTemplate C.CK_ATTRIBUTE_PTR, ulAttributeCount C.CK_ULONG, phKey C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	mechanism, t := a.mechanism(pMechanism), a.template(pTemplate, ulAttributeCount)
	a.need(unsafe.Pointer(phKey))
	return call("C_DeriveKey", &a, func(ctx context.Context, m *pkcs11.Module) error {
		key, err := m.DeriveKey(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hBaseKey), t)
		if err == nil {
			giveBack(part(&pMechanism.pParameter, pMechanism.ulParameterLen), mechanism.Param)
			*phKey = C.CK_OBJECT_HANDLE(key)
		}
		return err
	})
}
