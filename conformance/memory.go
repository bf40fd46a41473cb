package conformance

// #include <stdlib.h>
import "C"

import (
	"unsafe"

	"grep11/pkcs11/ck"
)

// Memory is C memory for a call's arguments, freed together.
type Memory struct{ all []unsafe.Pointer }

// NewMemory has to be freed.
func NewMemory() *Memory { return &Memory{} }

// Free frees all of it.
func (m *Memory) Free() {
	for _, p := range m.all {
		C.free(p)
	}
	m.all = nil
}

// Place is a piece of it.
type Place struct {
	p unsafe.Pointer
	n int
}

// Room is n bytes of zeros.
func (m *Memory) Room(n int) Place {
	p := C.calloc(1, C.size_t(max(n, 1)))
	m.all = append(m.all, p)
	return Place{p, n}
}

// Bytes holds a copy of b.
func (m *Memory) Bytes(b []byte) Place {
	p := m.Room(len(b))
	copy(p.Bytes(), b)
	return p
}

// Words holds an array of CK_ULONGs or pointers.
func (m *Memory) Words(w ...uintptr) Place {
	p := m.Room(len(w) * int(unsafe.Sizeof(uintptr(0))))
	copy(unsafe.Slice((*uintptr)(p.p), len(w)), w)
	return p
}

// Address is what C is given.
func (p Place) Address() uintptr { return uintptr(p.p) }

// Bytes is the memory itself.
func (p Place) Bytes() []byte { return unsafe.Slice((*byte)(p.p), p.n) }

// Word reads the first CK_ULONG.
func (p Place) Word() uintptr { return *(*uintptr)(p.p) }

// Pointer reads the first pointer.
func (p Place) Pointer() unsafe.Pointer { return *(*unsafe.Pointer)(p.p) }

// Template holds CK_ATTRIBUTEs with their values.
func (m *Memory) Template(t ck.Template) Place {
	var words []uintptr
	for _, a := range t {
		words = append(words, uintptr(a.Type), m.Bytes(a.Value).Address(), uintptr(len(a.Value)))
	}
	return m.Words(words...)
}

// Mechanism holds a CK_MECHANISM and its parameter.
func (m *Memory) Mechanism(t ck.MechanismType, parameter []byte) Place {
	if parameter == nil {
		return m.Words(uintptr(t), 0, 0)
	}
	return m.Words(uintptr(t), m.Bytes(parameter).Address(), uintptr(len(parameter)))
}

// WordAt reads the i-th CK_ULONG.
func (p Place) WordAt(i int) uintptr { return unsafe.Slice((*uintptr)(p.p), i+1)[i] }

// SetWords writes over the first CK_ULONGs.
func (p Place) SetWords(w ...uintptr) { copy(unsafe.Slice((*uintptr)(p.p), len(w)), w) }
