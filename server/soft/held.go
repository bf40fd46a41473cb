package soft

import (
	"bytes"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// cryptFunc does whole data.
type cryptFunc = func(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error)

// heldStream is for modes that need all data at once: the state keeps it until
// the end (mech.Row.Held).
type heldStream struct {
	crypt cryptFunc
	key   *key
	mech  mech.Mechanism
	op    mech.Op
	held  []byte
}

func holding(crypt cryptFunc) func(*key, mech.Mechanism, mech.Op) (stream, error) {
	return func(k *key, m mech.Mechanism, op mech.Op) (stream, error) {
		return &heldStream{crypt: crypt, key: k, mech: m, op: op}, nil
	}
}

func (s *heldStream) update(data []byte) ([]byte, error) {
	if len(s.held)+len(data) > maxHeld {
		code := ck.CKR_DATA_LEN_RANGE
		if s.op == mech.OpDecrypt {
			code = ck.CKR_ENCRYPTED_DATA_LEN_RANGE
		}
		return nil, fmt.Errorf("%v takes %d bytes in parts at most: %w", s.mech.Type, maxHeld, code)
	}
	s.held = append(s.held, data...)
	return nil, nil
}

func (s *heldStream) final() ([]byte, error) { return s.crypt(s.key, s.mech, s.op, s.held) }

func (s *heldStream) MarshalBinary() ([]byte, error) { return append([]byte{0}, s.held...), nil }

func (s *heldStream) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return errState
	}
	s.held = bytes.Clone(b[1:])
	return nil
}
