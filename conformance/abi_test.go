package conformance

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

var (
	v240 = ck.Version{Major: 2, Minor: 40}
	v30  = ck.Version{Major: 3, Minor: 0}
	v32  = ck.Version{Major: 3, Minor: 2}
)

// TestExports: applications load us beside other Go programs and other modules;
// nothing but the C_ functions may be seen, and all of them must.
func TestExports(t *testing.T) {
	library, err := elf.Open(modulePath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	symbols, err := library.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF || s.Section == elf.SHN_ABS {
			continue
		}
		exported = append(exported, s.Name)
		if ours() && !strings.HasPrefix(s.Name, "C_") {
			t.Errorf("exports %s", s.Name)
		}
	}
	for _, f := range functions(t) {
		if !slices.Contains(exported, f.Name) {
			t.Errorf("does not export %s", f.Name)
		}
	}
}

func functions(t *testing.T) []Function {
	all, err := Functions()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 104 {
		t.Fatalf("%d functions in the table; PKCS#11 3.2 has 104", len(all))
	}
	return all
}

// TestListsAreComplete: no list may hold a NULL, and each holds the functions
// that the library exports, at their places.
func TestListsAreComplete(t *testing.T) {
	m := load(t)
	lists, rv := m.Interfaces()
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	old, rv := m.FunctionList()
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	sizes := map[ck.Version]int{v240: 68, v30: 92, v32: 104}
	for _, l := range append(lists, old) {
		if len(l.Names()) != sizes[l.Version] {
			t.Errorf("%v: %d functions, the standard has %d", l.Version, len(l.Names()), sizes[l.Version])
		}
		for _, name := range l.Names() {
			if l.member(name) == nil || l.member(name) != m.Symbol(name) {
				t.Errorf("%v: %s is at %p, exported at %p", l.Version, name, l.member(name), m.Symbol(name))
			}
		}
	}
}

func TestInterfaceList(t *testing.T) {
	m := load(t)
	lists, rv := m.Interfaces()
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	var versions []ck.Version
	for _, l := range lists {
		if l.Name != "PKCS 11" {
			t.Errorf("an interface %q", l.Name)
		}
		versions = append(versions, l.Version)
	}
	if !slices.Equal(versions, []ck.Version{v32, v30, v240}) {
		t.Errorf("versions %v, want the newest first", versions)
	}
	old, rv := m.FunctionList()
	if rv != ck.CKR_OK || old.Version != v240 {
		t.Errorf("C_GetFunctionList: %v, version %v", rv, old.Version)
	}

	memory := NewMemory()
	defer memory.Free()
	room, count := memory.Room(1000), memory.Words(2)
	if rv := m.Call("C_GetInterfaceList", room.Address(), count.Address()); rv != ck.CKR_BUFFER_TOO_SMALL || count.Word() != 3 {
		t.Errorf("room for 2: %v, count %d", rv, count.Word())
	}
	for name, pointers := range map[string][]uintptr{
		"C_GetInterfaceList": {room.Address(), 0}, "C_GetFunctionList": {0}, "C_GetInterface": {0, 0, 0, 0},
	} {
		if rv := m.Call(name, pointers...); rv != ck.CKR_ARGUMENTS_BAD {
			t.Errorf("%s without a place for the result: %v", name, rv)
		}
	}
}

func TestGetInterface(t *testing.T) {
	m := load(t)
	for _, row := range []struct {
		what    string
		name    string
		version *ck.Version
		flags   ck.Flags
		want    ck.Version
		rv      ck.RV
	}{
		{"nothing asked is the newest", "", nil, 0, v32, ck.CKR_OK},
		{"the standard's name is the newest", "PKCS 11", nil, 0, v32, ck.CKR_OK},
		{"3.2 by name", "PKCS 11", &v32, 0, v32, ck.CKR_OK},
		{"3.0 by name", "PKCS 11", &v30, 0, v30, ck.CKR_OK},
		{"2.40 without a name", "", &v240, 0, v240, ck.CKR_OK},
		{"a version that is none", "PKCS 11", &ck.Version{Major: 3, Minor: 1}, 0, ck.Version{}, ck.CKR_ARGUMENTS_BAD},
		{"another's name", "Vendor X", nil, 0, ck.Version{}, ck.CKR_ARGUMENTS_BAD},
		{"sessions that survive fork", "PKCS 11", nil, ck.CKF_INTERFACE_FORK_SAFE, ck.Version{}, ck.CKR_ARGUMENTS_BAD},
		{"a flag nobody knows", "", nil, 1 << 40, ck.Version{}, ck.CKR_ARGUMENTS_BAD},
	} {
		got, rv := m.GetInterface(row.name, row.version, row.flags)
		if rv != row.rv || got.Version != row.want {
			t.Errorf("%s: %v, version %v", row.what, rv, got.Version)
		}
	}
}

// answeredAnyway are functions that work without C_Initialize.
var answeredAnyway = []string{"C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"}

func TestEverythingWantsInitialize(t *testing.T) {
	newest, rv := load(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	for _, name := range newest.Names() {
		if slices.Contains(answeredAnyway, name) {
			continue
		}
		if rv := newest.Call(name); rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
			t.Errorf("%s: %v", name, rv)
		}
	}
}

// TestZeros calls everything with NULL pointers, zero lengths and handles that
// are none: a refusal each time, and no crash.
func TestZeros(t *testing.T) {
	newest, rv := initialized(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	for _, name := range newest.Names() {
		if name == "C_Finalize" {
			continue
		}
		if rv := newest.Call(name); rv == ck.CKR_OK || rv == ck.CKR_GENERAL_ERROR {
			t.Errorf("%s: %v", name, rv)
		}
	}
}

// TestHugeLengths gives every length and count as large as it can be. Data that
// would have to be read cannot be that long; results fit any room.
func TestHugeLengths(t *testing.T) {
	newest, rv := initialized(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	memory := NewMemory()
	defer memory.Free()
	for _, f := range functions(t) {
		if f.Name == "C_Finalize" || f.Name == "C_Initialize" {
			continue
		}
		var arguments []uintptr
		for _, a := range f.Args {
			arguments = append(arguments, hugeArgument(memory, a))
		}
		rv := newest.Call(f.Name, arguments...)
		if slices.Contains(needNoHandle, f.Name) && rv == ck.CKR_OK {
			continue
		}
		if rv == ck.CKR_OK || rv == ck.CKR_GENERAL_ERROR {
			t.Errorf("%s: %v", f.Name, rv)
		}
	}
}

// needNoHandle are functions that a place for the result satisfies.
var needNoHandle = []string{"C_GetInfo", "C_GetFunctionList", "C_GetSlotList"}

// hugeArgument is all ones for a number; pointers point to zeros, and those to
// lengths at a length of all ones.
func hugeArgument(memory *Memory, argument string) uintptr {
	typ, name, _ := strings.Cut(argument, " ")
	switch {
	case typ == "CK_BBOOL":
		return 1
	case typ == "CK_ULONG_PTR" && !strings.HasPrefix(name, "pulCount"):
		return memory.Words(^uintptr(0)).Address()
	case strings.Contains(typ, "_PTR") || typ == "CK_NOTIFY":
		return memory.Room(4096).Address()
	}
	return ^uintptr(0)
}

// TestPointersNowhere gives pointers that are small numbers, as applications do
// with a pApplication or beside a length of 0: none is followed.
func TestPointersNowhere(t *testing.T) {
	if !ours() {
		return
	}
	newest, rv := initialized(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	for _, f := range functions(t) {
		if f.Name == "C_Finalize" || slices.Contains(answeredAnyway, f.Name) {
			continue
		}
		arguments := make([]uintptr, len(f.Args))
		for i, a := range f.Args {
			if typ, _, _ := strings.Cut(a, " "); strings.HasSuffix(typ, "_PTR") {
				arguments[i] = 5
			}
		}
		if rv := newest.Call(f.Name, arguments...); rv == ck.CKR_OK || rv == ck.CKR_GENERAL_ERROR {
			t.Errorf("%s: %v", f.Name, rv)
		}
	}
}

// TestNotBuilt: what the standard has and the module has not says so.
func TestNotBuilt(t *testing.T) {
	if !ours() {
		return
	}
	newest, rv := initialized(t).GetInterface("", nil, 0)
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	for name, want := range map[string]ck.RV{
		"C_GetFunctionStatus": ck.CKR_FUNCTION_NOT_PARALLEL,
		"C_CancelFunction":    ck.CKR_FUNCTION_NOT_PARALLEL,
		"C_AsyncComplete":     ck.CKR_FUNCTION_NOT_SUPPORTED,
		"C_AsyncGetID":        ck.CKR_FUNCTION_NOT_SUPPORTED,
		"C_AsyncJoin":         ck.CKR_FUNCTION_NOT_SUPPORTED,
	} {
		if rv := newest.Call(name); rv != want {
			t.Errorf("%s: %v, want %v", name, rv, want)
		}
	}
}
