package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_GetSlotList
func go_C_GetSlotList(tokenPresent C.CK_BBOOL, pSlotList C.CK_SLOT_ID_PTR, pulCount C.CK_ULONG_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pulCount))
	return call("C_GetSlotList", &a, func(ctx context.Context, m *pkcs11.Module) error {
		ids, err := m.GetSlotList(ctx, tokenPresent != C.CK_FALSE)
		if err != nil {
			return err
		}
		return list(ids, (*C.CK_ULONG)(pSlotList), (*C.CK_ULONG)(pulCount))
	})
}

//export go_C_GetSlotInfo
func go_C_GetSlotInfo(slotID C.CK_SLOT_ID, pInfo C.CK_SLOT_INFO_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pInfo))
	return call("C_GetSlotInfo", &a, func(ctx context.Context, m *pkcs11.Module) error {
		info, err := m.GetSlotInfo(ctx, ck.SlotID(slotID))
		if err != nil {
			return err
		}
		*pInfo = C.CK_SLOT_INFO{
			flags:           C.CK_FLAGS(info.Flags),
			hardwareVersion: version(info.HardwareVersion),
			firmwareVersion: version(info.FirmwareVersion),
		}
		pad(pInfo.slotDescription[:], info.SlotDescription)
		pad(pInfo.manufacturerID[:], info.ManufacturerID)
		return nil
	})
}

//export go_C_GetTokenInfo
func go_C_GetTokenInfo(slotID C.CK_SLOT_ID, pInfo C.CK_TOKEN_INFO_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pInfo))
	return call("C_GetTokenInfo", &a, func(ctx context.Context, m *pkcs11.Module) error {
		info, err := m.GetTokenInfo(ctx, ck.SlotID(slotID))
		if err != nil {
			return err
		}
		*pInfo = tokenInfo(info)
		return nil
	})
}

func tokenInfo(info ck.TokenInfo) C.CK_TOKEN_INFO {
	c := C.CK_TOKEN_INFO{
		flags:                C.CK_FLAGS(info.Flags),
		ulMaxSessionCount:    C.CK_ULONG(info.MaxSessionCount),
		ulSessionCount:       C.CK_ULONG(info.SessionCount),
		ulMaxRwSessionCount:  C.CK_ULONG(info.MaxRwSessionCount),
		ulRwSessionCount:     C.CK_ULONG(info.RwSessionCount),
		ulMaxPinLen:          C.CK_ULONG(info.MaxPinLen),
		ulMinPinLen:          C.CK_ULONG(info.MinPinLen),
		ulTotalPublicMemory:  C.CK_ULONG(info.TotalPublicMemory),
		ulFreePublicMemory:   C.CK_ULONG(info.FreePublicMemory),
		ulTotalPrivateMemory: C.CK_ULONG(info.TotalPrivateMemory),
		ulFreePrivateMemory:  C.CK_ULONG(info.FreePrivateMemory),
		hardwareVersion:      version(info.HardwareVersion),
		firmwareVersion:      version(info.FirmwareVersion),
	}
	pad(c.label[:], info.Label)
	pad(c.manufacturerID[:], info.ManufacturerID)
	pad(c.model[:], info.Model)
	pad(c.serialNumber[:], info.SerialNumber)
	pad(c.utcTime[:], info.UTCTime)
	return c
}

//export go_C_GetMechanismList
func go_C_GetMechanismList(slotID C.CK_SLOT_ID, pMechanismList C.CK_MECHANISM_TYPE_PTR, pulCount C.CK_ULONG_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pulCount))
	return call("C_GetMechanismList", &a, func(ctx context.Context, m *pkcs11.Module) error {
		types, err := m.GetMechanismList(ctx, ck.SlotID(slotID))
		if err != nil {
			return err
		}
		return list(types, (*C.CK_ULONG)(pMechanismList), (*C.CK_ULONG)(pulCount))
	})
}

//export go_C_GetMechanismInfo
func go_C_GetMechanismInfo(slotID C.CK_SLOT_ID, _type C.CK_MECHANISM_TYPE, pInfo C.CK_MECHANISM_INFO_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pInfo))
	return call("C_GetMechanismInfo", &a, func(ctx context.Context, m *pkcs11.Module) error {
		info, err := m.GetMechanismInfo(ctx, ck.SlotID(slotID), ck.MechanismType(_type))
		if err != nil {
			return err
		}
		*pInfo = C.CK_MECHANISM_INFO{
			ulMinKeySize: C.CK_ULONG(info.MinKeySize),
			ulMaxKeySize: C.CK_ULONG(info.MaxKeySize),
			flags:        C.CK_FLAGS(info.Flags),
		}
		return nil
	})
}

// labelLen is the length of pLabel, which comes without one.
const labelLen = 32

//export go_C_InitToken
func go_C_InitToken(slotID C.CK_SLOT_ID, pPin C.CK_UTF8CHAR_PTR, ulPinLen C.CK_ULONG, pLabel C.CK_UTF8CHAR_PTR) C.CK_RV {
	var a args
	pin, label := a.in(pPin, ulPinLen), a.in(pLabel, labelLen)
	return call("C_InitToken", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.InitToken(ctx, ck.SlotID(slotID), pin, unpad(label))
	})
}

//export go_C_InitPIN
func go_C_InitPIN(hSession C.CK_SESSION_HANDLE, pPin C.CK_UTF8CHAR_PTR, ulPinLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	pin := a.in(pPin, ulPinLen)
	return call("C_InitPIN", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.InitPIN(ctx, ck.SessionHandle(hSession), pin)
	})
}

//export go_C_SetPIN
func go_C_SetPIN(hSession C.CK_SESSION_HANDLE, pOldPin C.CK_UTF8CHAR_PTR, ulOldLen C.CK_ULONG,
	pNewPin C.CK_UTF8CHAR_PTR, ulNewLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	before, after := a.in(pOldPin, ulOldLen), a.in(pNewPin, ulNewLen)
	return call("C_SetPIN", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SetPIN(ctx, ck.SessionHandle(hSession), before, after)
	})
}

//export go_C_WaitForSlotEvent
func go_C_WaitForSlotEvent(flags C.CK_FLAGS, pSlot C.CK_SLOT_ID_PTR, pReserved C.CK_VOID_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pSlot))
	if pReserved != nil {
		a.fail("pReserved: %w", ck.CKR_ARGUMENTS_BAD)
	}
	return callUnbounded("C_WaitForSlotEvent", &a, func(ctx context.Context, m *pkcs11.Module) error {
		id, err := m.WaitForSlotEvent(ctx, flags&C.CKF_DONT_BLOCK != 0)
		if err == nil {
			*pSlot = C.CK_SLOT_ID(id)
		}
		return err
	})
}
