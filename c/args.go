package main

// #include "engine.h"
import "C"

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// CK_ULONG is 8 bytes: this does not compile elsewhere.
const _ = -(unsafe.Sizeof(C.CK_ULONG(0)) ^ 8)

const (
	maxLen   = math.MaxInt32 // bytes of one argument; no caller has more, some pass -1
	maxCount = 1 << 16       // attributes of a template, handles of a list
	maxDepth = 4             // of templates within templates
)

// args turns the pointers of a call into Go values and remembers the first that
// cannot be one. Values read once (templates, parameters) are copied; data and
// outputs are the caller's memory and not to be kept after the call.
type args struct {
	err       error
	session   ck.SessionHandle // of a function that takes one
	inSession bool
}

func argsOf(h C.CK_SESSION_HANDLE) args { return args{session: ck.SessionHandle(h), inSession: true} }

func (a *args) fail(format string, values ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, values...)
	}
}

// in is a byte string; NULL is nil and must be empty.
func (a *args) in(p *C.CK_BYTE, n C.CK_ULONG) []byte {
	if p == nil && n == 0 {
		return nil
	}
	if p == nil || n > maxLen {
		a.fail("%d bytes at %p: %w", uint64(n), p, ck.CKR_ARGUMENTS_BAD)
		return nil
	}
	return unsafe.Slice((*byte)(p), int(n))
}

// out is a buffer and the place of its length, which must be there. Buffers
// that claim to be endless are cut.
func (a *args) out(p *C.CK_BYTE, n *C.CK_ULONG) *pkcs11.Output {
	if n == nil {
		a.fail("no place for the length: %w", ck.CKR_ARGUMENTS_BAD)
		return nil
	}
	size := (*uint64)(unsafe.Pointer(n))
	if p == nil {
		return pkcs11.NewOutput(nil, size)
	}
	return pkcs11.NewOutput(unsafe.Slice((*byte)(p), int(min(*size, maxLen))), size)
}

// need insists on a pointer to a result.
func (a *args) need(p unsafe.Pointer) {
	if p == nil {
		a.fail("no place for the result: %w", ck.CKR_ARGUMENTS_BAD)
	}
}

// attributes are the structs of a template.
func (a *args) attributes(p *C.CK_ATTRIBUTE, n C.CK_ULONG) []C.CK_ATTRIBUTE {
	if n == 0 {
		return nil
	}
	if p == nil || n > maxCount {
		a.fail("%d attributes at %p: %w", uint64(n), p, ck.CKR_ARGUMENTS_BAD)
		return nil
	}
	return unsafe.Slice(p, int(n))
}

func (a *args) template(p *C.CK_ATTRIBUTE, n C.CK_ULONG) ck.Template {
	return a.templateWithin(p, n, maxDepth)
}

func (a *args) templateWithin(p *C.CK_ATTRIBUTE, n C.CK_ULONG, depth int) ck.Template {
	from := a.attributes(p, n)
	t := make(ck.Template, 0, len(from))
	for i := range from {
		t = append(t, a.attribute(&from[i], depth))
	}
	return t
}

func (a *args) attribute(from *C.CK_ATTRIBUTE, depth int) ck.Attribute {
	at := ck.Attribute{Type: ck.AttributeType(from._type)}
	if at.Type.Kind() == ck.KindTemplates {
		sub, n := a.nested(from, depth)
		at.Sub = a.templateWithin(sub, n, depth-1)
		return at
	}
	at.Value = bytes.Clone(a.in((*C.CK_BYTE)(pointer(unsafe.Pointer(&from.pValue))), from.ulValueLen))
	return at
}

// nested is the array of attributes that is an attribute's value.
func (a *args) nested(from *C.CK_ATTRIBUTE, depth int) (*C.CK_ATTRIBUTE, C.CK_ULONG) {
	if from.ulValueLen%C.sizeof_CK_ATTRIBUTE != 0 || depth == 0 {
		a.fail("%v of %d bytes is no template: %w", ck.AttributeType(from._type), uint64(from.ulValueLen),
			ck.CKR_ATTRIBUTE_VALUE_INVALID)
		return nil, 0
	}
	return (*C.CK_ATTRIBUTE)(pointer(unsafe.Pointer(&from.pValue))), from.ulValueLen / C.sizeof_CK_ATTRIBUTE
}

// mechanism is one that must be there.
func (a *args) mechanism(p *C.CK_MECHANISM) mech.Mechanism {
	if m := a.mechanismOrNil(p); m != nil {
		return *m
	}
	a.fail("no mechanism: %w", ck.CKR_ARGUMENTS_BAD)
	return mech.Mechanism{}
}

// mechanismOrNil is one whose absence ends an operation.
func (a *args) mechanismOrNil(p *C.CK_MECHANISM) *mech.Mechanism {
	if p == nil {
		return nil
	}
	m := &mech.Mechanism{Type: ck.MechanismType(p.mechanism)}
	param, err := decodeParam(m.Type, part(&p.pParameter, p.ulParameterLen))
	if err != nil {
		a.fail("%v: %w", m.Type, err)
	}
	m.Param = param
	return m
}
