package main

// #include "engine.h"
import "C"

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// pad writes a string into a field of the standard's: cut at a whole character,
// filled with blanks, without a final NUL.
func pad(field []C.CK_UTF8CHAR, s string) {
	for len(s) > len(field) {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	for i := range field {
		field[i] = ' '
	}
	for i := range len(s) {
		field[i] = C.CK_UTF8CHAR(s[i])
	}
}

// unpad reads such a field; some callers end it with a NUL.
func unpad(field []byte) string {
	s, _, _ := strings.Cut(string(field), "\x00")
	return strings.TrimRight(s, " ")
}

func version(v ck.Version) C.CK_VERSION {
	return C.CK_VERSION{major: C.CK_BYTE(v.Major), minor: C.CK_BYTE(v.Minor)}
}

// list writes a list of CK_ULONGs by the rule for lists: with no buffer the
// number of items, with too small a buffer that number and CKR_BUFFER_TOO_SMALL.
func list[T ~uint64](items []T, buf, count *C.CK_ULONG) error {
	room := *count
	*count = C.CK_ULONG(len(items))
	if buf == nil {
		return nil
	}
	if uint64(room) < uint64(len(items)) {
		return ck.CKR_BUFFER_TOO_SMALL
	}
	put(items, buf)
	return nil
}

func put[T ~uint64](items []T, buf *C.CK_ULONG) {
	to := unsafe.Slice(buf, len(items))
	for i, item := range items {
		to[i] = C.CK_ULONG(item)
	}
}

// outputs are the places of a C_GetAttributeValue.
func (a *args) outputs(from []C.CK_ATTRIBUTE, depth int) []pkcs11.AttributeOutput {
	want := make([]pkcs11.AttributeOutput, len(from))
	for i := range from {
		want[i] = a.output(&from[i], depth)
	}
	return want
}

// output is one of them. A length of CK_UNAVAILABLE_INFORMATION beside a buffer
// is left from an earlier call: no room.
func (a *args) output(from *C.CK_ATTRIBUTE, depth int) pkcs11.AttributeOutput {
	o := pkcs11.AttributeOutput{
		Type: ck.AttributeType(from._type),
		Len:  (*uint64)(unsafe.Pointer(&from.ulValueLen)),
	}
	value := pointer(unsafe.Pointer(&from.pValue))
	if value == nil {
		return o
	}
	n := min(uint64(from.ulValueLen), maxLen)
	if *o.Len == ck.CK_UNAVAILABLE_INFORMATION {
		n = 0
	}
	o.Buf = unsafe.Slice((*byte)(value), int(n))
	if o.Type.Kind() == ck.KindTemplates {
		sub, count := a.nested(from, depth)
		o.Sub = a.outputs(a.attributes(sub, count), depth-1)
	}
	return o
}

// nameNested tells the caller the types of the attributes in nested templates,
// which the module has filled in.
func nameNested(to []C.CK_ATTRIBUTE, got []pkcs11.AttributeOutput) {
	for i := range got {
		if len(got[i].Sub) == 0 {
			continue
		}
		sub := unsafe.Slice((*C.CK_ATTRIBUTE)(to[i].pValue), len(got[i].Sub))
		for j := range sub {
			sub[j]._type = C.CK_ATTRIBUTE_TYPE(got[i].Sub[j].Type)
		}
		nameNested(sub, got[i].Sub)
	}
}
