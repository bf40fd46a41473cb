package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// EncryptInit is C_EncryptInit. It is local.
func (m *Module) EncryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opEncrypt, mechanism, key) })
}

// Encrypt is C_Encrypt, one round trip or none.
func (m *Module) Encrypt(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error { return s.crypt(ctx, opEncrypt, data, out) })
}

// EncryptUpdate is C_EncryptUpdate.
func (m *Module) EncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error { return s.cryptPart(ctx, opEncrypt, data, out, nil) })
}

// EncryptFinal is C_EncryptFinal.
func (m *Module) EncryptFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error { return s.cryptEnd(ctx, opEncrypt, out) })
}

// DecryptInit is C_DecryptInit. It is local.
func (m *Module) DecryptInit(ctx context.Context, h ck.SessionHandle, mechanism *mech.Mechanism, key ck.ObjectHandle) error {
	return m.in(h, func(s *session) error { return s.begin(ctx, opDecrypt, mechanism, key) })
}

// Decrypt is C_Decrypt, one round trip.
func (m *Module) Decrypt(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error { return s.crypt(ctx, opDecrypt, data, out) })
}

// DecryptUpdate is C_DecryptUpdate.
func (m *Module) DecryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.in(h, func(s *session) error { return s.cryptPart(ctx, opDecrypt, data, out, nil) })
}

// DecryptFinal is C_DecryptFinal.
func (m *Module) DecryptFinal(ctx context.Context, h ck.SessionHandle, out *Output) error {
	return m.in(h, func(s *session) error { return s.cryptEnd(ctx, opDecrypt, out) })
}

func (s *session) crypt(ctx context.Context, k opKind, data []byte, out *Output) error {
	op, err := s.whole(k)
	if err != nil {
		return err
	}
	bound := op.mech.OutLen(opKinds[k].op, op.key.keyBytes(), len(data))
	return s.conclude(op, out, bound, data, func() ([]byte, error) {
		return s.single(ctx, op, data, nil)
	})
}

// cryptPart is an update. What gives no output yet stays here until something
// does, so that short data and GCM decryption cost one round trip at the end;
// the latter's plaintext appears only once its tag was right. also, if not nil,
// sees what went in and what came out, once both are sure.
func (s *session) cryptPart(ctx context.Context, k opKind, data []byte, out *Output, also func(in, out []byte) error) error {
	op, err := s.parted(k)
	if err != nil {
		return err
	}
	bound := op.mech.UpdateLen(opKinds[k].op, op.held, len(data))
	if op.atEnd() {
		bound = 0
	}
	if ready, err := out.Reserve(bound); !ready {
		return err
	}
	piece, err := s.take(ctx, op, data, bound)
	if err == nil && len(piece) > bound {
		err = exactly(bound, piece)
	}
	if err != nil {
		return s.fail(k, err)
	}
	op.parts = true
	op.held += len(data) - len(piece)
	if also != nil {
		if err := also(data, piece); err != nil {
			return s.fail(k, err)
		}
	}
	return out.Write(piece)
}

// atEnd tells whether a mechanism gives everything at its end.
func (op *operation) atEnd() bool {
	return op.row.Single || op.row.Out == mech.OutModulus || op.row.Out == mech.OutTag && op.kind == opDecrypt
}

// take keeps data, or sends it where it gives output.
func (s *session) take(ctx context.Context, op *operation, data []byte, bound int) ([]byte, error) {
	if len(op.buf)+len(data) > maxHeld && op.atEnd() {
		return nil, fmt.Errorf("%v takes %d bytes at most: %w", op.mech, maxHeld, lenRange(op.kind))
	}
	if bound == 0 {
		op.buf = append(op.buf, data...)
		return nil, nil
	}
	if len(op.buf) > 0 {
		data = append(op.buf, data...)
		op.buf = nil
	}
	return s.send(ctx, op, data)
}

func lenRange(k opKind) error {
	if k == opDecrypt {
		return ck.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	return ck.CKR_DATA_LEN_RANGE
}

func (s *session) cryptEnd(ctx context.Context, k opKind, out *Output) error {
	op, err := s.parted(k)
	if err != nil {
		return err
	}
	bound := op.mech.FinalLen(opKinds[k].op, op.key.keyBytes(), op.held)
	return s.conclude(op, out, bound, nil, func() ([]byte, error) {
		if op.state == nil {
			return s.finish(ctx, op, op.buf, nil, false)
		}
		return s.inParts(ctx, op, op.buf, nil)
	})
}
