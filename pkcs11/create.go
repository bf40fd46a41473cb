package pkcs11

import (
	"context"
	"fmt"
	"slices"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// CreateObject is C_CreateObject. Key values go to the service under a passing
// key of its own; certificates and data that are session objects stay here.
//
// PKCS#11 v3.2 §5.7.
func (m *Module) CreateObject(ctx context.Context, h ck.SessionHandle, t ck.Template) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		t, class, err := s.template(forCreate, t)
		if err != nil {
			return err
		}
		if err := checkValueLen(class, t); err != nil {
			return err
		}
		o, err := s.create(ctx, class, t)
		if err != nil {
			return err
		}
		made = s.keep(o).Handle
		return nil
	})
	return made, err
}

func (s *session) create(ctx context.Context, class ck.ObjectClass, t ck.Template) (grep11client.Object, error) {
	if classOf[class]&keys != 0 {
		return s.slot.token().ImportKey(ctx, t)
	}
	if onToken, _ := t.Bool(ck.CKA_TOKEN, false); onToken {
		return s.slot.token().CreateObject(ctx, t)
	}
	return grep11client.Object{Attributes: t}, nil
}

// template checks a template that names its object's class, brings it into
// normal form and decides CKA_TOKEN and CKA_PRIVATE.
func (s *session) template(p purpose, t ck.Template) (ck.Template, ck.ObjectClass, error) {
	class, ok, err := t.Ulong(ck.CKA_CLASS)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s without CKA_CLASS: %w", purposes[p].name, ck.CKR_TEMPLATE_INCOMPLETE)
	}
	kindAttr := ck.CKA_KEY_TYPE
	if ck.ObjectClass(class) == ck.CKO_CERTIFICATE {
		kindAttr = ck.CKA_CERTIFICATE_TYPE
	}
	kind, _, err := t.Ulong(kindAttr)
	if err != nil {
		return nil, 0, err
	}
	out, err := s.checked(p, ck.ObjectClass(class), kind, t)
	return withUsual(ck.ObjectClass(class), ck.KeyType(kind), out), ck.ObjectClass(class), err
}

// checked is template for an object whose class and type are known otherwise.
func (s *session) checked(p purpose, class ck.ObjectClass, kind uint64, t ck.Template) (ck.Template, error) {
	user, _ := s.slot.who()
	t, err := checkTemplate(p, class, kind, t, user == loggedSO)
	if err != nil {
		return nil, err
	}
	if err := checkWhole(class, kind, t); err != nil {
		return nil, err
	}
	onToken, err := t.Bool(ck.CKA_TOKEN, false)
	if err != nil {
		return nil, err
	}
	// Keys of a session that nobody has logged in to are public by default:
	// OpenSSL's provider makes such keys to derive from, and no other application sees them.
	// Data are the user's where there is one.
	owned := user == loggedUser && class == ck.CKO_DATA || (onToken || user == loggedUser) && classOf[class]&hidden != 0
	private, err := t.Bool(ck.CKA_PRIVATE, owned)
	if err != nil {
		return nil, err
	}
	if always, _ := t.Bool(ck.CKA_ALWAYS_AUTHENTICATE, false); always && !private {
		return nil, fmt.Errorf("CKA_ALWAYS_AUTHENTICATE of a public object: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if err := s.mayWrite(onToken, private); err != nil {
		return nil, err
	}
	return normalAll(t.Set(ck.Bool(ck.CKA_PRIVATE, private)).Set(ck.Bool(ck.CKA_TOKEN, onToken))), nil
}

// mayWrite tells whether the session's state lets it make or change such an
// object, PKCS#11 usage guide §2.6.
func (s *session) mayWrite(onToken, private bool) error {
	user, _ := s.slot.who()
	if onToken && !s.rw {
		return fmt.Errorf("token object: %w", ck.CKR_SESSION_READ_ONLY)
	}
	if private && user != loggedUser {
		return fmt.Errorf("private object: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	return nil
}

// checkValueLen takes CKA_VALUE_LEN beside a value that is so long.
func checkValueLen(class ck.ObjectClass, t ck.Template) error {
	n, ok, err := t.Ulong(ck.CKA_VALUE_LEN)
	if err != nil || !ok || class != ck.CKO_SECRET_KEY {
		return err
	}
	if n != uint64(len(t.Bytes(ck.CKA_VALUE))) {
		return fmt.Errorf("CKA_VALUE_LEN %d beside %d bytes: %w", n, len(t.Bytes(ck.CKA_VALUE)), ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return nil
}

// CopyObject is C_CopyObject.
func (m *Module) CopyObject(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle, t ck.Template) (made ck.ObjectHandle, err error) {
	err = m.in(h, func(s *session) error {
		old, err := s.object(ctx, o, true)
		if err != nil {
			return err
		}
		if !old.is(ck.CKA_COPYABLE) {
			return fmt.Errorf("%v may not be copied: %w", old, ck.CKR_ACTION_PROHIBITED)
		}
		t, err := s.changes(forCopy, old, t)
		if err != nil {
			return err
		}
		private, _ := t.Bool(ck.CKA_PRIVATE, old.is(ck.CKA_PRIVATE))
		onToken, _ := t.Bool(ck.CKA_TOKEN, old.onToken())
		if err := s.mayWrite(onToken, private); err != nil {
			return err
		}
		copied, err := s.copy(ctx, old, t.Set(ck.Bool(ck.CKA_TOKEN, onToken)), onToken)
		if err != nil {
			return err
		}
		made = s.keep(copied).Handle
		return nil
	})
	return made, err
}

// copy makes the copy: here, if it needs nothing of the service.
func (s *session) copy(ctx context.Context, old *object, t ck.Template, onToken bool) (grep11client.Object, error) {
	if !old.onToken() && !onToken && !changesBlob(old, t) {
		return grep11client.Object{Key: grep11client.Key{Blob: old.Blob}, Attributes: old.Attributes.With(t)}, nil
	}
	if !old.isKey() && !onToken {
		return grep11client.Object{Attributes: old.Attributes.With(t)}, nil
	}
	if !old.isKey() && !old.onToken() {
		return s.slot.token().CreateObject(ctx, old.Attributes.With(t))
	}
	return s.slot.token().CopyObject(ctx, s.sent(old), t)
}

// sent is an object as the service knows it: session objects have no handle there.
func (s *session) sent(o *object) grep11client.Object {
	out := o.Object
	if !o.onToken() {
		out.Handle = 0
	}
	return out
}

// changes checks a template of changes to an object, and gives those that are
// some: a copy's template often says what stays.
func (s *session) changes(p purpose, o *object, t ck.Template) (ck.Template, error) {
	user, _ := s.slot.who()
	t, err := checkTemplate(p, o.class, o.kind, t, user == loggedSO)
	if err != nil {
		return nil, err
	}
	t = slices.DeleteFunc(normalAll(t), func(a ck.Attribute) bool { return p == forCopy && o.matches(ck.Template{a}) })
	for _, a := range t {
		if err := checkChange(p, o, a); err != nil {
			return nil, err
		}
	}
	if trusted, _ := t.Bool(ck.CKA_TRUSTED, o.is(ck.CKA_TRUSTED)); p == forCopy && trusted && user != loggedSO {
		return nil, fmt.Errorf("a copy of %v would be trusted: %w", o, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	if o.class == ck.CKO_TRUST {
		return t, renamed(checkTrust(o.Attributes.With(t)), changeErrors)
	}
	return t, nil
}

// changeErrors: a change that leaves too little is one that does not fit, §4.1.2.
var changeErrors = map[ck.RV]ck.RV{ck.CKR_TEMPLATE_INCOMPLETE: ck.CKR_TEMPLATE_INCONSISTENT}

// changesBlob tells whether a change reaches what a key's blob holds.
func changesBlob(o *object, t ck.Template) bool {
	for _, a := range t {
		if r, _ := ruleFor(a.Type, o.class, o.kind); o.isKey() && r != nil && r.Is&sealed != 0 {
			return true
		}
	}
	return false
}

// DestroyObject is C_DestroyObject.
func (m *Module) DestroyObject(ctx context.Context, h ck.SessionHandle, o ck.ObjectHandle) error {
	return m.in(h, func(s *session) error {
		old, err := s.object(ctx, o, true)
		if err != nil {
			return err
		}
		if !old.is(ck.CKA_DESTROYABLE) {
			return fmt.Errorf("%v may not be destroyed: %w", old, ck.CKR_ACTION_PROHIBITED)
		}
		if err := s.mayWrite(old.onToken(), old.is(ck.CKA_PRIVATE)); err != nil {
			return err
		}
		if o&syntheticBit != 0 {
			s.slot.objects.hidden.Store(o, nil)
			return nil
		}
		if !old.onToken() {
			s.slot.objects.session.remove(o)
			return nil
		}
		s.slot.objects.stored.Remove(o)
		err = s.slot.token().DestroyObject(ctx, old.Object)
		if isGone(err) {
			return fmt.Errorf("%v is gone: %w", old, ck.CKR_OBJECT_HANDLE_INVALID)
		}
		return err
	})
}
