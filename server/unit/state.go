package unit

import (
	"crypto/rand"
	"fmt"

	"grep11/pkcs11/ck"
)

// A state is "St", the WKID, a nonce and the sealed operation. Its WKID is in
// clear so that a unit with another master key can say so.
const (
	stateMark      = "St"
	offStateWKID   = len(stateMark)
	offStateNonce  = offStateWKID + lenWKID
	offStateSealed = offStateNonce + lenNonce

	// MaxState bounds a state: one operation's buffered data and its key.
	MaxState = 33 << 20
)

// SealState seals a running operation.
func (w *WrappingKey) SealState(op []byte) (State, error) {
	if len(op) > MaxState-offStateSealed-lenTag {
		return nil, fmt.Errorf("operation holds %d bytes: %w", len(op), ck.CKR_DATA_LEN_RANGE)
	}
	s := make([]byte, offStateSealed, offStateSealed+len(op)+lenTag)
	copy(s, stateMark)
	copy(s[offStateWKID:], w.pattern[:lenWKID])
	rand.Read(s[offStateNonce:])
	return w.states.seal(s, s[offStateNonce:], op, s[:offStateNonce])
}

// WKID tells which wrapping key a state is sealed under.
func (s State) WKID() (id [lenWKID]byte, err error) {
	if len(s) < offStateSealed+lenTag || len(s) > MaxState || string(s[:offStateWKID]) != stateMark {
		return id, fmt.Errorf("%d bytes are no state of an operation: %w", len(s), ck.CKR_SAVED_STATE_INVALID)
	}
	return [lenWKID]byte(s[offStateWKID:]), nil
}

// OpenState opens a state. What is not one is CKR_SAVED_STATE_INVALID.
func (w *WrappingKey) OpenState(s State) ([]byte, error) {
	id, err := s.WKID()
	if err != nil {
		return nil, err
	}
	if err := w.owns(id); err != nil {
		return nil, err
	}
	op, err := w.states.open(s[offStateNonce:offStateSealed], s[offStateSealed:], s[:offStateNonce])
	if err != nil {
		return nil, fmt.Errorf("state of an operation was altered: %w", ck.CKR_SAVED_STATE_INVALID)
	}
	return op, nil
}
