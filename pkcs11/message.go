package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// The message-based functions, PKCS#11 v3.0 §5.9 and on: a process of many
// messages under one key and mechanism. A process is an operation; its message,
// if one is under way in parts, is another one inside.

// MessageEncryptInit is C_MessageEncryptInit. Parameters come with the messages.
func (m *Module) MessageEncryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.beginMessages(ctx, opMessageEncrypt, mechanism, key) })
}

// MessageDecryptInit is C_MessageDecryptInit.
func (m *Module) MessageDecryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.beginMessages(ctx, opMessageDecrypt, mechanism, key) })
}

func (s *session) beginMessages(ctx context.Context, k opKind, m *mech.Mechanism, key ck.ObjectHandle) error {
	if m == nil {
		return s.cancel(k)
	}
	op, err := s.prepare(ctx, k, mech.Mechanism{Type: m.Type}, key)
	if err != nil {
		return err
	}
	if op.row.Param != mech.ParamGCM {
		return fmt.Errorf("%v is not for messages: %w", m.Type, ck.CKR_MECHANISM_INVALID)
	}
	s.ops[k] = op
	return nil
}

// EncryptMessage is C_EncryptMessage. p's tag, and its IV where the module makes
// it, are filled.
func (m *Module) EncryptMessage(ctx context.Context, h ck.SessionHandle, p *GCMMessage, aad, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(opMessageEncrypt)
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(len(data)); !ready {
			return err
		}
		msg, err := process.begin(p, aad)
		if err != nil {
			return err
		}
		sealed, err := s.finish(ctx, msg, data, nil, false)
		if err == nil && p != nil {
			err = exactly(len(data)+len(p.Tag), sealed)
		}
		if err != nil {
			return err
		}
		return p.split(sealed, out)
	})
}

// DecryptMessage is C_DecryptMessage. A tag that is wrong is
// CKR_AEAD_DECRYPT_FAILED.
func (m *Module) DecryptMessage(ctx context.Context, h ck.SessionHandle, p *GCMMessage, aad, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(opMessageDecrypt)
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(len(data)); !ready {
			return err
		}
		msg, err := process.begin(p, aad)
		if err != nil {
			return err
		}
		plain, err := s.finish(ctx, msg, p.join(data), nil, false)
		if err != nil {
			return aeadFailed(err)
		}
		return out.Write(plain)
	})
}

// aeadFailed is what messages call a tag that is wrong.
func aeadFailed(err error) error {
	if errors.Is(err, ck.CKR_ENCRYPTED_DATA_INVALID) {
		return fmt.Errorf("%v: %w", err, ck.CKR_AEAD_DECRYPT_FAILED)
	}
	return err
}

// idleProcess gives a process that has no message under way.
func (s *session) idleProcess(k opKind) (*operation, error) {
	process, err := s.active(k)
	if err == nil && process.message != nil {
		return nil, fmt.Errorf("%v: a message is under way: %w", k, ck.CKR_OPERATION_ACTIVE)
	}
	return process, err
}

// EncryptMessageBegin is C_EncryptMessageBegin.
func (m *Module) EncryptMessageBegin(ctx context.Context, h ck.SessionHandle, p *GCMMessage, aad []byte) error {
	return m.beginMessage(h, opMessageEncrypt, p, aad)
}

// DecryptMessageBegin is C_DecryptMessageBegin.
func (m *Module) DecryptMessageBegin(ctx context.Context, h ck.SessionHandle, p *GCMMessage, aad []byte) error {
	return m.beginMessage(h, opMessageDecrypt, p, aad)
}

func (m *Module) beginMessage(h ck.SessionHandle, k opKind, p *GCMMessage, aad []byte) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(k)
		if err != nil {
			return err
		}
		process.message, err = process.begin(p, aad)
		return err
	})
}

// messageUnderWay gives a process and its message in parts.
func (s *session) messageUnderWay(k opKind) (process, msg *operation, err error) {
	process, err = s.active(k)
	if err == nil && process.message == nil {
		return nil, nil, fmt.Errorf("%v: no message: %w", k, ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	if err != nil {
		return nil, nil, err
	}
	return process, process.message, nil
}

// EncryptMessageNext is C_EncryptMessageNext.
func (m *Module) EncryptMessageNext(ctx context.Context, h ck.SessionHandle, p *GCMMessage, part []byte, last bool, out *Output) error {
	return m.in(h, func(s *session) error {
		process, msg, err := s.messageUnderWay(opMessageEncrypt)
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(len(part)); !ready {
			return err
		}
		sealed, err := s.send(ctx, msg, part)
		if err == nil && last {
			rest, e := s.slot.token().Finish(ctx, mech.OpEncrypt, msg.state, nil)
			sealed, err = append(sealed, rest...), e
		}
		if err != nil || last {
			process.message = nil
		}
		if err != nil {
			return err
		}
		if last {
			return p.split(sealed, out)
		}
		return out.Write(sealed)
	})
}

// DecryptMessageNext is C_DecryptMessageNext. Plaintext comes with the last
// part, once the tag was seen to be right.
func (m *Module) DecryptMessageNext(ctx context.Context, h ck.SessionHandle, p *GCMMessage, part []byte, last bool, out *Output) error {
	return m.in(h, func(s *session) error {
		process, msg, err := s.messageUnderWay(opMessageDecrypt)
		if err != nil {
			return err
		}
		bound := 0
		if last {
			bound = len(msg.buf) + len(part)
		}
		if ready, err := out.Reserve(bound); !ready {
			return err
		}
		if len(msg.buf)+len(part) > maxHeld {
			process.message = nil
			return fmt.Errorf("%v takes %d bytes at most: %w", msg.mech, maxHeld, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
		}
		msg.buf = append(msg.buf, part...)
		if !last {
			return out.Write(nil)
		}
		process.message = nil
		plain, err := s.finish(ctx, msg, p.join(msg.buf), nil, false)
		if err != nil {
			return aeadFailed(err)
		}
		return out.Write(plain)
	})
}

// messageFinal is the end of a process: C_MessageEncryptFinal and its kin.
func (m *Module) messageFinal(h ck.SessionHandle, k opKind) error {
	return m.in(h, func(s *session) error {
		process, err := s.active(k)
		if err != nil {
			return err
		}
		unfinished := process.message != nil
		s.end(k)
		if unfinished {
			return fmt.Errorf("%v: a message was under way: %w", k, ck.CKR_OPERATION_ACTIVE)
		}
		return nil
	})
}

// MessageEncryptFinal is C_MessageEncryptFinal.
func (m *Module) MessageEncryptFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.messageFinal(h, opMessageEncrypt)
}

// MessageDecryptFinal is C_MessageDecryptFinal.
func (m *Module) MessageDecryptFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.messageFinal(h, opMessageDecrypt)
}
