package main

// #include "engine.h"
import "C"

// The asynchronous functions of PKCS#11 3.2, which the module does not have.

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
