package conformance

import (
	"bytes"
	"fmt"
	"unsafe"

	"grep11/pkcs11/ck"
)

// arena is C memory for one call after the other. Behind each piece lies a mark
// that nobody may write over.
type arena struct {
	memory *Memory
	all    []byte
	base   uintptr
	used   int
	marks  []int
}

var mark = []byte("do not write here")

func newArena() *arena {
	memory := NewMemory()
	place := memory.Room(1 << 18)
	return &arena{memory: memory, all: place.Bytes(), base: place.Address()}
}

func (a *arena) reset() { a.used, a.marks = 0, a.marks[:0] }

// region is a piece of an arena.
type region struct {
	at uintptr
	b  []byte
}

func (r region) word(i int) uintptr { return *(*uintptr)(unsafe.Pointer(&r.b[8*i])) }

func (a *arena) room(n int) region {
	from, to := a.used, a.used+n
	clear(a.all[from:to])
	copy(a.all[to:], mark)
	a.marks = append(a.marks, to)
	a.used = (to + len(mark) + 15) &^ 15
	return region{a.base + uintptr(from), a.all[from:to:to]}
}

func (a *arena) bytes(b []byte) uintptr {
	r := a.room(len(b))
	copy(r.b, b)
	return r.at
}

func (a *arena) words(w ...uintptr) uintptr {
	r := a.room(8 * len(w))
	copy(unsafe.Slice((*uintptr)(unsafe.Pointer(unsafe.SliceData(r.b))), len(w)), w)
	return r.at
}

// at is a word of the arena by its address.
func (a *arena) at(address uintptr) *uintptr {
	return (*uintptr)(unsafe.Pointer(&a.all[address-a.base]))
}

// template gives address and length.
func (a *arena) template(t ck.Template) (uintptr, uintptr) {
	var words []uintptr
	for _, at := range t {
		words = append(words, uintptr(at.Type), a.bytes(at.Value), uintptr(len(at.Value)))
	}
	if len(t) == 0 {
		return 0, 0
	}
	return a.words(words...), uintptr(len(t))
}

func (a *arena) mechanism(t ck.MechanismType, param []byte) uintptr {
	if len(param) == 0 {
		return a.words(uintptr(t), 0, 0)
	}
	return a.words(uintptr(t), a.bytes(param), uintptr(len(param)))
}

// overwritten tells what is wrong with the marks.
func (a *arena) overwritten() string {
	for _, at := range a.marks {
		if !bytes.Equal(a.all[at:at+len(mark)], mark) {
			return fmt.Sprintf("%x", a.all[at:at+len(mark)])
		}
	}
	return ""
}
