package command

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// AttributeIndex numbers a domain's attributes.
type AttributeIndex uint32

// Attributes of a domain, by index.
type Attributes map[AttributeIndex]uint32

// Marshal gives the list of (index, value) pairs in the order of the indexes.
func (a Attributes) Marshal() []byte {
	indexes := make([]AttributeIndex, 0, len(a))
	for i := range a {
		indexes = append(indexes, i)
	}
	sort.Slice(indexes, func(i, j int) bool { return indexes[i] < indexes[j] })
	var out []byte
	for _, i := range indexes {
		out = binary.BigEndian.AppendUint32(out, uint32(i))
		out = binary.BigEndian.AppendUint32(out, a[i])
	}
	return out
}

// ParseAttributes decodes such a list, at most one pair per attribute.
func ParseAttributes(b []byte) (Attributes, error) {
	if len(b) == 0 || len(b)%8 != 0 {
		return nil, Refuse(XCP_RSC_ATTRS_FMT, "%d bytes", len(b))
	}
	if len(b)/8 > int(XCP_ADMINT_IDX_MAX) {
		return nil, Refuse(XCP_RSC_ATTRS_TOO_MANY, "%d pairs", len(b)/8)
	}
	a := Attributes{}
	for ; len(b) > 0; b = b[8:] {
		i := AttributeIndex(binary.BigEndian.Uint32(b))
		if i == 0 || i > XCP_ADMINT_IDX_MAX {
			return nil, Refuse(XCP_RSC_ATTRS_TYPE_INVALID, "index %d", i)
		}
		if _, twice := a[i]; twice {
			return nil, Refuse(XCP_RSC_ATTRS_REPEAT, "%v", i)
		}
		a[i] = binary.BigEndian.Uint32(b[4:])
	}
	return a, nil
}

// attributeNames are what operators call the attributes.
var attributeNames = map[AttributeIndex]string{
	XCP_ADMINT_SIGN_THR:    "signature-threshold",
	XCP_ADMINT_REVOKE_THR:  "revocation-threshold",
	XCP_ADMINT_PERMS:       "permissions",
	XCP_ADMINT_MODE:        "mode",
	XCP_ADMINT_STD:         "standards",
	XCP_ADMINT_PERMS_EXT01: "permissions-signatures",
	XCP_ADMINT_GEN_KTYPES:  "key-types",
	XCP_ADMINT_ECC_KTYPES:  "curve-families",
	XCP_ADMINT_DIL_KTYPES:  "dilithium-rounds",
	XCP_ADMINT_ADM_COMPL:   "compliance",
}

func (i AttributeIndex) String() string {
	if name, ok := attributeNames[i]; ok {
		return name
	}
	return fmt.Sprintf("attribute %d", uint32(i))
}

// AttributeByName finds an attribute's index.
func AttributeByName(name string) (AttributeIndex, bool) {
	for i, n := range attributeNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}
