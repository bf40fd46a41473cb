package main

// #include "engine.h"
import "C"

// The message-based functions of PKCS#11 3.0 and the asynchronous ones of 3.2,
// which the module does not have.

//export go_C_MessageEncryptInit
func go_C_MessageEncryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	return unsupported("C_MessageEncryptInit")
}

//export go_C_EncryptMessage
func go_C_EncryptMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG, pPlaintext C.CK_BYTE_PTR, ulPlaintextLen C.CK_ULONG, pCiphertext C.CK_BYTE_PTR, pulCiphertextLen C.CK_ULONG_PTR) C.CK_RV {
	return unsupported("C_EncryptMessage")
}

//export go_C_EncryptMessageBegin
func go_C_EncryptMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_EncryptMessageBegin")
}

//export go_C_EncryptMessageNext
func go_C_EncryptMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pPlaintextPart C.CK_BYTE_PTR, ulPlaintextPartLen C.CK_ULONG, pCiphertextPart C.CK_BYTE_PTR, pulCiphertextPartLen C.CK_ULONG_PTR, flags C.CK_FLAGS) C.CK_RV {
	return unsupported("C_EncryptMessageNext")
}

//export go_C_MessageEncryptFinal
func go_C_MessageEncryptFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return unsupported("C_MessageEncryptFinal")
}

//export go_C_MessageDecryptInit
func go_C_MessageDecryptInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	return unsupported("C_MessageDecryptInit")
}

//export go_C_DecryptMessage
func go_C_DecryptMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG, pCiphertext C.CK_BYTE_PTR, ulCiphertextLen C.CK_ULONG, pPlaintext C.CK_BYTE_PTR, pulPlaintextLen C.CK_ULONG_PTR) C.CK_RV {
	return unsupported("C_DecryptMessage")
}

//export go_C_DecryptMessageBegin
func go_C_DecryptMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pAssociatedData C.CK_BYTE_PTR, ulAssociatedDataLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_DecryptMessageBegin")
}

//export go_C_DecryptMessageNext
func go_C_DecryptMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pCiphertextPart C.CK_BYTE_PTR, ulCiphertextPartLen C.CK_ULONG, pPlaintextPart C.CK_BYTE_PTR, pulPlaintextPartLen C.CK_ULONG_PTR, flags C.CK_FLAGS) C.CK_RV {
	return unsupported("C_DecryptMessageNext")
}

//export go_C_MessageDecryptFinal
func go_C_MessageDecryptFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return unsupported("C_MessageDecryptFinal")
}

//export go_C_MessageSignInit
func go_C_MessageSignInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	return unsupported("C_MessageSignInit")
}

//export go_C_SignMessage
func go_C_SignMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	return unsupported("C_SignMessage")
}

//export go_C_SignMessageBegin
func go_C_SignMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_SignMessageBegin")
}

//export go_C_SignMessageNext
func go_C_SignMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, pulSignatureLen C.CK_ULONG_PTR) C.CK_RV {
	return unsupported("C_SignMessageNext")
}

//export go_C_MessageSignFinal
func go_C_MessageSignFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return unsupported("C_MessageSignFinal")
}

//export go_C_MessageVerifyInit
func go_C_MessageVerifyInit(hSession C.CK_SESSION_HANDLE, pMechanism C.CK_MECHANISM_PTR, hKey C.CK_OBJECT_HANDLE) C.CK_RV {
	return unsupported("C_MessageVerifyInit")
}

//export go_C_VerifyMessage
func go_C_VerifyMessage(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_VerifyMessage")
}

//export go_C_VerifyMessageBegin
func go_C_VerifyMessageBegin(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_VerifyMessageBegin")
}

//export go_C_VerifyMessageNext
func go_C_VerifyMessageNext(hSession C.CK_SESSION_HANDLE, pParameter C.CK_VOID_PTR, ulParameterLen C.CK_ULONG, pData C.CK_BYTE_PTR, ulDataLen C.CK_ULONG, pSignature C.CK_BYTE_PTR, ulSignatureLen C.CK_ULONG) C.CK_RV {
	return unsupported("C_VerifyMessageNext")
}

//export go_C_MessageVerifyFinal
func go_C_MessageVerifyFinal(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return unsupported("C_MessageVerifyFinal")
}

//export go_C_AsyncComplete
func go_C_AsyncComplete(hSession C.CK_SESSION_HANDLE, pFunctionName C.CK_UTF8CHAR_PTR, pResult C.CK_ASYNC_DATA_PTR) C.CK_RV {
	return unsupported("C_AsyncComplete")
}

//export go_C_AsyncGetID
func go_C_AsyncGetID(hSession C.CK_SESSION_HANDLE, pFunctionName C.CK_UTF8CHAR_PTR, pulID C.CK_ULONG_PTR) C.CK_RV {
	return unsupported("C_AsyncGetID")
}

//export go_C_AsyncJoin
func go_C_AsyncJoin(hSession C.CK_SESSION_HANDLE, pFunctionName C.CK_UTF8CHAR_PTR, ulID C.CK_ULONG, pData C.CK_BYTE_PTR, ulData C.CK_ULONG) C.CK_RV {
	return unsupported("C_AsyncJoin")
}
