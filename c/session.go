package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// go_C_OpenSession never calls Notify back: there are no events to tell of.
//
//export go_C_OpenSession
func go_C_OpenSession(slotID C.CK_SLOT_ID, flags C.CK_FLAGS, pApplication C.CK_VOID_PTR, Notify C.CK_NOTIFY,
	phSession C.CK_SESSION_HANDLE_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(phSession))
	return call("C_OpenSession", &a, func(ctx context.Context, m *pkcs11.Module) error {
		h, err := m.OpenSession(ctx, ck.SlotID(slotID), ck.Flags(flags))
		if err == nil {
			*phSession = C.CK_SESSION_HANDLE(h)
		}
		return err
	})
}

//export go_C_CloseSession
func go_C_CloseSession(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_CloseSession", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.CloseSession(ctx, ck.SessionHandle(hSession))
	})
}

//export go_C_CloseAllSessions
func go_C_CloseAllSessions(slotID C.CK_SLOT_ID) C.CK_RV {
	return call("C_CloseAllSessions", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.CloseAllSessions(ctx, ck.SlotID(slotID))
	})
}

//export go_C_GetSessionInfo
func go_C_GetSessionInfo(hSession C.CK_SESSION_HANDLE, pInfo C.CK_SESSION_INFO_PTR) C.CK_RV {
	a := argsOf(hSession)
	a.need(unsafe.Pointer(pInfo))
	return call("C_GetSessionInfo", &a, func(ctx context.Context, m *pkcs11.Module) error {
		info, err := m.GetSessionInfo(ctx, ck.SessionHandle(hSession))
		if err != nil {
			return err
		}
		*pInfo = C.CK_SESSION_INFO{
			slotID:        C.CK_SLOT_ID(info.SlotID),
			state:         C.CK_STATE(info.State),
			flags:         C.CK_FLAGS(info.Flags),
			ulDeviceError: C.CK_ULONG(info.DeviceError),
		}
		return nil
	})
}

//export go_C_GetSessionValidationFlags
func go_C_GetSessionValidationFlags(hSession C.CK_SESSION_HANDLE, _type C.CK_SESSION_VALIDATION_FLAGS_TYPE,
	pFlags C.CK_FLAGS_PTR) C.CK_RV {
	a := argsOf(hSession)
	a.need(unsafe.Pointer(pFlags))
	return call("C_GetSessionValidationFlags", &a, func(ctx context.Context, m *pkcs11.Module) error {
		flags, err := m.GetSessionValidationFlags(ctx, ck.SessionHandle(hSession), uint64(_type))
		if err == nil {
			*pFlags = C.CK_FLAGS(flags)
		}
		return err
	})
}

//export go_C_SessionCancel
func go_C_SessionCancel(hSession C.CK_SESSION_HANDLE, flags C.CK_FLAGS) C.CK_RV {
	return call("C_SessionCancel", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SessionCancel(ctx, ck.SessionHandle(hSession), ck.Flags(flags))
	})
}

//export go_C_GetOperationState
func go_C_GetOperationState(hSession C.CK_SESSION_HANDLE, pOperationState C.CK_BYTE_PTR, pulOperationStateLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	out := a.out(pOperationState, pulOperationStateLen)
	return call("C_GetOperationState", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.GetOperationState(ctx, ck.SessionHandle(hSession), out)
	})
}

//export go_C_SetOperationState
func go_C_SetOperationState(hSession C.CK_SESSION_HANDLE, pOperationState C.CK_BYTE_PTR, ulOperationStateLen C.CK_ULONG,
	hEncryptionKey, hAuthenticationKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	state := a.in(pOperationState, ulOperationStateLen)
	return call("C_SetOperationState", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SetOperationState(ctx, ck.SessionHandle(hSession), state, ck.ObjectHandle(hEncryptionKey), ck.ObjectHandle(hAuthenticationKey))
	})
}

//export go_C_Login
func go_C_Login(hSession C.CK_SESSION_HANDLE, userType C.CK_USER_TYPE, pPin C.CK_UTF8CHAR_PTR, ulPinLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	pin := a.in(pPin, ulPinLen)
	return call("C_Login", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Login(ctx, ck.SessionHandle(hSession), ck.UserType(userType), pin)
	})
}

//export go_C_LoginUser
func go_C_LoginUser(hSession C.CK_SESSION_HANDLE, userType C.CK_USER_TYPE, pPin C.CK_UTF8CHAR_PTR, ulPinLen C.CK_ULONG,
	pUsername C.CK_UTF8CHAR_PTR, ulUsernameLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	pin, name := a.in(pPin, ulPinLen), a.in(pUsername, ulUsernameLen)
	return call("C_LoginUser", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.LoginUser(ctx, ck.SessionHandle(hSession), ck.UserType(userType), pin, string(name))
	})
}

//export go_C_Logout
func go_C_Logout(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_Logout", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Logout(ctx, ck.SessionHandle(hSession))
	})
}
