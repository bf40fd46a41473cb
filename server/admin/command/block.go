package command

import (
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"grep11/pkcs11/ck"
)

// Function is the number of a command; queries have XCP_ADM_QUERY added.
type Function uint32

// IsQuery tells whether a function only reads.
func (f Function) IsQuery() bool { return f&XCP_ADM_QUERY != 0 }

// Lengths in bytes of the fields of blocks, and bounds on what is decoded.
const (
	lenFunction   = 4
	LenDomain     = 8
	LenModule     = 16
	LenCounter    = 16
	MaxBlock      = 64 << 10
	MaxSignatures = 64 << 10
)

// Command is a command block. Its fields have the lengths above; those that
// identify the target may be empty in queries.
type Command struct {
	Function Function
	Domain   []byte
	Module   []byte
	Counter  []byte
	Payload  []byte
}

// Response is a response block. A refused command has a Return that is not
// CKR_OK and its reason as payload.
type Response struct {
	Function Function
	Domain   []byte
	Module   []byte
	Counter  []byte
	Return   ck.RV
	Payload  []byte
}

// Marshal gives the DER block, what administrators sign.
func (c *Command) Marshal() []byte {
	return sequence(u32(uint32(c.Function)), c.Domain, c.Module, c.Counter, c.Payload)
}

// ParseCommand decodes a block strictly: DER, five fields, nothing after.
func ParseCommand(der []byte) (*Command, error) {
	f, err := octets(der, 5)
	if err != nil {
		return nil, err
	}
	if len(f[0]) != lenFunction {
		return nil, Refuse(XCP_RSC_ASN_FMT_INVALID, "function id of %d bytes", len(f[0]))
	}
	return &Command{Function(binary.BigEndian.Uint32(f[0])), f[1], f[2], f[3], f[4]}, nil
}

// Marshal gives the DER block, what the unit's device key signs.
func (r *Response) Marshal() []byte {
	return sequence(u32(uint32(r.Function)), r.Domain, r.Module, r.Counter, u32(uint32(r.Return)), r.Payload)
}

// ParseResponse decodes a response block as strictly as ParseCommand.
func ParseResponse(der []byte) (*Response, error) {
	f, err := octets(der, 6)
	if err != nil {
		return nil, err
	}
	if len(f[0]) != lenFunction || len(f[4]) != 4 {
		return nil, Refuse(XCP_RSC_ASN_FMT_INVALID, "response block with fields of the wrong length")
	}
	return &Response{Function(binary.BigEndian.Uint32(f[0])), f[1], f[2], f[3],
		ck.RV(binary.BigEndian.Uint32(f[4])), f[5]}, nil
}

// Err is nil for an accepted command, else the refusal with its reason.
func (r *Response) Err() error {
	if r.Return == ck.CKR_OK {
		return nil
	}
	if len(r.Payload) == 4 {
		if reason := Reason(binary.BigEndian.Uint32(r.Payload)); reason != 0 {
			return &Refusal{Reason: reason}
		}
	}
	if r.Return == ck.CKR_DEVICE_MEMORY {
		return fmt.Errorf("the crypto unit could not save its state, and nothing has changed: "+
			"the server's log names the cause, such as a full disk: %w", r.Return)
	}
	return fmt.Errorf("refused by the crypto unit: %w", r.Return)
}

// Domain names one life of a domain: its instance changes with each zeroize.
type Domain struct{ Index, Instance uint32 }

func (d Domain) Bytes() []byte { return append(u32(d.Index), u32(d.Instance)...) }

// ParseDomain expects LenDomain bytes.
func ParseDomain(b []byte) (d Domain, ok bool) {
	if len(b) != LenDomain {
		return d, false
	}
	return Domain{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}, true
}

// Module names a module: a serial number, random for emulated ones, and its instance.
type Module struct {
	Serial   [12]byte
	Instance uint32
}

func (m Module) Bytes() []byte  { return append(m.Serial[:], u32(m.Instance)...) }
func (m Module) String() string { return hex.EncodeToString(m.Serial[:]) }

// ParseModule expects LenModule bytes.
func ParseModule(b []byte) (m Module, ok bool) {
	if len(b) != LenModule {
		return m, false
	}
	copy(m.Serial[:], b)
	m.Instance = binary.BigEndian.Uint32(b[12:])
	return m, true
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func sequence(fields ...[]byte) []byte {
	der, err := asn1.Marshal(fields)
	if err != nil {
		panic("command: cannot encode octet strings: " + err.Error()) // asn1 encodes any bytes
	}
	return der
}

// octets decodes a SEQUENCE of exactly n OCTET STRINGs with nothing after it.
func octets(der []byte, n int) ([][]byte, error) {
	if len(der) > MaxBlock {
		return nil, Refuse(XCP_RSC_ASN_FMT_INVALID, "block of %d bytes", len(der))
	}
	var fields [][]byte
	rest, err := asn1.Unmarshal(der, &fields)
	if err != nil || len(rest) != 0 || len(fields) != n {
		return nil, Refuse(XCP_RSC_ASN_FMT_INVALID, "not a sequence of %d octet strings", n)
	}
	return fields, nil
}
