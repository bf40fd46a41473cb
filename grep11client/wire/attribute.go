package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

const (
	maxAttributes = 512     // in one template
	maxValue      = 8 << 20 // bytes of one value
	maxDepth      = 4       // templates inside templates
	lenUlong      = 8
)

// Attributes is a template on the wire.
type Attributes = map[uint64]*grep11pb.AttributeValue

// valueKind is one kind's wire form: what is sent, and all that is taken.
type valueKind struct {
	encode func(a ck.Attribute, depth int) (*grep11pb.AttributeValue, error)
	decode func(t ck.AttributeType, v *grep11pb.AttributeValue, depth int) (ck.Attribute, error)
}

// valueKinds is filled at start because nested templates come back to it.
var valueKinds map[ck.Kind]valueKind

func init() {
	valueKinds = map[ck.Kind]valueKind{
		ck.KindBytes:     {encodeBytes, decodeBytes},
		ck.KindBool:      {encodeBool, decodeBool},
		ck.KindUlong:     {encodeUlong, decodeUlong},
		ck.KindUlongs:    {encodeUlongs, decodeUlongs},
		ck.KindTemplates: {encodeTemplates, decodeTemplates},
	}
}

// EncodeTemplate makes the map of a template. A value that does not fit its
// attribute's kind is CKR_ATTRIBUTE_VALUE_INVALID; the same attribute twice
// with different values is CKR_TEMPLATE_INCONSISTENT.
func EncodeTemplate(t ck.Template) (Attributes, error) { return encodeTemplate(t, 0) }

// DecodeTemplate reads a map, in the order of the attributes' numbers.
func DecodeTemplate(m Attributes) (ck.Template, error) { return decodeTemplate(m, 0) }

func encodeTemplate(t ck.Template, depth int) (Attributes, error) {
	if err := checkCount(len(t), depth); err != nil {
		return nil, err
	}
	out := make(Attributes, len(t))
	for _, a := range t {
		v, err := encodeValue(a, depth)
		if err != nil {
			return nil, err
		}
		key := low32(uint64(a.Type))
		if old := out[key]; old != nil && !proto.Equal(old, v) {
			return nil, contradiction(a.Type)
		}
		out[key] = v
	}
	return out, nil
}

func decodeTemplate(m Attributes, depth int) (ck.Template, error) {
	if err := checkCount(len(m), depth); err != nil {
		return nil, err
	}
	out := make(ck.Template, 0, len(m))
	for key, v := range m {
		a, err := decodeValue(ck.AttributeType(low32(key)), v, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b ck.Attribute) int { return int(int64(a.Type) - int64(b.Type)) })
	return dropRepeats(out)
}

// dropRepeats: a plain and a sign-extended key may name the same attribute.
func dropRepeats(sorted ck.Template) (ck.Template, error) {
	for i := len(sorted) - 1; i > 0; i-- {
		a, b := sorted[i-1], sorted[i]
		if a.Type != b.Type {
			continue
		}
		if !bytes.Equal(a.Value, b.Value) || len(a.Sub) != 0 || len(b.Sub) != 0 {
			return nil, contradiction(a.Type)
		}
		sorted = slices.Delete(sorted, i, i+1)
	}
	return sorted, nil
}

func checkCount(n, depth int) error {
	if n > maxAttributes || depth > maxDepth {
		return fmt.Errorf("template of %d attributes at depth %d: %w", n, depth, ck.CKR_ARGUMENTS_BAD)
	}
	return nil
}

func contradiction(t ck.AttributeType) error {
	return fmt.Errorf("%v twice, with different values: %w", t, ck.CKR_TEMPLATE_INCONSISTENT)
}

func badValue(t ck.AttributeType, format string, a ...any) error {
	return fmt.Errorf("%v: %s: %w", t, fmt.Sprintf(format, a...), ck.CKR_ATTRIBUTE_VALUE_INVALID)
}

// encodeValue: an attribute without a value is a message without a member.
func encodeValue(a ck.Attribute, depth int) (*grep11pb.AttributeValue, error) {
	if a.Value == nil && a.Sub == nil {
		return &grep11pb.AttributeValue{}, nil
	}
	if len(a.Value) > maxValue {
		return nil, badValue(a.Type, "%d bytes", len(a.Value))
	}
	return valueKinds[a.Type.Kind()].encode(a, depth)
}

func decodeValue(t ck.AttributeType, v *grep11pb.AttributeValue, depth int) (ck.Attribute, error) {
	if v.GetOneAttr() == nil {
		return ck.Attribute{Type: t}, nil
	}
	if len(v.GetAttributeB()) > maxValue {
		return ck.Attribute{}, badValue(t, "%d bytes", len(v.GetAttributeB()))
	}
	return valueKinds[t.Kind()].decode(t, v, depth)
}

func byteValue(b []byte) *grep11pb.AttributeValue {
	return &grep11pb.AttributeValue{OneAttr: &grep11pb.AttributeValue_AttributeB{AttributeB: b}}
}

func encodeBytes(a ck.Attribute, _ int) (*grep11pb.AttributeValue, error) {
	return byteValue(a.Value), nil
}

// decodeBytes also takes an integer, as minimal big-endian bytes: clients send
// CKA_PUBLIC_EXPONENT so (grep11-wire 8.2).
func decodeBytes(t ck.AttributeType, v *grep11pb.AttributeValue, _ int) (ck.Attribute, error) {
	switch v := v.OneAttr.(type) {
	case *grep11pb.AttributeValue_AttributeB:
		return ck.Bytes(t, notNil(v.AttributeB)), nil
	case *grep11pb.AttributeValue_AttributeI:
		return ck.Bytes(t, notNil(new(big.Int).SetUint64(uint64(v.AttributeI)).Bytes())), nil
	}
	return ck.Bool(t, v.GetAttributeTF()), nil
}

func encodeBool(a ck.Attribute, _ int) (*grep11pb.AttributeValue, error) {
	b, err := a.Bool()
	return &grep11pb.AttributeValue{OneAttr: &grep11pb.AttributeValue_AttributeTF{AttributeTF: b}}, err
}

// decodeBool also takes the integers 0 and 1, and one byte.
func decodeBool(t ck.AttributeType, v *grep11pb.AttributeValue, _ int) (ck.Attribute, error) {
	switch v := v.OneAttr.(type) {
	case *grep11pb.AttributeValue_AttributeTF:
		return ck.Bool(t, v.AttributeTF), nil
	case *grep11pb.AttributeValue_AttributeI:
		if v.AttributeI == 0 || v.AttributeI == 1 {
			return ck.Bool(t, v.AttributeI == 1), nil
		}
	case *grep11pb.AttributeValue_AttributeB:
		if len(v.AttributeB) == 1 {
			return ck.Bool(t, v.AttributeB[0] != 0), nil
		}
	}
	return ck.Attribute{}, badValue(t, "not a Boolean")
}

func encodeUlong(a ck.Attribute, _ int) (*grep11pb.AttributeValue, error) {
	n, err := a.Ulong()
	return &grep11pb.AttributeValue{OneAttr: &grep11pb.AttributeValue_AttributeI{AttributeI: int64(n)}}, err
}

// decodeUlong also takes up to eight big-endian bytes, and sign-extended
// vendor numbers.
func decodeUlong(t ck.AttributeType, v *grep11pb.AttributeValue, _ int) (ck.Attribute, error) {
	switch v := v.OneAttr.(type) {
	case *grep11pb.AttributeValue_AttributeI:
		return ck.Ulong(t, unextend(uint64(v.AttributeI))), nil
	case *grep11pb.AttributeValue_AttributeB:
		if n := len(v.AttributeB); n > 0 && n <= lenUlong {
			return ck.Ulong(t, unextend(new(big.Int).SetBytes(v.AttributeB).Uint64())), nil
		}
	}
	return ck.Attribute{}, badValue(t, "not an integer")
}

func encodeUlongs(a ck.Attribute, _ int) (*grep11pb.AttributeValue, error) {
	items, err := a.Ulongs()
	out := make([]byte, 0, len(a.Value))
	for _, n := range items {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	return byteValue(out), err
}

// decodeUlongs also takes a single integer.
func decodeUlongs(t ck.AttributeType, v *grep11pb.AttributeValue, _ int) (ck.Attribute, error) {
	if i, ok := v.OneAttr.(*grep11pb.AttributeValue_AttributeI); ok {
		return ck.Ulongs(t, []uint64{unextend(uint64(i.AttributeI))}), nil
	}
	b, ok := v.OneAttr.(*grep11pb.AttributeValue_AttributeB)
	if !ok || len(b.AttributeB)%lenUlong != 0 {
		return ck.Attribute{}, badValue(t, "not an array of integers")
	}
	items := make([]uint64, 0, len(b.AttributeB)/lenUlong)
	for rest := b.AttributeB; len(rest) > 0; rest = rest[lenUlong:] {
		items = append(items, unextend(binary.BigEndian.Uint64(rest)))
	}
	return ck.Ulongs(t, items), nil
}

func encodeTemplates(a ck.Attribute, depth int) (*grep11pb.AttributeValue, error) {
	if len(a.Value) > 0 {
		return nil, badValue(a.Type, "bytes where a template belongs")
	}
	m, err := encodeTemplate(a.Sub, depth+1)
	if err != nil {
		return nil, err
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&extpb.Template{Attributes: m})
	if err != nil {
		return nil, badValue(a.Type, "%v", err)
	}
	return byteValue(notNil(b)), nil
}

func decodeTemplates(t ck.AttributeType, v *grep11pb.AttributeValue, depth int) (ck.Attribute, error) {
	b, ok := v.OneAttr.(*grep11pb.AttributeValue_AttributeB)
	if !ok || depth >= maxDepth {
		return ck.Attribute{}, badValue(t, "not a template")
	}
	var m extpb.Template
	if err := proto.Unmarshal(b.AttributeB, &m); err != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
		return ck.Attribute{}, badValue(t, "not a template")
	}
	sub, err := decodeTemplate(m.Attributes, depth+1)
	return ck.Attribute{Type: t, Sub: sub}, err
}

// notNil keeps an empty value apart from none.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
