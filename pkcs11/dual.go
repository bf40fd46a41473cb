package pkcs11

import (
	"context"

	"grep11/pkcs11/ck"
)

// The dual-function updates, PKCS#11 v3.2 §5.14: a part goes through a cipher
// and through a digest or signature. The cipher's output rules decide; the other
// operation sees a part only once the cipher took it.

// DigestEncryptUpdate is C_DigestEncryptUpdate.
func (m *Module) DigestEncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.dual(ctx, h, opEncrypt, opDigest, data, out)
}

// DecryptDigestUpdate is C_DecryptDigestUpdate.
func (m *Module) DecryptDigestUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.dual(ctx, h, opDecrypt, opDigest, data, out)
}

// SignEncryptUpdate is C_SignEncryptUpdate.
func (m *Module) SignEncryptUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.dual(ctx, h, opEncrypt, opSign, data, out)
}

// DecryptVerifyUpdate is C_DecryptVerifyUpdate.
func (m *Module) DecryptVerifyUpdate(ctx context.Context, h ck.SessionHandle, data []byte, out *Output) error {
	return m.dual(ctx, h, opDecrypt, opVerify, data, out)
}

// dual gives the plaintext, which goes into an encryption and comes out of a
// decryption, to the other operation.
func (m *Module) dual(ctx context.Context, h ck.SessionHandle, cipher, other opKind, data []byte, out *Output) error {
	return m.in(h, func(s *session) error {
		op, err := s.parted(other)
		if err != nil {
			return err
		}
		return s.cryptPart(ctx, cipher, data, out, func(in, out []byte) error {
			plain := in
			if cipher == opDecrypt {
				plain = out
			}
			if err := s.absorb(ctx, op, plain); err != nil {
				return s.fail(other, err)
			}
			return nil
		})
	})
}

// absorb gives data to a digest, signature or verification.
func (s *session) absorb(ctx context.Context, op *operation, data []byte) error {
	if op.kind == opDigest {
		return s.digest(ctx, op, data)
	}
	return s.collect(ctx, op, data)
}
