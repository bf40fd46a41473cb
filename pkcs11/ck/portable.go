package ck

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The portable form of a template, for what is stored and sealed: records of type
// (uvarint), kind (one byte), length (uvarint) and value. Numbers are eight bytes,
// big-endian, whatever the machine; the value of a nested template is records again.

// Bounds of the portable form: attributes in one template, and templates in
// templates.
const (
	MaxAttributes = 256
	maxDepth      = 4
)

// Portable makes the portable form. A template that has none is CKR_ATTRIBUTE_VALUE_INVALID.
func (t Template) Portable() ([]byte, error) { return appendTemplate(nil, t, maxDepth) }

// Portable makes the portable form of the attribute's value alone.
func (a Attribute) Portable() ([]byte, error) { return portable(a, maxDepth) }

func appendTemplate(out []byte, t Template, depth int) ([]byte, error) {
	if depth == 0 || len(t) > MaxAttributes {
		return nil, fmt.Errorf("template of %d attributes, nested too deep or too long: %w", len(t), CKR_ATTRIBUTE_VALUE_INVALID)
	}
	for _, a := range t {
		value, err := portable(a, depth)
		if err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(a.Type))
		out = append(out, byte(a.Type.Kind()))
		out = binary.AppendUvarint(out, uint64(len(value)))
		out = append(out, value...)
	}
	return out, nil
}

// portable makes the portable form of a value.
func portable(a Attribute, depth int) ([]byte, error) {
	switch a.Type.Kind() {
	case KindBool:
		_, err := a.Bool()
		return a.Value, err
	case KindUlong:
		v, err := a.Ulong()
		return binary.BigEndian.AppendUint64(nil, v), err
	case KindUlongs:
		list, err := a.Ulongs()
		var out []byte
		for _, v := range list {
			out = binary.BigEndian.AppendUint64(out, v)
		}
		return out, err
	case KindTemplates:
		return appendTemplate(nil, a.Sub, depth-1)
	}
	return a.Value, nil
}

// errNotPortable is the one error of FromPortable; callers say what it means.
var errNotPortable = errors.New("no template in the portable form")

// FromPortable reads the portable form. Values share the bytes given.
func FromPortable(b []byte) (Template, error) { return readRecords(b, maxDepth) }

func readRecords(b []byte, depth int) (Template, error) {
	if depth == 0 {
		return nil, errNotPortable
	}
	t := make(Template, 0, 32)
	for len(b) > 0 {
		if len(t) == MaxAttributes {
			return nil, errNotPortable
		}
		a, rest, err := readRecord(b, depth)
		if err != nil {
			return nil, err
		}
		t, b = append(t, a), rest
	}
	return t, nil
}

func readRecord(b []byte, depth int) (a Attribute, rest []byte, err error) {
	at, n := binary.Uvarint(b)
	if n <= 0 || len(b) < n+2 {
		return a, nil, errNotPortable
	}
	kind := Kind(b[n])
	b = b[n+1:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return a, nil, errNotPortable
	}
	end := n + int(size)
	a, err = native(AttributeType(at), kind, b[n:end:end], depth)
	return a, b[end:], err
}

// native is the reverse of portable.
func native(at AttributeType, kind Kind, value []byte, depth int) (Attribute, error) {
	a := Attribute{Type: at, Value: value}
	switch kind {
	case KindBytes:
	case KindBool:
		if len(value) != 1 {
			return a, errNotPortable
		}
	case KindUlong, KindUlongs:
		if len(value)%8 != 0 || kind == KindUlong && len(value) != 8 {
			return a, errNotPortable
		}
		a.Value = make([]byte, 0, len(value))
		for ; len(value) > 0; value = value[8:] {
			a.Value = binary.NativeEndian.AppendUint64(a.Value, binary.BigEndian.Uint64(value))
		}
	case KindTemplates:
		sub, err := readRecords(value, depth-1)
		a.Value, a.Sub = nil, sub
		return a, err
	default:
		return a, errNotPortable
	}
	return a, nil
}
