package keystore

import (
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
)

// Stored attributes are records of type (uvarint), kind (one byte), length
// (uvarint) and value. Numbers are eight bytes, big-endian, whatever the
// machine; the value of a nested template is records again.

// Bounds of what is stored for one object.
const (
	MaxAttributes = 256
	MaxEncoded    = 1 << 20
	maxDepth      = 4
)

func encodeTemplate(t ck.Template) ([]byte, error) {
	out, err := appendTemplate(nil, t, maxDepth)
	if err == nil && len(out) > MaxEncoded {
		err = fmt.Errorf("attributes of %d bytes, at most %d are stored: %w", len(out), MaxEncoded, ck.CKR_DEVICE_MEMORY)
	}
	return out, err
}

func appendTemplate(out []byte, t ck.Template, depth int) ([]byte, error) {
	if depth == 0 || len(t) > MaxAttributes {
		return nil, fmt.Errorf("template of %d attributes, nested too deep or too long: %w", len(t), ck.CKR_ATTRIBUTE_VALUE_INVALID)
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

// portable makes the stored form of a value.
func portable(a ck.Attribute, depth int) ([]byte, error) {
	switch a.Type.Kind() {
	case ck.KindBool:
		_, err := a.Bool()
		return a.Value, err
	case ck.KindUlong:
		v, err := a.Ulong()
		return binary.BigEndian.AppendUint64(nil, v), err
	case ck.KindUlongs:
		list, err := a.Ulongs()
		var out []byte
		for _, v := range list {
			out = binary.BigEndian.AppendUint64(out, v)
		}
		return out, err
	case ck.KindTemplates:
		return appendTemplate(nil, a.Sub, depth-1)
	}
	return a.Value, nil
}

func decodeTemplate(b []byte) (ck.Template, error) { return decodeRecords(b, maxDepth) }

func decodeRecords(b []byte, depth int) (ck.Template, error) {
	if depth == 0 {
		return nil, errStored
	}
	t := make(ck.Template, 0, 32)
	for len(b) > 0 {
		if len(t) == MaxAttributes {
			return nil, errStored
		}
		a, rest, err := decodeRecord(b, depth)
		if err != nil {
			return nil, err
		}
		t, b = append(t, a), rest
	}
	return t, nil
}

var errStored = fmt.Errorf("the stored attributes are damaged: restore the store from a backup: %w", ck.CKR_DEVICE_ERROR)

func decodeRecord(b []byte, depth int) (a ck.Attribute, rest []byte, err error) {
	at, n := binary.Uvarint(b)
	if n <= 0 || len(b) < n+2 {
		return a, nil, errStored
	}
	kind := ck.Kind(b[n])
	b = b[n+1:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return a, nil, errStored
	}
	end := n + int(size)
	a, err = native(ck.AttributeType(at), kind, b[n:end:end], depth)
	return a, b[end:], err
}

// native is the reverse of portable.
func native(at ck.AttributeType, kind ck.Kind, value []byte, depth int) (ck.Attribute, error) {
	a := ck.Attribute{Type: at, Value: value}
	switch kind {
	case ck.KindBytes:
	case ck.KindBool:
		if len(value) != 1 {
			return a, errStored
		}
	case ck.KindUlong, ck.KindUlongs:
		if len(value)%8 != 0 || kind == ck.KindUlong && len(value) != 8 {
			return a, errStored
		}
		a.Value = make([]byte, 0, len(value))
		for ; len(value) > 0; value = value[8:] {
			a.Value = binary.NativeEndian.AppendUint64(a.Value, binary.BigEndian.Uint64(value))
		}
	case ck.KindTemplates:
		sub, err := decodeRecords(value, depth-1)
		a.Value, a.Sub = nil, sub
		return a, err
	default:
		return a, errStored
	}
	return a, nil
}
