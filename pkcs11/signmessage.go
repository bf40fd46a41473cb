package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Message-based signatures, PKCS#11 v3.0 §5.13 and §5.15. The mechanisms there
// are take no parameter with each message.

// MessageSignInit is C_MessageSignInit.
func (m *Module) MessageSignInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opMessageSign, mechanism, key) })
}

// MessageVerifyInit is C_MessageVerifyInit.
func (m *Module) MessageVerifyInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opMessageVerify, mechanism, key) })
}

// fresh is the operation of one message to sign or verify.
func (process *operation) fresh() *operation {
	return &operation{kind: process.kind, mech: process.mech, row: process.row, key: process.key, login: process.login}
}

// SignMessage is C_SignMessage.
func (m *Module) SignMessage(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(opMessageSign)
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(process.signatureLen()); !ready {
			return err
		}
		sig, err := s.single(ctx, process.fresh(), data, nil)
		if err == nil {
			err = exactly(process.signatureLen(), sig)
		}
		if err != nil {
			return err
		}
		return out.Write(sig)
	})
}

// VerifyMessage is C_VerifyMessage.
func (m *Module) VerifyMessage(ctx context.Context, h ck.SessionHandle, data, signature []byte) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(opMessageVerify)
		if err != nil {
			return err
		}
		_, err = s.single(ctx, process.fresh(), data, signature)
		return err
	})
}

// SignMessageBegin is C_SignMessageBegin.
func (m *Module) SignMessageBegin(ctx context.Context, h ck.SessionHandle) error {
	return m.beginParts(h, opMessageSign)
}

// VerifyMessageBegin is C_VerifyMessageBegin.
func (m *Module) VerifyMessageBegin(ctx context.Context, h ck.SessionHandle) error {
	return m.beginParts(h, opMessageVerify)
}

func (m *Module) beginParts(h ck.SessionHandle, k opKind) error {
	return m.in(h, func(s *session) error {
		process, err := s.idleProcess(k)
		if err != nil {
			return err
		}
		process.message = process.fresh()
		return nil
	})
}

// SignMessageNext is C_SignMessageNext; out is nil where more parts follow.
func (m *Module) SignMessageNext(ctx context.Context, h ck.SessionHandle, part []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		process, msg, err := s.messageUnderWay(opMessageSign)
		if err != nil {
			return err
		}
		if out != nil {
			if ready, err := out.Reserve(process.signatureLen()); !ready {
				return err
			}
		}
		sig, err := s.nextPart(ctx, process, msg, part, nil, out != nil)
		if err == nil && out != nil {
			err = exactly(process.signatureLen(), sig)
		}
		if err != nil || out == nil {
			return err
		}
		return out.Write(sig)
	})
}

// VerifyMessageNext is C_VerifyMessageNext; last: the signature came with it.
func (m *Module) VerifyMessageNext(ctx context.Context, h ck.SessionHandle, part, signature []byte, last bool) error {
	return m.in(h, func(s *session) error {
		process, msg, err := s.messageUnderWay(opMessageVerify)
		if err != nil {
			return err
		}
		_, err = s.nextPart(ctx, process, msg, part, signature, last)
		return err
	})
}

func (s *session) nextPart(ctx context.Context, process, msg *operation, part, sig []byte, last bool) (out []byte, err error) {
	err = s.collect(ctx, msg, part)
	if err == nil && last {
		out, err = s.collected(ctx, msg, sig)
	}
	if err != nil || last {
		process.message = nil
	}
	return out, err
}

// MessageSignFinal is C_MessageSignFinal.
func (m *Module) MessageSignFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.messageFinal(h, opMessageSign)
}

// MessageVerifyFinal is C_MessageVerifyFinal.
func (m *Module) MessageVerifyFinal(ctx context.Context, h ck.SessionHandle) error {
	return m.messageFinal(h, opMessageVerify)
}

// withMessages adds to a mechanism's flags what message-based functions take.
func withMessages(r *mech.Row, f ck.Flags) ck.Flags {
	for flag, message := range map[ck.Flags]ck.Flags{ck.CKF_SIGN: ck.CKF_MESSAGE_SIGN, ck.CKF_VERIFY: ck.CKF_MESSAGE_VERIFY} {
		if f&flag != 0 {
			f |= message | ck.CKF_MULTI_MESSAGE
		}
	}
	if r.Param == mech.ParamGCM {
		f |= ck.CKF_MESSAGE_ENCRYPT | ck.CKF_MESSAGE_DECRYPT | ck.CKF_MULTI_MESSAGE
	}
	return f
}
