package pkcs11

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// GCMMessage is CK_GCM_MESSAGE_PARAMS, the parameter of one message. IV and Tag
// are the caller's memory: an IV that the module makes is written there, and the
// tag of an encryption.
type GCMMessage struct {
	IV        []byte
	FixedBits uint64 // of the IV, from its beginning, that the caller chose
	Generator uint64 // CKG_: who makes the rest
	Tag       []byte // TagBits, rounded up to bytes
	TagBits   uint64
}

// begin makes the operation of one message of a process.
func (process *operation) begin(p *GCMMessage, aad []byte) (*operation, error) {
	if p == nil || len(p.Tag) != int(p.TagBits+7)/8 {
		return nil, fmt.Errorf("message without parameter or place for its tag: %w", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	msg := &operation{kind: process.kind, row: process.row, key: process.key, login: process.login, parts: true}
	msg.mech = mech.Mechanism{Type: process.mech.Type, Param: &mech.GCM{IV: p.IV, AAD: bytes.Clone(aad), TagBits: p.TagBits}}
	if err := msg.mech.Check(); err != nil {
		return nil, err
	}
	if process.kind == opMessageEncrypt {
		if err := process.makeIV(p); err != nil {
			return nil, err
		}
	}
	msg.mech.Param.(*mech.GCM).IV = bytes.Clone(p.IV)
	return msg, nil
}

// makeIV fills what the caller left of the IV. A counter has the process's
// messages; with XOR it changes the IV that the caller gave, as TLS 1.3 does.
//
// PKCS#11 v3.0 §6.13.3; NIST SP 800-38D §8.2.
func (process *operation) makeIV(p *GCMMessage) error {
	if p.Generator == ck.CKG_NO_GENERATE {
		return nil
	}
	if p.FixedBits%8 != 0 || p.FixedBits/8 >= uint64(len(p.IV)) {
		return fmt.Errorf("%d fixed bits of %d bytes: %w", p.FixedBits, len(p.IV), ck.CKR_MECHANISM_PARAM_INVALID)
	}
	rest := p.IV[p.FixedBits/8:]
	switch p.Generator {
	case ck.CKG_GENERATE, ck.CKG_GENERATE_RANDOM:
		_, _ = rand.Read(rest) // never fails
		return nil
	case ck.CKG_GENERATE_COUNTER:
		clear(rest)
	case ck.CKG_GENERATE_COUNTER_XOR:
	default:
		return fmt.Errorf("IV generator %d: %w", p.Generator, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return process.count(rest)
}

// count puts the next number at the end of an IV, by XOR.
func (process *operation) count(rest []byte) error {
	number := binary.BigEndian.AppendUint64(nil, process.counter)
	process.counter++
	skip := len(number) - len(rest)
	if skip > 0 {
		if !bytes.Equal(number[:skip], make([]byte, skip)) {
			return fmt.Errorf("the IV's counter is used up: %w", ck.CKR_FUNCTION_FAILED)
		}
		number = number[skip:]
	}
	for i := range number {
		rest[len(rest)-len(number)+i] ^= number[i]
	}
	return nil
}

// split gives ciphertext and tag to their places.
func (p *GCMMessage) split(sealed []byte, out *Output) error {
	if p == nil || len(sealed) < len(p.Tag) {
		return fmt.Errorf("no place for the tag: %w", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	at := len(sealed) - len(p.Tag)
	copy(p.Tag, sealed[at:])
	return out.Write(sealed[:at])
}

// join is a ciphertext with its tag behind it, in new memory.
func (p *GCMMessage) join(data []byte) []byte {
	if p == nil {
		return bytes.Clone(data)
	}
	return append(bytes.Clone(data), p.Tag...)
}
