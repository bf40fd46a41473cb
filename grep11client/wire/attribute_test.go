package wire

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

func integer(n int64) *grep11pb.AttributeValue {
	return &grep11pb.AttributeValue{OneAttr: &grep11pb.AttributeValue_AttributeI{AttributeI: n}}
}

func boolean(b bool) *grep11pb.AttributeValue {
	return &grep11pb.AttributeValue{OneAttr: &grep11pb.AttributeValue_AttributeTF{AttributeTF: b}}
}

const (
	classKey = uint64(ck.CKA_CLASS)
	extended = uint64(0xFFFFFFFF80018888)
)

var nested = ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{
	ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Bool(ck.CKA_EXTRACTABLE, true)}}

func TestTemplatesComeBackSorted(t *testing.T) {
	in := ck.Template{
		ck.Bytes(ck.CKA_LABEL, []byte("k")),
		ck.Bytes(ck.CKA_ID, []byte{}),
		{Type: ck.CKA_SUBJECT},
		ck.Bool(ck.CKA_TOKEN, true),
		ck.Bool(ck.CKA_SIGN, false),
		ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY),
		ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_VENDOR_DEFINED),
		ck.Ulong(ck.CKA_MODULUS_BITS, uint64(math.MaxUint64)),
		ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{ck.CKM_ECDSA, ck.CKM_IBM_TRANSPORTKEY}),
		nested,
	}
	sent, err := EncodeTemplate(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeTemplate(sent)
	if err != nil || len(got) != len(in) {
		t.Fatalf("%d of %d attributes came back, %v", len(got), len(in), err)
	}
	for i, a := range got {
		want, _ := in.Get(a.Type)
		if !reflect.DeepEqual(a, want) {
			t.Errorf("%v became %v", want, a)
		}
		if i > 0 && got[i-1].Type >= a.Type {
			t.Errorf("%v comes after %v", a.Type, got[i-1].Type)
		}
	}
}

func TestDecodeTemplateTolerates(t *testing.T) {
	for name, row := range map[string]struct {
		in   Attributes
		want ck.Attribute
	}{
		"an integer as big-endian bytes":           {Attributes{uint64(ck.CKA_VALUE_LEN): byteValue([]byte{1, 0})}, ck.Ulong(ck.CKA_VALUE_LEN, 256)},
		"a Boolean as integer":                     {Attributes{uint64(ck.CKA_SIGN): integer(1)}, ck.Bool(ck.CKA_SIGN, true)},
		"a Boolean as byte":                        {Attributes{uint64(ck.CKA_SIGN): byteValue([]byte{0})}, ck.Bool(ck.CKA_SIGN, false)},
		"a public exponent as integer":             {Attributes{uint64(ck.CKA_PUBLIC_EXPONENT): integer(65537)}, ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
		"a public exponent as bytes":               {Attributes{uint64(ck.CKA_PUBLIC_EXPONENT): byteValue([]byte{17})}, ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{17})},
		"a sign-extended value":                    {Attributes{uint64(ck.CKA_KEY_TYPE): integer(-0x7ffeffdb)}, ck.Ulong(ck.CKA_KEY_TYPE, 0x80010025)},
		"a sign-extended value as bytes":           {Attributes{uint64(ck.CKA_KEY_TYPE): byteValue([]byte{255, 255, 255, 255, 0x80, 1, 0, 0x25})}, ck.Ulong(ck.CKA_KEY_TYPE, 0x80010025)},
		"a sign-extended key":                      {Attributes{extended: byteValue([]byte("x"))}, ck.Bytes(0x80018888, []byte("x"))},
		"the same attribute under two keys":        {Attributes{extended: byteValue([]byte("x")), low32(extended): byteValue([]byte("x"))}, ck.Bytes(0x80018888, []byte("x"))},
		"a value without a member":                 {Attributes{uint64(ck.CKA_SIGN): {}}, ck.Attribute{Type: ck.CKA_SIGN}},
		"no value at all":                          {Attributes{uint64(ck.CKA_LABEL): nil}, ck.Attribute{Type: ck.CKA_LABEL}},
		"one allowed mechanism as integer":         {Attributes{uint64(ck.CKA_ALLOWED_MECHANISMS): integer(1)}, ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []uint64{1})},
		"a Boolean of an attribute nobody knows":   {Attributes{0x80001234: boolean(true)}, ck.Bool(0x80001234, true)},
		"an unavailable number stays unavailable":  {Attributes{classKey: integer(-1)}, ck.Ulong(ck.CKA_CLASS, uint64(math.MaxUint64))},
		"a template with nothing in it":            {Attributes{uint64(ck.CKA_WRAP_TEMPLATE): byteValue(nil)}, ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{}}},
		"empty bytes are a value, though an empty": {Attributes{uint64(ck.CKA_ID): byteValue(nil)}, ck.Bytes(ck.CKA_ID, []byte{})},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeTemplate(row.in)
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], row.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, row.want)
			}
		})
	}
}

func TestDecodeTemplateRefuses(t *testing.T) {
	deep := byteValue(nil)
	for range maxDepth + 2 {
		b, _ := proto.Marshal(&extpb.Template{Attributes: Attributes{uint64(ck.CKA_WRAP_TEMPLATE): deep}})
		deep = byteValue(b)
	}
	many := Attributes{}
	for i := range uint64(maxAttributes + 1) {
		many[i] = byteValue(nil)
	}
	for name, row := range map[string]struct {
		in   Attributes
		want ck.RV
	}{
		"a Boolean that is 2":                {Attributes{uint64(ck.CKA_SIGN): integer(2)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a Boolean of two bytes":             {Attributes{uint64(ck.CKA_SIGN): byteValue(make([]byte, 2))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an integer of nine bytes":           {Attributes{classKey: byteValue(make([]byte, 9))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an integer of no bytes":             {Attributes{classKey: byteValue(nil)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an integer that is a Boolean":       {Attributes{classKey: boolean(true)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a broken array of mechanisms":       {Attributes{uint64(ck.CKA_ALLOWED_MECHANISMS): byteValue(make([]byte, 7))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a template that is none":            {Attributes{uint64(ck.CKA_WRAP_TEMPLATE): byteValue([]byte{0xff})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a template that is too deep":        {Attributes{uint64(ck.CKA_WRAP_TEMPLATE): deep}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a value that is too long":           {Attributes{uint64(ck.CKA_LABEL): byteValue(make([]byte, maxValue+1))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"too many attributes":                {many, ck.CKR_ARGUMENTS_BAD},
		"one attribute with two values":      {Attributes{extended: byteValue([]byte("x")), low32(extended): byteValue([]byte("y"))}, ck.CKR_TEMPLATE_INCONSISTENT},
		"a template inside is checked alike": {Attributes{uint64(ck.CKA_WRAP_TEMPLATE): byteValue([]byte{0x0a, 0x04, 0x08, 0x00, 0x12, 0x00})}, ck.CKR_OK},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeTemplate(row.in); ck.RVOf(err) != row.want {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func TestEncodeTemplateRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		in   ck.Template
		want ck.RV
	}{
		"a Boolean of eight bytes":           {ck.Template{{Type: ck.CKA_SIGN, Value: make([]byte, 8)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an integer of four bytes":           {ck.Template{{Type: ck.CKA_CLASS, Value: make([]byte, 4)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an array of nine bytes":             {ck.Template{{Type: ck.CKA_ALLOWED_MECHANISMS, Value: make([]byte, 9)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"bytes where a template belongs":     {ck.Template{{Type: ck.CKA_WRAP_TEMPLATE, Value: make([]byte, 9)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"one attribute with two values":      {ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_SIGN, false)}, ck.CKR_TEMPLATE_INCONSISTENT},
		"but not one value given twice":      {ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_SIGN, true)}, ck.CKR_OK},
		"a bad attribute inside a template":  {ck.Template{{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{{Type: ck.CKA_CLASS, Value: []byte{1}}}}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"templates inside of templates' own": {ck.Template{deepTemplate(maxDepth + 1)}, ck.CKR_ARGUMENTS_BAD},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := EncodeTemplate(row.in); ck.RVOf(err) != row.want {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func deepTemplate(n int) ck.Attribute {
	a := nested
	for range n {
		a = ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{a}}
	}
	return a
}

// FuzzTemplate: what was decoded is encoded, and comes back the same.
func FuzzTemplate(f *testing.F) {
	for _, t := range []ck.Template{
		{ck.Bool(ck.CKA_TOKEN, true), ck.Ulong(ck.CKA_CLASS, 3), ck.Bytes(ck.CKA_LABEL, []byte("x"))},
		{nested, ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []uint64{1, 2})},
	} {
		m, _ := EncodeTemplate(t)
		b, _ := proto.Marshal(&extpb.Template{Attributes: m})
		f.Add(b)
	}
	f.Add([]byte{0x0a, 0x02, 0x08, 0x03})
	f.Fuzz(func(t *testing.T, b []byte) {
		var in extpb.Template
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		first, err := DecodeTemplate(in.Attributes)
		if err != nil {
			if !errors.Is(err, ck.CKR_ATTRIBUTE_VALUE_INVALID) && !errors.Is(err, ck.CKR_TEMPLATE_INCONSISTENT) && !errors.Is(err, ck.CKR_ARGUMENTS_BAD) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		sent, err := EncodeTemplate(first)
		if err != nil {
			t.Fatalf("%v was decoded but is not encoded: %v", first, err)
		}
		again, err := DecodeTemplate(sent)
		if err != nil || !reflect.DeepEqual(again, first) {
			t.Errorf("%v came back as %v, %v", first, again, err)
		}
	})
}
