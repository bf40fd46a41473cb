package main

// #include "engine.h"
import "C"

import (
	"context"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// The message-based functions of PKCS#11 3.0: encryption and decryption here,
// signatures in signmessage.go.

// messageInit is the mechanism of a process of messages. Its parameter is not
// looked at: each message brings its own.
func (a *args) messageInit(p *C.CK_MECHANISM) *mech.Mechanism {
	if p == nil {
		return nil
	}
	return &mech.Mechanism{Type: ck.MechanismType(p.mechanism)}
}

// gcmMessage is CK_GCM_MESSAGE_PARAMS; nil where there is no parameter. IV and
// tag stay the caller's memory.
func (a *args) gcmMessage(p C.CK_VOID_PTR, n C.CK_ULONG) *pkcs11.GCMMessage {
	if p == nil {
		return nil
	}
	s, err := as[C.CK_GCM_MESSAGE_PARAMS](raw{unsafe.Pointer(p), uint64(n)})
	if err != nil {
		a.fail("message: %w", err)
		return nil
	}
	return &pkcs11.GCMMessage{
		IV:        a.inside(part(&s.pIv, s.ulIvLen)),
		FixedBits: uint64(s.ulIvFixedBits), Generator: uint64(s.ivGenerator),
		Tag:     a.inside(part(&s.pTag, (min(s.ulTagBits, maxTagBits)+7)/8)),
		TagBits: uint64(s.ulTagBits),
	}
}

const maxTagBits = 1 << 10

// inside is memory that a parameter points to.
func (a *args) inside(r raw) []byte {
	if r.n == 0 {
		return nil
	}
	if r.p == nil || r.n > maxLen {
		a.fail("%d bytes at %p: %w", r.n, r.p, ck.CKR_MECHANISM_PARAM_INVALID)
		return nil
	}
	return unsafe.Slice((*byte)(r.p), int(r.n))
}

//export go_C_MessageEncryptInit
func go_C_MessageEncryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.messageInit(pMechanism)
	return call("C_MessageEncryptInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageEncryptInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_EncryptMessage
func go_C_EncryptMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG,
	pPlaintext C.CK_BYTE_PTR, ulPlaintextLen C.CK_ULONG, pCiphertext C.CK_BYTE_PTR, pulCiphertextLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	p, aad := a.gcmMessage(pParameter, ulParameterLen), a.in(pAssociatedData, ulAssociatedDataLen)
	data, out := a.in(pPlaintext, ulPlaintextLen), a.out(pCiphertext, pulCiphertextLen)
	return call("C_EncryptMessage", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptMessage(ctx, ck.SessionHandle(hSession), p, aad, data, out)
	})
}

//export go_C_EncryptMessageBegin
func go_C_EncryptMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	p, aad := a.gcmMessage(pParameter, ulParameterLen), a.in(pAssociatedData, ulAssociatedDataLen)
	return call("C_EncryptMessageBegin", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptMessageBegin(ctx, ck.SessionHandle(hSession), p, aad)
	})
}

//export go_C_EncryptMessageNext
func go_C_EncryptMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG,
	pPlaintextPart C.CK_BYTE_PTR, ulPlaintextPartLen C.CK_ULONG, pCiphertextPart C.CK_BYTE_PTR, pulCiphertextPartLen C.CK_ULONG_PTR, flags C.CK_FLAGS) C.CK_RV {
	a := argsOf(hSession)
	p := a.gcmMessage(pParameter, ulParameterLen)
	part, out := a.in(pPlaintextPart, ulPlaintextPartLen), a.out(pCiphertextPart, pulCiphertextPartLen)
	return call("C_EncryptMessageNext", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.EncryptMessageNext(ctx, ck.SessionHandle(hSession), p, part, ck.Flags(flags)&ck.CKF_END_OF_MESSAGE != 0, out)
	})
}

//export go_C_MessageEncryptFinal
func go_C_MessageEncryptFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_MessageEncryptFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageEncryptFinal(ctx, ck.SessionHandle(hSession))
	})
}

//export go_C_MessageDecryptInit
func go_C_MessageDecryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	a := argsOf(hSession)
	mechanism := a.messageInit(pMechanism)
	return call("C_MessageDecryptInit", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageDecryptInit(ctx, ck.SessionHandle(hSession), mechanism, ck.ObjectHandle(hKey))
	})
}

//export go_C_DecryptMessage
func go_C_DecryptMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG,
	pCiphertext C.CK_BYTE_PTR, ulCiphertextLen C.CK_ULONG, pPlaintext C.CK_BYTE_PTR, pulPlaintextLen C.CK_ULONG_PTR) C.CK_RV {
	a := argsOf(hSession)
	p, aad := a.gcmMessage(pParameter, ulParameterLen), a.in(pAssociatedData, ulAssociatedDataLen)
	data, out := a.in(pCiphertext, ulCiphertextLen), a.out(pPlaintext, pulPlaintextLen)
	return call("C_DecryptMessage", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptMessage(ctx, ck.SessionHandle(hSession), p, aad, data, out)
	})
}

//export go_C_DecryptMessageBegin
func go_C_DecryptMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	p, aad := a.gcmMessage(pParameter, ulParameterLen), a.in(pAssociatedData, ulAssociatedDataLen)
	return call("C_DecryptMessageBegin", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptMessageBegin(ctx, ck.SessionHandle(hSession), p, aad)
	})
}

//export go_C_DecryptMessageNext
func go_C_DecryptMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG,
	pCiphertextPart C.CK_BYTE_PTR, ulCiphertextPartLen C.CK_ULONG, pPlaintextPart C.CK_BYTE_PTR, pulPlaintextPartLen C.CK_ULONG_PTR, flags C.CK_FLAGS) C.CK_RV {
	a := argsOf(hSession)
	p := a.gcmMessage(pParameter, ulParameterLen)
	part, out := a.in(pCiphertextPart, ulCiphertextPartLen), a.out(pPlaintextPart, pulPlaintextPartLen)
	return call("C_DecryptMessageNext", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.DecryptMessageNext(ctx, ck.SessionHandle(hSession), p, part, ck.Flags(flags)&ck.CKF_END_OF_MESSAGE != 0, out)
	})
}

//export go_C_MessageDecryptFinal
func go_C_MessageDecryptFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return call("C_MessageDecryptFinal", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.MessageDecryptFinal(ctx, ck.SessionHandle(hSession))
	})
}
