package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Key encapsulation, new in PKCS#11 v3.2 §5.18.8 and 5.18.9. The service derives:
// GREP11's KyberKEMParm says which way and carries the ciphertext in, the
// checksum carries it out.

// lenSum is the checksum that a ciphertext follows: a check value of 3 bytes and
// the key's length in bits (grep11-wire 10.4).
const lenSum = 7

// encapsulated are the attributes that a key gets unless its template says
// otherwise.
var encapsulated = ck.Template{
	ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Bool(ck.CKA_EXTRACTABLE, true),
}

// EncapsulateKey is C_EncapsulateKey. The ciphertext's length is known before: a
// length query makes no key.
func (m *Module) EncapsulateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, pub ck.ObjectHandle, t ck.Template, out *Output) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		from, err := s.kem(ctx, mechanism, ck.CKF_ENCAPSULATE, pub, publics, ck.CKA_ENCAPSULATE)
		if err != nil {
			return err
		}
		t, err := s.made(from, ck.CKA_ENCAPSULATE_TEMPLATE, encapsulated.With(t), hidden)
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(from.keyBytes()); !ready {
			return err
		}
		p := &mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE, KDF: ck.CKD_NULL}
		o, sum, err := s.slot.token().DeriveKey(ctx, mech.Mechanism{Type: mechanism.Type, Param: p}, from.Key, nil, t)
		if err != nil {
			return err
		}
		if len(sum) != lenSum+from.keyBytes() {
			return fmt.Errorf("the service gave a ciphertext of %d bytes: %w", len(sum)-lenSum, ck.CKR_DEVICE_ERROR)
		}
		made = s.keep(o).Handle
		return out.Write(sum[lenSum:])
	})
	return made, err
}

// DecapsulateKey is C_DecapsulateKey.
func (m *Module) DecapsulateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, priv ck.ObjectHandle, t ck.Template, ciphertext []byte) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		from, err := s.kem(ctx, mechanism, ck.CKF_DECAPSULATE, priv, privates, ck.CKA_DECAPSULATE)
		if err != nil {
			return renamed(err, unwrappingKeyErrors)
		}
		t, err := s.made(from, ck.CKA_DECAPSULATE_TEMPLATE, encapsulated.With(t), hidden)
		if err != nil {
			return err
		}
		if want := from.keyBytes(); len(ciphertext) != want {
			return fmt.Errorf("ciphertext of %d bytes instead of %d: %w", len(ciphertext), want, ck.CKR_WRAPPED_KEY_LEN_RANGE)
		}
		p := &mech.Kyber{Mode: ck.CK_IBM_KEM_DECAPSULATE, KDF: ck.CKD_NULL, CipherText: ciphertext}
		o, _, err := s.slot.token().DeriveKey(ctx, mech.Mechanism{Type: mechanism.Type, Param: p}, from.Key, nil, t)
		if err != nil {
			return err
		}
		made = s.keep(o).Handle
		return nil
	})
	return made, err
}

// kem checks mechanism and key. There is no parameter: the vendor's, with which
// its mechanisms derive, says what these functions say themselves. Keys of the
// vendor's mechanisms have CKA_DERIVE for all of it.
func (s *session) kem(ctx context.Context, m mech.Mechanism, flag ck.Flags, h ck.ObjectHandle, class classes, right ck.AttributeType) (*object, error) {
	row, err := s.mechanism(m, flag)
	if err != nil {
		return nil, err
	}
	if row.Use&ck.CKF_DERIVE != 0 {
		right = ck.CKA_DERIVE
	}
	from, err := s.key(ctx, h, use{row, class, right})
	if err == nil && m.Param != nil {
		err = fmt.Errorf("%v takes no parameter: %w", m, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return from, err
}
