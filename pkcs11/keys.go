package pkcs11

import (
	"context"
	"fmt"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/pkcs11/public"
)

// GenerateKey is C_GenerateKey: made and stored in one round trip.
func (m *Module) GenerateKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, t ck.Template) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		kind, err := s.generator(ctx, mechanism, ck.CKF_GENERATE, t)
		if err != nil {
			return err
		}
		class := ck.CKO_SECRET_KEY
		if makesDomain[mechanism.Type] {
			class = ck.CKO_DOMAIN_PARAMETERS
		}
		t, err := s.generated(class, kind, t)
		if err != nil {
			return err
		}
		o, err := s.slot.token().GenerateKey(ctx, mechanism, t)
		if err != nil {
			return err
		}
		if class == ck.CKO_DOMAIN_PARAMETERS {
			o.Attributes = t.With(domainNumbers(o))
		}
		made = s.keep(o).Handle
		return nil
	})
	return made, err
}

// generator checks a key generation mechanism, and gives the type of its keys.
func (s *session) generator(ctx context.Context, m mech.Mechanism, use ck.Flags, templates ...ck.Template) (ck.KeyType, error) {
	row, err := s.mechanism(m, use)
	if err != nil {
		return 0, err
	}
	if err := s.parameter(ctx, m, use); err != nil {
		return 0, err
	}
	kind := row.Keys[0]
	for _, t := range templates {
		said, ok, err := t.Ulong(ck.CKA_KEY_TYPE)
		if err != nil {
			return 0, err
		}
		if ok && !row.Allows(ck.KeyType(said)) {
			return 0, fmt.Errorf("%v makes no %v: %w", m, ck.KeyType(said), ck.CKR_TEMPLATE_INCONSISTENT)
		}
		if ok {
			kind = ck.KeyType(said)
		}
	}
	return kind, nil
}

// lengthIsSaid lists the secret keys whose length the template must give.
var lengthIsSaid = map[ck.KeyType]bool{ck.CKK_AES: true, ck.CKK_GENERIC_SECRET: true}

// generated is the checked template of a key that is to be generated, with its
// class. Its type is the mechanism's to know: one for several curves goes by the
// curve.
func (s *session) generated(class ck.ObjectClass, kind ck.KeyType, t ck.Template) (ck.Template, error) {
	if said, ok, err := t.Ulong(ck.CKA_CLASS); err != nil || ok && ck.ObjectClass(said) != class {
		return nil, fmt.Errorf("CKA_CLASS is %v, not %v: %w", ck.ObjectClass(said), class, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if class == ck.CKO_SECRET_KEY && lengthIsSaid[kind] && !t.Has(ck.CKA_VALUE_LEN) {
		return nil, fmt.Errorf("%v without CKA_VALUE_LEN: %w", kind, ck.CKR_TEMPLATE_INCOMPLETE)
	}
	t, err := s.checked(forGenerate, class, uint64(kind), t)
	if err != nil {
		return nil, err
	}
	t = wrapsOnly(class, t)
	return t.Set(ck.Ulong(ck.CKA_CLASS, class)), nil
}

// GenerateKeyPair is C_GenerateKeyPair: both made and stored in one round trip.
func (m *Module) GenerateKeyPair(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, pub, priv ck.Template) (pubKey, privKey ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		kind, err := s.generator(ctx, mechanism, ck.CKF_GENERATE_KEY_PAIR, pub, priv)
		if err != nil {
			return err
		}
		pub, err := s.generated(ck.CKO_PUBLIC_KEY, kind, pub)
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		priv, err := s.generated(ck.CKO_PRIVATE_KEY, kind, priv)
		if err != nil {
			return fmt.Errorf("private key: %w", err)
		}
		p, q, err := s.slot.token().GenerateKeyPair(ctx, mechanism, pub, priv)
		if err != nil {
			return err
		}
		shareID(&p, &q)
		pubKey, privKey = s.keep(p).Handle, s.keep(q).Handle
		return nil
	})
	return pubKey, privKey, err
}

// shareID gives the session objects of a pair one CKA_ID, as the service gives
// it to stored ones: applications join the halves by it.
func shareID(pub, priv *grep11client.Object) {
	id := pub.Attributes.Bytes(ck.CKA_ID)
	if len(id) == 0 {
		id = priv.Attributes.Bytes(ck.CKA_ID)
	}
	if len(id) == 0 {
		id = public.Identifier(pub.Blob)
	}
	for _, o := range []*grep11client.Object{pub, priv} {
		if o.Handle == 0 && len(o.Attributes.Bytes(ck.CKA_ID)) == 0 {
			o.Attributes = o.Attributes.Set(ck.Bytes(ck.CKA_ID, id))
		}
	}
}

// WrapKey is C_WrapKey. The length of a wrapped key is known only once it is
// wrapped: a length query wraps, too.
func (m *Module) WrapKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek, key ck.ObjectHandle, out *Output) error {
	return m.in(h, func(s *session) error {
		row, err := s.mechanism(mechanism, ck.CKF_WRAP)
		if err != nil {
			return err
		}
		if row.Param == mech.ParamRetain {
			return s.retain(ctx, mechanism, key, out)
		}
		wrapping, err := s.key(ctx, kek, use{row, publics | secrets, ck.CKA_WRAP})
		if err != nil {
			return renamed(err, wrappingKeyErrors)
		}
		wanted, err := s.wanted(ctx, key)
		if err != nil {
			return err
		}
		if err := mayWrap(wrapping, wanted); err != nil {
			return err
		}
		if err := s.parameter(ctx, mechanism, ck.CKF_WRAP); err != nil {
			return err
		}
		wrapped, err := s.slot.token().WrapKey(ctx, mechanism, wanted.Key, wrapping.Key, grep11client.Key{})
		if err != nil {
			return err
		}
		if ready, err := out.Reserve(len(wrapped)); !ready {
			return err
		}
		return out.Write(wrapped)
	})
}

// wanted is the key that is to be wrapped.
func (s *session) wanted(ctx context.Context, key ck.ObjectHandle) (*object, error) {
	o, err := s.object(ctx, key, true)
	if err != nil || !o.isKey() {
		return nil, fmt.Errorf("key handle %#x: %w", uint64(key), ck.CKR_KEY_HANDLE_INVALID)
	}
	return o, nil
}

// retain is C_WrapKey with CKM_IBM_RETAINKEY: there is no wrapping key, and the
// key, extractable or not, stays in the service. The result is for GREP11
// requests. Its length is known, so that asking for it retains nothing.
func (s *session) retain(ctx context.Context, m mech.Mechanism, key ck.ObjectHandle, out *Output) error {
	wanted, err := s.wanted(ctx, key)
	if err != nil {
		return err
	}
	if err := s.parameter(ctx, m, ck.CKF_WRAP); err != nil {
		return err
	}
	if ready, err := out.Reserve(mech.LenRetained); !ready {
		return err
	}
	handle, err := s.slot.token().WrapKey(ctx, m, wanted.Key, grep11client.Key{}, grep11client.Key{})
	if err == nil && len(handle) != mech.LenRetained {
		err = fmt.Errorf("the handle of a retained key has %d bytes: %w", len(handle), ck.CKR_DEVICE_ERROR)
	}
	if err != nil {
		return err
	}
	return out.Write(handle)
}

// mayWrap tells whether a key may leave under another, PKCS#11 v3.2 §5.18.3.
func mayWrap(wrapping, wanted *object) error {
	switch {
	case wanted.class == ck.CKO_PUBLIC_KEY:
		return fmt.Errorf("%v is public: %w", wanted, ck.CKR_KEY_NOT_WRAPPABLE)
	case !wanted.is(ck.CKA_EXTRACTABLE):
		return fmt.Errorf("%v: %w", wanted, ck.CKR_KEY_UNEXTRACTABLE)
	case wanted.is(ck.CKA_WRAP_WITH_TRUSTED) && !wrapping.is(ck.CKA_TRUSTED):
		return fmt.Errorf("%v leaves under trusted keys only: %w", wanted, ck.CKR_KEY_NOT_WRAPPABLE)
	case wrapping.is(ck.CKA_DECRYPT) && wanted.is(ck.CKA_SENSITIVE):
		return fmt.Errorf("%v would decrypt what it wrapped, %v is sensitive: %w", wrapping, wanted, ck.CKR_KEY_NOT_WRAPPABLE)
	}
	if t, ok := wrapping.Attributes.Get(ck.CKA_WRAP_TEMPLATE); ok && !wanted.matches(t.Sub) {
		return fmt.Errorf("%v is not what %v may wrap: %w", wanted, wrapping, ck.CKR_KEY_HANDLE_INVALID)
	}
	return nil
}

// What the standard calls errors of keys that wrap and unwrap.
var (
	wrappingKeyErrors = map[ck.RV]ck.RV{
		ck.CKR_KEY_HANDLE_INVALID:    ck.CKR_WRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_TYPE_INCONSISTENT: ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
	}
	unwrappingKeyErrors = map[ck.RV]ck.RV{
		ck.CKR_KEY_HANDLE_INVALID:    ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_TYPE_INCONSISTENT: ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
	}
)

func renamed(err error, names map[ck.RV]ck.RV) error {
	if rv, ok := names[ck.RVOf(err)]; ok {
		return fmt.Errorf("%v: %w", err, rv)
	}
	return err
}

// UnwrapKey is C_UnwrapKey.
func (m *Module) UnwrapKey(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek ck.ObjectHandle, wrapped []byte, t ck.Template) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		row, err := s.mechanism(mechanism, ck.CKF_UNWRAP)
		if err != nil {
			return err
		}
		var o grep11client.Object
		if mechanism.Type == ck.CKM_IBM_TRANSPORTKEY {
			o, err = s.transport(ctx, mechanism, wrapped, t)
		} else {
			o, err = s.unwrap(ctx, mechanism, use{row, hidden, ck.CKA_UNWRAP}, kek, wrapped, t)
		}
		if err != nil {
			return err
		}
		made = s.keep(o).Handle
		return nil
	})
	return made, err
}

func (s *session) unwrap(ctx context.Context, m mech.Mechanism, u use, kek ck.ObjectHandle, wrapped []byte, t ck.Template) (o grep11client.Object, err error) {
	wrapping, err := s.key(ctx, kek, u)
	if err != nil {
		return o, renamed(err, unwrappingKeyErrors)
	}
	if err := s.parameter(ctx, m, ck.CKF_UNWRAP); err != nil {
		return o, err
	}
	t, err = s.made(wrapping, ck.CKA_UNWRAP_TEMPLATE, t, hidden)
	if err != nil {
		return o, err
	}
	return s.slot.token().UnwrapKey(ctx, m, wrapped, wrapping.Key, grep11client.Key{}, t)
}

// transport is C_UnwrapKey with CKM_IBM_TRANSPORTKEY: a SubjectPublicKeyInfo becomes
// a public key. There is no unwrapping key. Class and type need not be said, and the
// type is not sent: native libraries insist on that (grep11-wire 8.3).
func (s *session) transport(ctx context.Context, m mech.Mechanism, info []byte, t ck.Template) (o grep11client.Object, err error) {
	if err := s.parameter(ctx, m, ck.CKF_UNWRAP); err != nil {
		return o, err
	}
	kind, ok := mech.KeyTypeOf(info)
	if !ok {
		return o, fmt.Errorf("no SubjectPublicKeyInfo of a known kind of key: %w", ck.CKR_WRAPPED_KEY_INVALID)
	}
	is := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kind)}
	for _, a := range is {
		if said, ok := t.Get(a.Type); ok && string(said.Value) != string(a.Value) {
			return o, fmt.Errorf("%v is not that of a public %v: %w", a.Type, kind, ck.CKR_TEMPLATE_INCONSISTENT)
		}
	}
	t, _, err = s.template(forUnwrap, is.With(t))
	if err != nil {
		return o, err
	}
	return s.slot.token().UnwrapKey(ctx, m, info, grep11client.Key{}, grep11client.Key{}, t.Without(ck.CKA_KEY_TYPE))
}

// made is the checked template of a key made with another one, whose own
// template (CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE) must agree, and that may be
// of some classes.
func (s *session) made(from *object, own ck.AttributeType, t ck.Template, may classes) (ck.Template, error) {
	t, err := from.fixes(own, t)
	if err != nil {
		return nil, err
	}
	if class, ok, err := t.Ulong(ck.CKA_CLASS); err == nil && ok && classOf[ck.ObjectClass(class)]&may == 0 {
		return nil, fmt.Errorf("%v cannot come of a key: %w", ck.ObjectClass(class), ck.CKR_TEMPLATE_INCONSISTENT)
	}
	t, _, err = s.template(forUnwrap, t)
	return t, err
}

// fixes adds what the key's own template says of objects that are made with it.
func (from *object) fixes(own ck.AttributeType, t ck.Template) (ck.Template, error) {
	if fixed, ok := from.Attributes.Get(own); ok {
		for _, a := range fixed.Sub {
			if said, ok := t.Get(a.Type); ok && !said.Equal(a) {
				conflict := fmt.Errorf("%v of %v is fixed by %v", a.Type, from, own)
				if own == ck.CKA_ENCAPSULATE_TEMPLATE {
					return nil, fmt.Errorf("%w: %w", conflict, ck.CKR_KEY_HANDLE_INVALID)
				}
				return nil, fmt.Errorf("%w: %w", conflict, ck.CKR_TEMPLATE_INCONSISTENT)
			}
		}
		t = t.With(fixed.Sub)
	}
	return t, nil
}
