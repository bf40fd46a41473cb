package conformance

/*
#cgo CFLAGS: -I${SRCDIR}/../c
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include "cryptoki.h"

typedef unsigned long word;

// All arguments of all C_ functions are words or shorter and go where words go,
// so one call with as many as the longest has serves every function.
static CK_RV call(void *f, word *a)
{
	CK_RV (*g)(word, word, word, word, word, word, word, word, word, word, word);
	memcpy(&g, &f, sizeof g);
	return g(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]);
}

static void *member(void *list, unsigned n)
{
	void *f;
	memcpy(&f, (char *)list + sizeof(word) * (n + 1), sizeof f); // after the padded version
	return f;
}
*/
import "C"

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"grep11/pkcs11/ck"
)

// tables are the standard's, from which the library is generated too: their
// folder, as seen from this package or from one below it.
func tables() string {
	const here = "../build/gen/tables/"
	if _, err := os.Stat(here); err != nil {
		return "../" + here
	}
	return here
}

// Function is a row of the standard's function table.
type Function struct {
	Name  string
	Since string // "2.40", "3.0", "3.2"
	Args  []string
}

// Functions reads the table, in the order of the function lists.
func Functions() ([]Function, error) {
	rows, err := Table("pkcs11-functions.csv")
	if err != nil {
		return nil, err
	}
	var all []Function
	for _, r := range rows {
		all = append(all, Function{r[0], r[1], strings.Split(r[2], "; ")})
	}
	return all, nil
}

// Table reads one of the standard's tables without its heading.
func Table(name string) ([][]string, error) {
	f, err := os.Open(tables() + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows[1:], nil
}

// Module is a loaded library.
type Module struct {
	handle    unsafe.Pointer
	functions []Function
}

// Load loads a library with RTLD_NOW and more flags, and leaves it
// uninitialised. It may be loaded several times.
func Load(path string, flags int) (*Module, error) {
	functions, err := Functions()
	if err != nil {
		return nil, err
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	m := &Module{C.dlopen(name, C.RTLD_NOW|C.int(flags)), functions}
	if m.handle == nil {
		return nil, errors.New(C.GoString(C.dlerror()))
	}
	return m, nil
}

// Unload is dlclose.
func (m *Module) Unload() error {
	if C.dlclose(m.handle) != 0 {
		return errors.New(C.GoString(C.dlerror()))
	}
	return nil
}

// Symbol is the address of an exported function, nil if it is not there.
func (m *Module) Symbol(name string) unsafe.Pointer {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.dlsym(m.handle, s)
}

// invoke calls a C function. Arguments that point must point to C memory (see
// Memory).
func invoke(f unsafe.Pointer, arguments []uintptr) ck.RV {
	var words [11]C.word
	for i, a := range arguments {
		words[i] = C.word(a)
	}
	return ck.RV(C.call(f, &words[0]))
}

// Call calls an exported function.
func (m *Module) Call(name string, arguments ...uintptr) ck.RV {
	f := m.Symbol(name)
	if f == nil {
		panic("conformance: no symbol " + name)
	}
	rv := invoke(f, arguments)
	heard(name, rv)
	return rv
}

// heard is told what each call of a Module answered.
var heard = func(name string, rv ck.RV) {}

// Interface is a CK_INTERFACE and the version of its list.
type Interface struct {
	Name    string
	Version ck.Version
	Flags   ck.Flags
	list    unsafe.Pointer
	names   []string
}

// Call calls a function through the interface's list.
func (i Interface) Call(name string, arguments ...uintptr) ck.RV {
	return invoke(i.member(name), arguments)
}

func (i Interface) member(name string) unsafe.Pointer {
	n := slices.Index(i.names, name)
	if n < 0 {
		panic("conformance: no function " + name)
	}
	return C.member(i.list, C.uint(n))
}

// Names are the functions that a list of the interface's version holds.
func (i Interface) Names() []string { return i.names }

// FunctionList is C_GetFunctionList's answer, as an interface.
func (m *Module) FunctionList() (Interface, ck.RV) {
	memory := NewMemory()
	defer memory.Free()
	p := memory.Words(0)
	if rv := m.Call("C_GetFunctionList", p.Address()); rv != ck.CKR_OK {
		return Interface{}, rv
	}
	return m.interfaceOf("PKCS 11", 0, p.Pointer()), ck.CKR_OK
}

// GetInterface is C_GetInterface; "" and nil are NULL.
func (m *Module) GetInterface(name string, v *ck.Version, flags ck.Flags) (Interface, ck.RV) {
	memory := NewMemory()
	defer memory.Free()
	found := memory.Words(0)
	var nameAt, versionAt uintptr
	if name != "" {
		nameAt = memory.Bytes(append([]byte(name), 0)).Address()
	}
	if v != nil {
		versionAt = memory.Bytes([]byte{v.Major, v.Minor}).Address()
	}
	if rv := m.Call("C_GetInterface", nameAt, versionAt, found.Address(), uintptr(flags)); rv != ck.CKR_OK {
		return Interface{}, rv
	}
	return m.interfaceAt((*C.CK_INTERFACE)(found.Pointer())), ck.CKR_OK
}

// Interfaces is C_GetInterfaceList.
func (m *Module) Interfaces() ([]Interface, ck.RV) {
	memory := NewMemory()
	defer memory.Free()
	count := memory.Words(0)
	if rv := m.Call("C_GetInterfaceList", 0, count.Address()); rv != ck.CKR_OK {
		return nil, rv
	}
	list := memory.Room(int(count.Word()) * C.sizeof_CK_INTERFACE)
	if rv := m.Call("C_GetInterfaceList", list.Address(), count.Address()); rv != ck.CKR_OK {
		return nil, rv
	}
	var all []Interface
	found := unsafe.Slice((*C.CK_INTERFACE)(list.p), int(count.Word()))
	for i := range found {
		all = append(all, m.interfaceAt(&found[i]))
	}
	return all, ck.CKR_OK
}

func (m *Module) interfaceAt(i *C.CK_INTERFACE) Interface {
	name := C.GoString((*C.char)(unsafe.Pointer(i.pInterfaceName)))
	return m.interfaceOf(name, ck.Flags(i.flags), unsafe.Pointer(i.pFunctionList))
}

func (m *Module) interfaceOf(name string, flags ck.Flags, list unsafe.Pointer) Interface {
	v := (*C.CK_VERSION)(list)
	i := Interface{Name: name, Version: ck.Version{Major: byte(v.major), Minor: byte(v.minor)}, Flags: flags, list: list}
	for _, f := range m.functions {
		if f.Since == "2.40" || v.major > 3 || v.major == 3 && (f.Since == "3.0" || v.minor >= 2) {
			i.names = append(i.names, f.Name)
		}
	}
	return i
}
