package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_CreateObject
func go_C_CreateObject(hSession C.CK_SESSION_HANDLE, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG,
	phObject C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	t := a.template(pTemplate, ulCount)
	a.need(unsafe.Pointer(phObject))
	return call("C_CreateObject", &a, func(ctx context.Context, m *pkcs11.Module) error {
		o, err := m.CreateObject(ctx, ck.SessionHandle(hSession), t)
		if err == nil {
			*phObject = C.CK_OBJECT_HANDLE(o)
		}
		return err
	})
}

//export go_C_CopyObject
func go_C_CopyObject(hSession C.CK_SESSION_HANDLE, hObject C.CK_OBJECT_HANDLE, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG,
	phNewObject C.CK_OBJECT_HANDLE_PTR) C.CK_RV {
	a := argsOf(hSession)
	t := a.template(pTemplate, ulCount)
	a.need(unsafe.Pointer(phNewObject))
	return call("C_CopyObject", &a, func(ctx context.Context, m *pkcs11.Module) error {
		o, err := m.CopyObject(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hObject), t)
		if err == nil {
			*phNewObject = C.CK_OBJECT_HANDLE(o)
		}
		return err
	})
}

//export go_C_DestroyObject
func go_C_DestroyObject(hSession C.CK_SESSION_HANDLE, hObject C.CK_OBJECT_HANDLE) C.CK_RV {
	return call("C_DestroyObject", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DestroyObject(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hObject))
	})
}

//export go_C_GetObjectSize
func go_C_GetObjectSize(hSession C.CK_SESSION_HANDLE, hObject C.CK_OBJECT_HANDLE, pulSize C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	a.need(unsafe.Pointer(pulSize))
	return call("C_GetObjectSize", &a, func(ctx context.Context, m *pkcs11.Module) error {
		size, err := m.GetObjectSize(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hObject))
		if err == nil {
			*pulSize = C.CK_ULONG(size)
		}
		return err
	})
}

//export go_C_GetAttributeValue
func go_C_GetAttributeValue(hSession C.CK_SESSION_HANDLE, hObject C.CK_OBJECT_HANDLE, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	to := a.attributes(pTemplate, ulCount)
	want := a.outputs(to, maxDepth)
	return call("C_GetAttributeValue", &a, func(ctx context.Context, m *pkcs11.Module) error {
		defer nameNested(to, want)
		return m.GetAttributeValue(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hObject), want)
	})
}

//export go_C_SetAttributeValue
func go_C_SetAttributeValue(hSession C.CK_SESSION_HANDLE, hObject C.CK_OBJECT_HANDLE, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	t := a.template(pTemplate, ulCount)
	return call("C_SetAttributeValue", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SetAttributeValue(ctx, ck.SessionHandle(hSession), ck.ObjectHandle(hObject), t)
	})
}

//export go_C_FindObjectsInit
func go_C_FindObjectsInit(hSession C.CK_SESSION_HANDLE, pTemplate C.CK_ATTRIBUTE_PTR, ulCount C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	t := a.template(pTemplate, ulCount)
	return call("C_FindObjectsInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.FindObjectsInit(ctx, ck.SessionHandle(hSession), t)
	})
}

//export go_C_FindObjects
func go_C_FindObjects(hSession C.CK_SESSION_HANDLE, phObject C.CK_OBJECT_HANDLE_PTR, ulMaxObjectCount C.CK_ULONG,
	pulObjectCount C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	a.need(unsafe.Pointer(phObject))
	a.need(unsafe.Pointer(pulObjectCount))
	return call("C_FindObjects", &a, func(ctx context.Context, m *pkcs11.Module) error {
		found, err := m.FindObjects(ctx, ck.SessionHandle(hSession), int(min(ulMaxObjectCount, maxCount)))
		if err != nil {
			return err
		}
		put(found, (*C.CK_ULONG)(phObject))
		*pulObjectCount = C.CK_ULONG(len(found))
		return nil
	})
}

//export go_C_FindObjectsFinal
func go_C_FindObjectsFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_FindObjectsFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.FindObjectsFinal(ctx, ck.SessionHandle(hSession))
	})
}
