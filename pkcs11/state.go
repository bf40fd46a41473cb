package pkcs11

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding"
	"encoding/gob"
	"fmt"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Saved operations, PKCS#11 v3.2 §5.6. A state is sealed under a key that the
// module makes when it is initialised and forgets with C_Finalize: it is good
// for all sessions of the process in the same state with the same token, tells
// nobody anything, and cannot be made up. It names its keys by their handles
// (CKF_RESTORE_KEY_NOT_NEEDED); what a crypto unit sealed travels inside.

// savedSession is what is sealed.
type savedSession struct {
	Token []byte
	State ck.State
	Ops   []savedOperation
}

type savedOperation struct {
	Kind              opKind
	Mech              mech.Mechanism
	Key               ck.ObjectHandle
	Parts, Once, Long bool
	Hashed            bool
	Hash              []byte
	Buf               []byte
	Remote            grep11client.State
	Held              int
}

// savable are the operations that states hold.
var savable = [...]opKind{opDigest, opEncrypt, opDecrypt, opSign, opVerify}

func init() {
	for _, p := range []mech.Param{mech.IV{}, mech.Raw{}, &mech.PSS{}, &mech.OAEP{}, &mech.CTR{}, &mech.GCM{}, &mech.EdDSA{},
		&mech.CCM{}, &mech.ChaCha{}, &mech.SignContext{}, &mech.ECSG{}, &mech.ECAGG{}} {
		gob.Register(p)
	}
}

func newStateSeal() cipher.AEAD {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("pkcs11: " + err.Error()) // the key's length is a constant
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("pkcs11: " + err.Error())
	}
	return seal
}

// GetOperationState is C_GetOperationState.
func (m *Module) GetOperationState(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error {
		saved := savedSession{Token: s.slot.tokenID(), State: s.state()}
		for _, k := range savable {
			op := s.ops[k]
			if op == nil {
				continue
			}
			one, err := op.save()
			if err != nil {
				return err
			}
			saved.Ops = append(saved.Ops, one)
		}
		if len(saved.Ops) == 0 {
			return fmt.Errorf("nothing to save: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
		}
		var plain bytes.Buffer
		if err := gob.NewEncoder(&plain).Encode(saved); err != nil {
			return fmt.Errorf("%v: %w", err, ck.CKR_STATE_UNSAVEABLE)
		}
		if ready, err := out.Reserve(plain.Len() + m.seal.Overhead()); !ready {
			return err
		}
		return out.Write(m.seal.Seal(nil, nil, plain.Bytes(), nil))
	})
}

func (op *operation) save() (savedOperation, error) {
	saved := savedOperation{Kind: op.kind, Mech: op.mech, Parts: op.parts, Once: op.once, Long: op.long, Buf: op.buf, Remote: op.state, Held: op.held}
	if op.key != nil {
		saved.Key = op.key.Handle
	}
	if op.hash == nil {
		return saved, nil
	}
	hash, ok := op.hash.(encoding.BinaryMarshaler)
	if !ok {
		return saved, fmt.Errorf("%v: %w", op.mech, ck.CKR_STATE_UNSAVEABLE)
	}
	var err error
	saved.Hashed = true
	saved.Hash, err = hash.MarshalBinary()
	return saved, err
}

// SetOperationState is C_SetOperationState. Operations that are active end.
func (m *Module) SetOperationState(ctx context.Context, h ck.SessionHandle, state []byte, encryption, authentication ck.ObjectHandle) error {
	return m.in(h, func(s *session) error {
		if len(state) == 0 {
			return fmt.Errorf("no state: %w", ck.CKR_ARGUMENTS_BAD)
		}
		plain, err := m.seal.Open(nil, nil, state, nil)
		if err != nil {
			return fmt.Errorf("state: %w", ck.CKR_SAVED_STATE_INVALID)
		}
		var saved savedSession
		if err := gob.NewDecoder(bytes.NewReader(plain)).Decode(&saved); err != nil {
			return fmt.Errorf("state: %v: %w", err, ck.CKR_SAVED_STATE_INVALID)
		}
		if !bytes.Equal(saved.Token, s.slot.tokenID()) || saved.State != s.state() {
			return fmt.Errorf("state of another token or session state: %w", ck.CKR_SAVED_STATE_INVALID)
		}
		if err := saved.checkKeys(encryption, authentication); err != nil {
			return err
		}
		return s.restore(ctx, saved)
	})
}

// checkKeys holds the keys that the caller names against the saved ones.
func (saved *savedSession) checkKeys(encryption, authentication ck.ObjectHandle) error {
	for _, op := range saved.Ops {
		given := &authentication
		if op.Kind == opEncrypt || op.Kind == opDecrypt {
			given = &encryption
		}
		if op.Key == 0 || *given == 0 {
			continue
		}
		if *given != op.Key {
			return fmt.Errorf("key %#x was %#x: %w", uint64(*given), uint64(op.Key), ck.CKR_KEY_CHANGED)
		}
		*given = 0
	}
	if encryption != 0 || authentication != 0 {
		return fmt.Errorf("the state has no such operation: %w", ck.CKR_KEY_NOT_NEEDED)
	}
	return nil
}

func (s *session) restore(ctx context.Context, saved savedSession) error {
	s.cancelAll()
	for _, one := range saved.Ops {
		if err := s.begin(ctx, one.Kind, &one.Mech, one.Key); err != nil {
			s.cancelAll()
			return fmt.Errorf("%v: %w", err, ck.CKR_SAVED_STATE_INVALID)
		}
		op := s.ops[one.Kind]
		op.parts, op.once, op.long, op.buf, op.state, op.held = one.Parts, one.Once, one.Long, one.Buf, one.Remote, one.Held
		if !one.Hashed {
			continue
		}
		op.hash = op.row.Hash.New()
		hash, ok := op.hash.(encoding.BinaryUnmarshaler)
		if !ok || hash.UnmarshalBinary(one.Hash) != nil {
			s.cancelAll()
			return fmt.Errorf("%v: %w", one.Mech, ck.CKR_SAVED_STATE_INVALID)
		}
	}
	return nil
}

// tokenID names the token in the slot.
func (l *slot) tokenID() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info.ID
}
