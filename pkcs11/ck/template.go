package ck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// Attribute is CK_ATTRIBUTE. Value holds the bytes an application passes: a
// CK_BBOOL is one byte, a CK_ULONG eight in native order, an array of
// CK_ULONGs eight each. Sub is the value of an array attribute of templates
// (CKA_WRAP_TEMPLATE and its kin) and nil otherwise.
type Attribute struct {
	Type  AttributeType
	Value []byte
	Sub   Template
}

// Template is a list of attributes, in the caller's order.
type Template []Attribute

const lenUlong = 8

// Bool makes a CK_BBOOL attribute.
func Bool(t AttributeType, v bool) Attribute {
	if v {
		return Attribute{Type: t, Value: []byte{CK_TRUE}}
	}
	return Attribute{Type: t, Value: []byte{CK_FALSE}}
}

// Ulong makes a CK_ULONG attribute.
func Ulong[T ~uint64 | ~int](t AttributeType, v T) Attribute {
	return Attribute{Type: t, Value: binary.NativeEndian.AppendUint64(nil, uint64(v))}
}

// Bytes makes a byte-string attribute.
func Bytes(t AttributeType, v []byte) Attribute { return Attribute{Type: t, Value: v} }

// Ulongs makes an array of CK_ULONGs, such as CKA_ALLOWED_MECHANISMS.
func Ulongs[T ~uint64](t AttributeType, v []T) Attribute {
	a := Attribute{Type: t, Value: make([]byte, 0, lenUlong*len(v))}
	for _, n := range v {
		a.Value = binary.NativeEndian.AppendUint64(a.Value, uint64(n))
	}
	return a
}

// Bool reads a CK_BBOOL. A value of another length is CKR_ATTRIBUTE_VALUE_INVALID.
func (a Attribute) Bool() (bool, error) {
	if len(a.Value) != 1 {
		return false, fmt.Errorf("%v: %d bytes instead of a CK_BBOOL: %w", a.Type, len(a.Value), CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return a.Value[0] != CK_FALSE, nil
}

// Ulong reads a CK_ULONG. A value of another length is CKR_ATTRIBUTE_VALUE_INVALID.
func (a Attribute) Ulong() (uint64, error) {
	if len(a.Value) != lenUlong {
		return 0, fmt.Errorf("%v: %d bytes instead of a CK_ULONG: %w", a.Type, len(a.Value), CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return binary.NativeEndian.Uint64(a.Value), nil
}

// Ulongs reads an array of CK_ULONGs.
func (a Attribute) Ulongs() ([]uint64, error) {
	if len(a.Value)%lenUlong != 0 {
		return nil, fmt.Errorf("%v: %d bytes are no array of CK_ULONGs: %w", a.Type, len(a.Value), CKR_ATTRIBUTE_VALUE_INVALID)
	}
	out := make([]uint64, 0, len(a.Value)/lenUlong)
	for b := a.Value; len(b) > 0; b = b[lenUlong:] {
		out = append(out, binary.NativeEndian.Uint64(b))
	}
	return out, nil
}

// Equal tells whether type and value are the same; of templates the order does
// not count.
func (a Attribute) Equal(b Attribute) bool {
	if a.Type != b.Type || !bytes.Equal(a.Value, b.Value) || len(a.Sub) != len(b.Sub) {
		return false
	}
	for _, sub := range a.Sub {
		if other, ok := b.Sub.Get(sub.Type); !ok || !sub.Equal(other) {
			return false
		}
	}
	return true
}

// LogValue shows an attribute's type and length, never its value.
func (a Attribute) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("%v(%d bytes)", a.Type, len(a.Value)))
}

// Get finds the first attribute of a type.
func (t Template) Get(at AttributeType) (Attribute, bool) {
	for _, a := range t {
		if a.Type == at {
			return a, true
		}
	}
	return Attribute{}, false
}

// Has tells whether an attribute of a type is there.
func (t Template) Has(at AttributeType) bool {
	_, ok := t.Get(at)
	return ok
}

// Bool reads a CK_BBOOL, or the default where it is absent.
func (t Template) Bool(at AttributeType, absent bool) (bool, error) {
	a, ok := t.Get(at)
	if !ok {
		return absent, nil
	}
	return a.Bool()
}

// Ulong reads a CK_ULONG and whether it is there.
func (t Template) Ulong(at AttributeType) (v uint64, ok bool, err error) {
	a, ok := t.Get(at)
	if !ok {
		return 0, false, nil
	}
	v, err = a.Ulong()
	return v, true, err
}

// Bytes reads a byte string, nil where it is absent.
func (t Template) Bytes(at AttributeType) []byte {
	a, _ := t.Get(at)
	return a.Value
}

// Set returns the template with one attribute replaced or added; t itself
// stays as it was.
func (t Template) Set(a Attribute) Template {
	out := make(Template, 0, len(t)+1)
	for _, old := range t {
		if old.Type != a.Type {
			out = append(out, old)
		}
	}
	return append(out, a)
}

// Without returns the template less the attributes of some types.
func (t Template) Without(types ...AttributeType) Template {
	out := make(Template, 0, len(t))
next:
	for _, a := range t {
		for _, at := range types {
			if a.Type == at {
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

// With returns t overlaid by the attributes of over.
func (t Template) With(over Template) Template {
	out := append(Template(nil), t...)
	for _, a := range over {
		out = out.Set(a)
	}
	return out
}
