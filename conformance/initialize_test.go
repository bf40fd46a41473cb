package conformance

import (
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

// TestInitializeArguments is what applications pass to C_Initialize: libp11,
// GnuTLS, NSS, pkcs11-helper and p11-kit differ in all of it.
func TestInitializeArguments(t *testing.T) {
	m := load(t)
	f := m.Symbol("C_GetInfo") // stands for any function: none is called
	mutex := uintptr(f)
	for _, row := range []struct {
		what    string
		mutexes [4]uintptr
		flags   ck.Flags
		text    string
		rv      ck.RV
	}{
		{what: "no flags, no mutexes"},
		{what: "the system's locks", flags: ck.CKF_OS_LOCKING_OK},
		{what: "no threads of ours", flags: ck.CKF_LIBRARY_CANT_CREATE_OS_THREADS},
		{what: "both flags", flags: ck.CKF_OS_LOCKING_OK | ck.CKF_LIBRARY_CANT_CREATE_OS_THREADS},
		{what: "four mutexes", mutexes: [4]uintptr{mutex, mutex, mutex, mutex}},
		{what: "four mutexes or the system's", mutexes: [4]uintptr{mutex, mutex, mutex, mutex}, flags: ck.CKF_OS_LOCKING_OK},
		{what: "three mutexes", mutexes: [4]uintptr{mutex, mutex, mutex, 0}, rv: ck.CKR_ARGUMENTS_BAD},
		{what: "one mutex", mutexes: [4]uintptr{0, 0, 0, mutex}, flags: ck.CKF_OS_LOCKING_OK, rv: ck.CKR_ARGUMENTS_BAD},
		{what: "a text that is no path", text: "configdir='sql:/nowhere' certPrefix=''"},
		{what: "a text of 100 kB", text: strings.Repeat("x", 100000)},
	} {
		memory := NewMemory()
		words := append(row.mutexes[:], uintptr(row.flags), 0)
		if row.text != "" {
			words[5] = memory.Bytes([]byte(row.text + "\x00")).Address()
		}
		rv := m.Call("C_Initialize", memory.Words(words...).Address())
		if rv != row.rv {
			t.Errorf("%s: %v, want %v", row.what, rv, row.rv)
		}
		if rv == ck.CKR_OK {
			initializedOnce(t, m, row.what)
		}
		memory.Free()
	}
}

func initializedOnce(t *testing.T, m *Module, what string) {
	t.Helper()
	if rv := m.Call("C_Initialize", 0); rv != ck.CKR_CRYPTOKI_ALREADY_INITIALIZED {
		t.Errorf("%s: a second C_Initialize: %v", what, rv)
	}
	if rv := m.Call("C_Finalize", 1); rv != ck.CKR_ARGUMENTS_BAD {
		t.Errorf("%s: C_Finalize with an argument: %v", what, rv)
	}
	if rv := m.Call("C_Finalize", 0); rv != ck.CKR_OK {
		t.Errorf("%s: C_Finalize: %v", what, rv)
	}
	if rv := m.Call("C_Finalize", 0); rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("%s: a second C_Finalize: %v", what, rv)
	}
}

// TestReservedPointsNowhere: what is at pReserved is a claim of the caller's.
func TestReservedPointsNowhere(t *testing.T) {
	if !ours() {
		return
	}
	m := load(t)
	memory := NewMemory()
	defer memory.Free()
	for _, nowhere := range []uintptr{1, 4095, ^uintptr(0), 1 << 60} {
		args := memory.Words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), nowhere)
		if rv := m.Call("C_Initialize", args.Address()); rv != ck.CKR_ARGUMENTS_BAD {
			t.Errorf("pReserved %#x: %v", nowhere, rv)
		}
	}
}
