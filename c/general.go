package main

// #include <stdlib.h>
// #include <string.h>
// #include "engine.h"
import "C"

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// lifeMu makes C_Initialize and C_Finalize take turns.
var lifeMu sync.Mutex

// endWithin bounds how long C_Finalize waits: for the module, then for calls
// under way to return.
const endWithin = 2 * time.Second

//export go_C_Initialize
func go_C_Initialize(pInitArgs C.CK_VOID_PTR) C.CK_RV {
	lifeMu.Lock()
	defer lifeMu.Unlock()
	if current.Load() != nil {
		return rv(ck.CKR_CRYPTOKI_ALREADY_INITIALIZED)
	}
	reserved, err := initArgs((*C.CK_C_INITIALIZE_ARGS)(pInitArgs))
	if err != nil {
		return rv(ck.RVOf(err))
	}
	m, err := newModule(reserved)
	if err != nil {
		return rv(ck.RVOf(err))
	}
	l := &life{module: m, bound: m.CallTimeout(), log: m.Log(), trace: m.Trace()}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.many = pkcs11.Crowded(l.ctx)
	current.Store(l)
	relay(m.Lines())
	return C.CKR_OK
}

// initArgs checks CK_C_INITIALIZE_ARGS and gives the text at pReserved, which
// fork.c has made sure of. Mutex functions are all there or none; Go's own locks
// are used in every case, and threads made: refusing CKF_LIBRARY_CANT_CREATE_
// OS_THREADS makes some applications serialise every call, others give up.
func initArgs(a *C.CK_C_INITIALIZE_ARGS) (string, error) {
	if a == nil {
		return "", nil
	}
	given := 0
	for _, there := range []bool{a.CreateMutex != nil, a.DestroyMutex != nil, a.LockMutex != nil, a.UnlockMutex != nil} {
		if there {
			given++
		}
	}
	if given != 0 && given != 4 {
		return "", fmt.Errorf("%d of 4 mutex functions: %w", given, ck.CKR_ARGUMENTS_BAD)
	}
	return C.GoString((*C.char)(a.pReserved)), nil
}

// getenv asks C. Go's copy is of the environment that the process began with:
// what the application has set since is not in it, and programs such as nginx
// write over the place it is read from.
func getenv(name string) string {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	return C.GoString(C.getenv(n))
}

func newModule(reserved string) (m *pkcs11.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s: %w", p, debug.Stack(), ck.CKR_GENERAL_ERROR)
		}
	}()
	return pkcs11.New(reserved, getenv)
}

//export go_C_Finalize
func go_C_Finalize(pReserved C.CK_VOID_PTR) C.CK_RV {
	lifeMu.Lock()
	defer lifeMu.Unlock()
	l := current.Swap(nil)
	if l == nil {
		return rv(ck.CKR_CRYPTOKI_NOT_INITIALIZED)
	}
	l.end()
	l.drain()
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	return l.result("C_Finalize", run(ctx, l.module, "C_Finalize", &args{}, func(ctx context.Context, m *pkcs11.Module) error {
		return m.Finalize(ctx)
	}))
}

// drain waits for the calls that end has woken, so that none writes into its
// caller's memory after C_Finalize; for a while, for C_Finalize must not hang.
func (l *life) drain() {
	for until := time.Now().Add(endWithin); l.calls.Load() > 0 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
}

//export go_inheritance
func go_inheritance(text *C.char, size C.CK_ULONG) {
	to := unsafe.Slice((*byte)(unsafe.Pointer(text)), int(size))
	clear(to)
	l := current.Load()
	if l == nil || l.module.ConfigFile() == "" {
		return
	}
	copy(to[:size-1], "config="+l.module.ConfigFile())
}

//export go_C_GetInfo
func go_C_GetInfo(pInfo C.CK_INFO_PTR) C.CK_RV {
	var a args
	a.need(unsafe.Pointer(pInfo))
	return call("C_GetInfo", &a, func(ctx context.Context, m *pkcs11.Module) error {
		info, err := m.GetInfo(ctx)
		if err != nil {
			return err
		}
		*pInfo = C.CK_INFO{
			cryptokiVersion: version(info.CryptokiVersion),
			flags:           C.CK_FLAGS(info.Flags),
			libraryVersion:  version(info.LibraryVersion),
		}
		pad(pInfo.manufacturerID[:], info.ManufacturerID)
		pad(pInfo.libraryDescription[:], info.LibraryDescription)
		return nil
	})
}

//export go_C_GetFunctionStatus
func go_C_GetFunctionStatus(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return refuse("C_GetFunctionStatus", ck.CKR_FUNCTION_NOT_PARALLEL)
}

//export go_C_CancelFunction
func go_C_CancelFunction(hSession C.CK_SESSION_HANDLE) C.CK_RV {
	return refuse("C_CancelFunction", ck.CKR_FUNCTION_NOT_PARALLEL)
}
