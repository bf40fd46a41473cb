package command

import (
	"encoding/asn1"
	"encoding/binary"
)

// MaxParts is the most key parts one import takes.
const MaxParts = 20

// importOrdinal is the API call, m_admin, whose number stands in the high half
// of a part request's function id. EP11 does not publish it; it is not checked.
const importOrdinal = 0x29

// PartRequest is one key part on its way: a command block of its own, with the
// encrypted part as payload, and its signatures.
type PartRequest struct {
	Domain     uint32
	Block      []byte
	Signatures []byte
}

// Marshal gives the SEQUENCE; an import's payload is several of them, one after the other.
func (p *PartRequest) Marshal() []byte {
	id := u32(importOrdinal<<16 | uint32(XCP_ADM_IMPORT_WK))
	return sequence(id, u32(p.Domain), p.Block, p.Signatures)
}

// ParseParts splits an import's payload.
func ParseParts(payload []byte) ([]PartRequest, error) {
	if len(payload) == 0 {
		return nil, Refuse(XCP_RSC_NO_KEYPARTS, "empty payload")
	}
	var parts []PartRequest
	for len(payload) > 0 {
		if len(parts) == MaxParts {
			return nil, Refuse(XCP_RSC_IMPR_MANY_KEYPARTS, "more than %d", MaxParts)
		}
		var fields []asn1.RawValue
		rest, err := asn1.Unmarshal(payload, &fields)
		if err != nil {
			return nil, Refuse(XCP_RSC_IMPR_CMDBLK_BER, "part %d: %v", len(parts)+1, err)
		}
		p, err := partOf(fields)
		if err != nil {
			return nil, err
		}
		parts, payload = append(parts, p), rest
	}
	return parts, nil
}

func partOf(fields []asn1.RawValue) (p PartRequest, err error) {
	if len(fields) != 4 {
		return p, Refuse(XCP_RSC_IMPR_CMDBLK_FIELDCOUNT, "%d fields", len(fields))
	}
	for _, f := range fields {
		if f.Class != asn1.ClassUniversal || f.Tag != asn1.TagOctetString || f.IsCompound {
			return p, Refuse(XCP_RSC_IMPR_CMDBLK_FIELDS, "tag %d", f.Tag)
		}
	}
	id, domain := fields[0].Bytes, fields[1].Bytes
	switch {
	case len(id) != lenFunction:
		return p, Refuse(XCP_RSC_IMPR_EMBEDDED_FN_FMT, "%d bytes", len(id))
	case Function(binary.BigEndian.Uint16(id[2:])) != XCP_ADM_IMPORT_WK:
		return p, Refuse(XCP_RSC_IMPR_EMBEDDED_FN, "function %x", id)
	case len(domain) != 4:
		return p, Refuse(XCP_RSC_IMPR_DOMAIN_DIFF, "domain of %d bytes", len(domain))
	case len(fields[2].Bytes) == 0:
		return p, Refuse(XCP_RSC_IMPR_NO_INT_CMDBLK, "empty command block")
	case len(fields[3].Bytes) == 0:
		return p, Refuse(XCP_RSC_IMPR_NO_INT_SIGNATURE, "no signature")
	}
	return PartRequest{binary.BigEndian.Uint32(domain), fields[2].Bytes, fields[3].Bytes}, nil
}

// ExportRequest is the payload of an export command: the public keys (SPKI) of
// those who each get one part, often the importers of other units.
type ExportRequest struct{ Holders [][]byte }

// Marshal gives a SEQUENCE of OCTET STRINGs.
func (e *ExportRequest) Marshal() []byte { return sequence(e.Holders...) }

// ParseExport is its reverse.
func ParseExport(payload []byte) (*ExportRequest, error) {
	var holders [][]byte
	if rest, err := asn1.Unmarshal(payload, &holders); err != nil || len(rest) != 0 {
		return nil, Refuse(XCP_RSC_EXPR_CERT_INVALID, "not a sequence of public keys")
	}
	switch {
	case len(holders) == 0:
		return nil, Refuse(XCP_RSC_EXPR_KEYPART_ZEROLIMIT, "no holders")
	case len(holders) > MaxParts:
		return nil, Refuse(XCP_RSC_EXPR_KEYPART_LIMIT, "%d holders", len(holders))
	}
	return &ExportRequest{holders}, nil
}
