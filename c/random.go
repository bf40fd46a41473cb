package main

// #include "engine.h"
import "C"

import (
	"context"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

//export go_C_SeedRandom
func go_C_SeedRandom(hSession C.CK_SESSION_HANDLE, pSeed C.CK_BYTE_PTR, ulSeedLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	data := a.in(pSeed, ulSeedLen)
	return call("C_SeedRandom", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.SeedRandom(ctx, ck.SessionHandle(hSession), data)
	})
}

//export go_C_GenerateRandom
func go_C_GenerateRandom(hSession C.CK_SESSION_HANDLE, RandomData C.CK_BYTE_PTR, ulRandomLen C.CK_ULONG) C.CK_RV {
	a := argsOf(hSession)
	buf := a.in(RandomData, ulRandomLen)
	return call("C_GenerateRandom", &a, func(ctx context.Context, m *pkcs11.Module) error {
		return m.GenerateRandom(ctx, ck.SessionHandle(hSession), buf)
	})
}
