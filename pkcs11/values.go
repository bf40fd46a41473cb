package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// GetAttributeValue is C_GetAttributeValue: every attribute is answered as far
// as it can be; the first one that cannot gives the error.
//
// PKCS#11 v3.2 §5.7.
func (m *Module) GetAttributeValue(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, want []AttributeOutput) error {
	return m.in(h, func(s *session) error {
		old, err := s.object(ctx, o, true)
		if err != nil {
			return err
		}
		secrets, err := s.secretValues(ctx, old, want)
		if err != nil {
			return err
		}
		var first error
		for i := range want {
			if err := s.give(old, secrets, &want[i]); err != nil && first == nil {
				first = err
			}
		}
		return first
	})
}

// give answers one attribute.
func (s *session) give(o *object, secrets ck.Template, want *AttributeOutput) error {
	a, ok := secrets.Get(want.Type)
	if !ok {
		var err error
		if a, err = o.attribute(want.Type); err != nil {
			*want.Len = ck.CK_UNAVAILABLE_INFORMATION
			return err
		}
	}
	return want.fill(s.shown(o, a))
}

// secretValues reads those values that the object's rights let out.
func (s *session) secretValues(ctx context.Context, o *object, want []AttributeOutput) (ck.Template, error) {
	if classOf[o.class]&hidden == 0 || !o.readable() {
		return nil, nil
	}
	var types []ck.AttributeType
	for _, w := range want {
		if r, _ := ruleFor(w.Type, o.class, o.kind); r != nil && r.Is&secret != 0 {
			types = append(types, w.Type)
		}
	}
	if len(types) == 0 {
		return nil, nil
	}
	values, err := s.slot.token().KeyValue(ctx, o.Key, types)
	if errors.Is(err, ck.CKR_ATTRIBUTE_SENSITIVE) || errors.Is(err, ck.CKR_ATTRIBUTE_TYPE_INVALID) {
		return values, nil // what is missing is told attribute by attribute
	}
	return values, err
}

// fill copies a value, or its length, to the caller.
func (want *AttributeOutput) fill(a ck.Attribute) error {
	if a.Type.Kind() == ck.KindTemplates {
		return want.fillTemplate(a.Sub)
	}
	if want.Buf == nil {
		*want.Len = uint64(len(a.Value))
		return nil
	}
	if len(want.Buf) < len(a.Value) {
		*want.Len = ck.CK_UNAVAILABLE_INFORMATION
		return fmt.Errorf("%v: %d bytes for %d: %w", a.Type, len(want.Buf), len(a.Value), ck.CKR_BUFFER_TOO_SMALL)
	}
	*want.Len = uint64(copy(want.Buf, a.Value))
	return nil
}

// lenAttribute is sizeof(CK_ATTRIBUTE): lengths of templates count these.
const lenAttribute = 24

func (want *AttributeOutput) fillTemplate(sub ck.Template) error {
	if want.Sub == nil {
		*want.Len = uint64(len(sub) * lenAttribute)
		return nil
	}
	if len(want.Sub) < len(sub) {
		*want.Len = ck.CK_UNAVAILABLE_INFORMATION
		return fmt.Errorf("%v: room for %d of %d attributes: %w", want.Type, len(want.Sub), len(sub), ck.CKR_BUFFER_TOO_SMALL)
	}
	var first error
	for i, a := range sub {
		want.Sub[i].Type = a.Type
		if err := want.Sub[i].fill(a); err != nil && first == nil {
			first = err
		}
	}
	*want.Len = uint64(len(sub) * lenAttribute)
	return first
}

// SetAttributeValue is C_SetAttributeValue.
func (m *Module) SetAttributeValue(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, t ck.Template) error {
	return m.in(h, func(s *session) error {
		old, err := s.object(ctx, o, true)
		if err != nil {
			return err
		}
		if err := s.mayWrite(old.onToken(), old.is(ck.CKA_PRIVATE)); err != nil {
			return err
		}
		// Trusted certificates cannot be modified, §4.7.2.
		if !old.is(ck.CKA_MODIFIABLE) || old.class == ck.CKO_CERTIFICATE && old.is(ck.CKA_TRUSTED) {
			return fmt.Errorf("%v may not be changed: %w", old, ck.CKR_ACTION_PROHIBITED)
		}
		t, err := s.changes(forSet, old, t)
		if err != nil {
			return err
		}
		return s.set(ctx, old, t)
	})
}

func (s *session) set(ctx context.Context, old *object, t ck.Template) error {
	if !old.onToken() && !changesBlob(old, t) {
		s.put(old, grep11client.Object{Key: old.Key, Attributes: old.Attributes.With(t)})
		return nil
	}
	now, err := s.slot.token().SetAttributes(ctx, s.sent(old), t)
	if isGone(err) {
		s.slot.objects.stored.Remove(old.Handle)
		return fmt.Errorf("%v is gone: %w", old, ck.CKR_OBJECT_HANDLE_INVALID)
	}
	if err != nil {
		return err
	}
	if old.onToken() {
		s.slot.objects.know(now)
		return nil
	}
	now.Attributes = old.Attributes.With(t).With(now.Attributes)
	s.put(old, now)
	return nil
}

// put replaces a session object.
func (s *session) put(old *object, o grep11client.Object) {
	o.Handle = old.Handle
	n := newObject(o)
	n.owner = old.owner
	s.slot.objects.session.replace(old.Handle, n)
}

// GetObjectSize is C_GetObjectSize: the bytes of all attributes and the blob.
func (m *Module) GetObjectSize(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle) (size uint64, err error) {
	err = m.in(h, func(s *session) error {
		old, err := s.object(ctx, o, true)
		if err != nil {
			return err
		}
		size = uint64(len(old.Blob))
		for _, a := range old.Attributes {
			size += uint64(len(a.Value)) + lenAttribute
		}
		return nil
	})
	return size, err
}
