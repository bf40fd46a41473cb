package admin

import (
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"slices"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// generateImporter starts a ceremony: parts are encrypted to this key, and to
// this one only until the next.
func generateImporter(x *transition) ([]byte, error) {
	if len(x.payload) != 4 {
		return nil, command.Refuse(command.XCP_RSC_IMPR_FIELD_SIZE, "%d bytes", len(x.payload))
	}
	key, err := command.GenerateImporter(rand.Reader, command.ImporterType(binary.BigEndian.Uint32(x.payload)))
	if err != nil {
		return nil, err
	}
	x.importer, x.ceremony = key, x.counter
	return x509.MarshalPKIXPublicKey(command.ImporterPublic(key))
}

// part is an opened key part.
type part struct {
	value   ck.Secret
	pattern []byte // of the whole key, if the part carries one
}

// importKey assembles a new master key from parts that are each signed. Nothing is
// kept of parts, nor of the importer key once it has done its work.
func importKey(x *transition) ([]byte, error) {
	if !x.has(command.XCP_ADMP_WK_IMPORT) {
		return nil, command.Refuse(command.XCP_RSC_IMPORT_WK_PROHIBITED, "")
	}
	if x.registers.Next != nil {
		return nil, command.Refuse(command.XCP_RSC_WKS_PRESENT, "")
	}
	requests, err := command.ParseParts(x.payload)
	if err != nil {
		return nil, err
	}
	if len(requests) == 1 && !x.has(command.XCP_ADMP_WK_1PART) {
		return nil, command.Refuse(command.XCP_RSC_IMPR_SINGLE_KEYPART, "")
	}
	if x.importer == nil {
		return nil, command.Refuse(command.XCP_RSC_NO_IMPORTER, "none generated")
	}
	parts, err := x.openAll(requests)
	defer wipe(parts)
	if err != nil {
		return nil, err
	}
	return x.assemble(parts)
}

func (x *transition) openAll(requests []command.PartRequest) ([]part, error) {
	var parts []part
	for i := range requests {
		p, err := x.open(&requests[i])
		if err != nil {
			return parts, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// open verifies one part's request like a command of its own, in the same order.
func (x *transition) open(r *command.PartRequest) (p part, err error) {
	if r.Domain != x.domain.Index {
		return p, command.Refuse(command.XCP_RSC_IMPR_DOMAIN_DIFF, "domain %d", r.Domain)
	}
	c, err := command.ParseCommand(r.Block)
	if err != nil {
		return p, command.Refuse(command.XCP_RSC_IMPR_BAD_CMDBLK_BER, "%v", err)
	}
	if c.Function != command.XCP_ADM_IMPORT_WK {
		return p, command.Refuse(command.XCP_RSC_CMD_EMBEDDED_FN, "function %d", uint32(c.Function))
	}
	signed, err := command.ParseSignatures(r.Signatures)
	if err != nil {
		return p, err
	}
	if err := x.identify(c, false); err != nil {
		return p, err
	}
	// Made in this ceremony: after its importer, not after the import itself.
	at, err := parseCounter(c.Counter, x.ceremony)
	if err != nil {
		return p, err
	}
	if at.after(x.counter) {
		return p, command.Refuse(command.XCP_RSC_TCTR_VALUE, "part %x, import %x", at, x.counter)
	}
	who, err := x.verify(r.Block, signed, 1)
	if err != nil {
		return p, err
	}
	x.signers = merge(x.signers, who)
	p.value, p.pattern, err = command.DecryptPart(x.importer, c.Payload)
	return p, err
}

// assemble checks the parts against each other and loads their XOR.
func (x *transition) assemble(parts []part) ([]byte, error) {
	var values []ck.Secret
	var origins [][]byte
	for i, p := range parts {
		for _, q := range parts[:i] {
			if subtle.ConstantTimeCompare(p.value, q.value) == 1 {
				return nil, command.Refuse(command.XCP_RSC_IMPR_KEYPARTS_CONFLICT, "part %d is another one's copy", i+1)
			}
		}
		values, origins = append(values, p.value), append(origins, command.Pattern(p.value))
	}
	key := command.Combine(values)
	if subtle.ConstantTimeCompare(key, make([]byte, command.LenKey)) == 1 {
		return nil, command.Refuse(command.XCP_RSC_IMPR_KEYPARTS_CONFLICT, "the parts cancel out")
	}
	pattern := command.Pattern(key)
	if err := promised(parts, pattern); err != nil {
		key.Wipe()
		return nil, err
	}
	x.registers.Next, x.registers.Committed = key, false
	x.origins, x.importer = origins, nil
	return pattern, nil
}

// promised checks the patterns that parts carry: all or none, all the same, and right.
func promised(parts []part, pattern []byte) error {
	first := parts[0].pattern
	for i, p := range parts {
		switch {
		case len(p.pattern) != len(first):
			return command.Refuse(command.XCP_RSC_RCPTINFO_KEY_MIXMODE, "part %d", i+1)
		case subtle.ConstantTimeCompare(p.pattern, first) != 1:
			return command.Refuse(command.XCP_RSC_RCPTINFO_KEY_VPS_DIFF, "part %d: %x, part 1: %x", i+1, p.pattern, first)
		}
	}
	if len(first) != 0 && subtle.ConstantTimeCompare(first, pattern) != 1 {
		return command.Refuse(command.XCP_RSC_RCPTINFO_KEY_VPS_MISMATCH, "carried %x, made %x", first, pattern)
	}
	return nil
}

func wipe(parts []part) {
	for _, p := range parts {
		p.value.Wipe()
	}
}

func merge(a, b []command.SKI) []command.SKI {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}
