package pkcs11

import (
	"context"
	"fmt"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// derivation is what a mechanism derives from, and what it makes.
type derivation struct {
	base, result classes
	template     ck.Template // what the caller's template need not say
}

// usually it is a secret or private key. Without CKA_CLASS and CKA_KEY_TYPE the
// result is a generic secret key.
var usually = derivation{hidden, hidden, ck.Template{
	ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
}}

// derivationOf: in a tree of BIP32 or SLIP-0010 (grep11-wire 11.4) the kind of
// step says whether the new key is a private or a public one.
func derivationOf(m mech.Mechanism) derivation {
	p, ok := m.Param.(*mech.BTC)
	if !ok {
		return usually
	}
	base, class := privates, ck.CKO_PRIVATE_KEY
	switch p.Type {
	case ck.CK_IBM_BIP0032_MASTERK, ck.CK_IBM_SLIP0010_MASTERK:
		base = secrets
	case ck.CK_IBM_BIP0032_PRV2PUB, ck.CK_IBM_SLIP0010_PRV2PUB:
		class = ck.CKO_PUBLIC_KEY
	case ck.CK_IBM_BIP0032_PUB2PUB, ck.CK_IBM_SLIP0010_PUB2PUB:
		base, class = publics, ck.CKO_PUBLIC_KEY
	}
	return derivation{base, classOf[class], ck.Template{ck.Ulong(ck.CKA_CLASS, class), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC)}}
}

// complete is the template with what it need not say. The vendor's callers give
// keys of a tree a length.
func (d derivation) complete(m mech.Mechanism, t ck.Template) ck.Template {
	if m.Type == ck.CKM_IBM_BTC_DERIVE {
		t = t.Without(ck.CKA_VALUE_LEN)
	}
	return d.template.With(t)
}

// DeriveKey is C_DeriveKey. The chain code of a new key in a tree takes the
// place of its parent's in the mechanism's parameter; the service shows it as the
// key's CKA_CHECK_VALUE, too.
func (m *Module) DeriveKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, base ck.ObjectHandle, t ck.Template) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		row, err := s.mechanism(mechanism, ck.CKF_DERIVE)
		if err != nil {
			return err
		}
		d := derivationOf(mechanism)
		from, err := s.key(ctx, base, use{row, d.base, ck.CKA_DERIVE})
		if err != nil {
			return err
		}
		if err := s.parameter(ctx, mechanism, ck.CKF_DERIVE); err != nil {
			return err
		}
		o, err := s.derive(ctx, mechanism, d, from, t)
		if err != nil {
			return err
		}
		made = s.keep(o).Handle
		return nil
	})
	return made, err
}

func (s *session) derive(ctx context.Context, mechanism mech.Mechanism, d derivation, from *object, t ck.Template) (o grep11client.Object, err error) {
	if mechanism.Type == ck.CKM_HKDF_DATA {
		return s.deriveData(ctx, mechanism, from, t)
	}
	t, err = s.made(from, ck.CKA_DERIVE_TEMPLATE, d.complete(mechanism, t), d.result)
	if err != nil {
		return o, err
	}
	o, sum, err := s.slot.token().DeriveKey(ctx, mechanism, from.Key, nil, t)
	if err != nil {
		return o, err
	}
	return o, takeChainCode(mechanism, sum)
}

// deriveData makes a data object. Units make keys alone: theirs may be read here, and what is in it
// is the object's value. PKCS#11 v3.2 §6.44.
func (s *session) deriveData(ctx context.Context, mechanism mech.Mechanism, from *object, t ck.Template) (o grep11client.Object, err error) {
	key := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}
	if n, ok := t.Get(ck.CKA_VALUE_LEN); ok { // the key's, not the object's
		key, t = key.Set(n), t.Without(ck.CKA_VALUE_LEN)
	}
	t, err = from.fixes(ck.CKA_DERIVE_TEMPLATE, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA)}.With(t))
	if err != nil {
		return o, err
	}
	if t.Has(ck.CKA_VALUE) {
		return o, fmt.Errorf("CKA_VALUE is what is derived: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if class, _, err := t.Ulong(ck.CKA_CLASS); err == nil && class != uint64(ck.CKO_DATA) {
		return o, fmt.Errorf("%v derives data, not %v: %w", mechanism.Type, ck.ObjectClass(class), ck.CKR_TEMPLATE_INCONSISTENT)
	}
	t, class, err := s.template(forCreate, t)
	if err != nil {
		return o, err
	}
	data, _, err := s.slot.token().DeriveKey(ctx, mechanism, from.Key, nil, key)
	if err != nil {
		return o, err
	}
	value, err := s.slot.token().KeyValue(ctx, data.Key, []ck.AttributeType{ck.CKA_VALUE})
	if err != nil {
		return o, err
	}
	return s.create(ctx, class, t.With(value))
}

// takeChainCode: the service gives it as the new key's checksum.
func takeChainCode(m mech.Mechanism, sum []byte) error {
	p, ok := m.Param.(*mech.BTC)
	if !ok {
		return nil
	}
	if len(sum) != mech.LenChainCode {
		return fmt.Errorf("the service gave a chain code of %d bytes: %w", len(sum), ck.CKR_DEVICE_ERROR)
	}
	p.ChainCode = sum
	return nil
}
