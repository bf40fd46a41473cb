package pkcs11_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// The tests here drive the rule of every attribute of every kind of object
// through the module: by each way to make, change, copy and read an object.

// nobodys is an attribute that no object has.
const nobodys ck.AttributeType = 0x4321

// TestMakingByTheRules gives each way to make an object each attribute, and
// takes away those that must be there.
func TestMakingByTheRules(t *testing.T) {
	u := start(t)
	for _, s := range u.subjects() {
		for _, w := range s.ways {
			for _, token := range s.places() {
				w.base = w.base.With(w.readable(s.class)).Set(ck.Bool(ck.CKA_TOKEN, token))
				m := &making{u, s, w, fmt.Sprintf("%s by %s, token %v", s.name, w.name, token)}
				m.run()
			}
		}
	}
}

type making struct {
	*user
	s    subject
	w    way
	name string
}

func (m *making) run() {
	if err := m.make(nil); err != nil {
		m.t.Errorf("%s: %v", m.name, err)
		return
	}
	for _, at := range append(pkcs11.AllAttributes(), nobodys) {
		if at == ck.CKA_CLASS || at == ck.CKA_KEY_TYPE || at == ck.CKA_CERTIFICATE_TYPE {
			continue // they say what is made
		}
		m.take(at)
		m.miss(at)
		for _, a := range badForms(at) {
			m.wants(fmt.Sprintf("%v of %d bytes", at, len(a.Value)), m.make(ck.Template{a}), m.refusal(at, ck.CKR_ATTRIBUTE_VALUE_INVALID))
		}
	}
}

func (m *making) wants(what string, err error, want error) {
	m.t.Helper()
	wants(m.t, m.name+": "+what, err, want)
}

// make makes an object with more attributes, which it must have as they were
// given, and destroys it.
func (m *making) make(more ck.Template) error {
	o, err := m.w.make(m.w.base.With(more))
	if err != nil {
		return err
	}
	defer m.drop(o)
	for _, a := range more {
		if !m.holds(o, a) {
			return fmt.Errorf("made without the %v that was asked for", a.Type)
		}
	}
	return nil
}

// refusal is what an attribute is refused with that objects of the kind do not
// have; other: what it is if they have it.
func (m *making) refusal(at ck.AttributeType, other error) error {
	if pkcs11.RulingOf(at, m.s.class, m.s.kind) == nil {
		return ck.CKR_TEMPLATE_INCONSISTENT
	}
	return other
}

// take: an attribute is refused where the rule says so; otherwise the object has
// it, or it does not fit this one.
func (m *making) take(at ck.AttributeType) {
	r := pkcs11.RulingOf(at, m.s.class, m.s.kind)
	for _, a := range samples(at) {
		err := m.make(ck.Template{a})
		on, _ := a.Bool()
		switch {
		case at == nobodys:
			m.wants("an attribute of nobody's", err, ck.CKR_ATTRIBUTE_TYPE_INVALID)
		case r == nil:
			m.wants(at.String(), err, ck.CKR_TEMPLATE_INCONSISTENT)
		case r.Not[m.w.rules] || r.SOSets && on:
			m.wants(at.String(), err, ck.CKR_ATTRIBUTE_READ_ONLY)
		case err != nil && !slices.Contains(unfit, ck.RVOf(err)):
			m.t.Errorf("%s: %v: %v", m.name, at, err)
		}
	}
}

// unfit are the answers to a well-formed value that does not fit an object.
var unfit = []ck.RV{ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKR_TEMPLATE_INCONSISTENT, ck.CKR_WRAPPED_KEY_LEN_RANGE,
	ck.CKR_CURVE_NOT_SUPPORTED, ck.CKR_PARAMETER_SET_NOT_SUPPORTED, ck.CKR_DOMAIN_PARAMS_INVALID, ck.CKR_KEY_SIZE_RANGE}

// miss takes an attribute away that must be there.
func (m *making) miss(at ck.AttributeType) {
	if r := pkcs11.RulingOf(at, m.s.class, m.s.kind); r != nil && r.Needs[m.w.rules] {
		_, err := m.w.make(m.w.base.Without(at))
		m.wants("without "+at.String(), err, ck.CKR_TEMPLATE_INCOMPLETE)
	}
}

// drop destroys an object that may be.
func (u *user) drop(o ck.ObjectHandle) {
	if u.flag(o, ck.CKA_DESTROYABLE) {
		wants(u.t, "destroy", u.m.DestroyObject(u.t.Context(), u.h, o), nil)
	}
}

// holds tells whether an object has an attribute as it was given. Values of keys
// may have as many leading zeros as their fields want.
func (u *user) holds(o ck.ObjectHandle, a ck.Attribute) bool {
	if a.Type.Kind() == ck.KindTemplates {
		id, _ := u.get(o, ck.CKA_UNIQUE_ID)
		return len(u.find(ck.Template{ck.Bytes(ck.CKA_UNIQUE_ID, id), a})) == 1
	}
	v, err := u.get(o, a.Type)
	if a.Type == ck.CKA_VALUE {
		v = bytes.TrimLeft(v, "\x00")
	}
	return err == nil && bytes.Equal(v, a.Value)
}

// TestChangingByTheRules changes each attribute of each kind of object, and
// copies the object with it changed. EP11's own attributes have rules of their
// own, which tests of the units know.
func TestChangingByTheRules(t *testing.T) {
	u := start(t)
	for _, s := range u.subjects() {
		for _, token := range s.places() {
			name := fmt.Sprintf("%s, token %v", s.name, token)
			o, err := s.ways[0].make(s.ways[0].base.Set(ck.Bool(ck.CKA_TOKEN, token)))
			wants(t, name, err, nil)
			for _, at := range append(pkcs11.AllAttributes(), nobodys) {
				if !strings.HasPrefix(at.String(), "CKA_IBM_") && err == nil {
					u.change(name+": "+at.String(), s, o, at)
				}
			}
		}
	}
}

func (u *user) change(name string, s subject, o ck.ObjectHandle, at ck.AttributeType) {
	r := pkcs11.RulingOf(at, s.class, s.kind)
	for _, a := range samples(at) {
		old, err := u.get(o, at)
		if err == nil && bytes.Equal(old, a.Value) && at.Kind() != ck.KindTemplates {
			c, err := u.m.CopyObject(u.t.Context(), u.h, o, ck.Template{a})
			wants(u.t, name+" copied as it is", err, nil)
			u.drop(c)
			continue
		}
		on, _ := a.Bool()
		wrongWay := r != nil && (r.SOSets && on || r.StaysFalse && on || r.StaysTrue && len(old) == 1 && old[0] != ck.CK_FALSE)
		switch {
		case at == nobodys:
			u.changesTo(name, o, a, ck.CKR_ATTRIBUTE_TYPE_INVALID, ck.CKR_ATTRIBUTE_TYPE_INVALID)
		case r == nil:
			u.changesTo(name, o, a, ck.CKR_TEMPLATE_INCONSISTENT, ck.CKR_TEMPLATE_INCONSISTENT)
		case wrongWay:
			u.changesTo(name, o, a, ck.CKR_ATTRIBUTE_READ_ONLY, ck.CKR_ATTRIBUTE_READ_ONLY)
		case !r.Copies:
			u.changesTo(name, o, a, ck.CKR_ATTRIBUTE_READ_ONLY, ck.CKR_ATTRIBUTE_READ_ONLY)
		case !r.Changes:
			u.changesTo(name, o, a, ck.CKR_ATTRIBUTE_READ_ONLY, nil)
		case at == ck.CKA_COPYABLE:
			u.changesTo(name, u.copied(o), a, nil, nil)
		default:
			u.changesTo(name, o, a, nil, nil)
		}
	}
	for _, a := range badForms(at) {
		if r != nil {
			u.changesTo(fmt.Sprintf("%s of %d bytes", name, len(a.Value)), o, a, ck.CKR_ATTRIBUTE_VALUE_INVALID, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
	}
}

func (u *user) copied(o ck.ObjectHandle) ck.ObjectHandle {
	u.t.Helper()
	c, err := u.m.CopyObject(u.t.Context(), u.h, o, nil)
	wants(u.t, "copy", err, nil)
	return c
}

// changesTo copies an object with an attribute, and sets it.
func (u *user) changesTo(name string, o ck.ObjectHandle, a ck.Attribute, set, copied error) {
	u.t.Helper()
	c, err := u.m.CopyObject(u.t.Context(), u.h, o, ck.Template{a})
	wants(u.t, name+" copied", err, copied)
	if err == nil {
		if !u.holds(c, a) {
			u.t.Errorf("%s: the copy has another", name)
		}
		u.drop(c)
	}
	err = u.m.SetAttributeValue(u.t.Context(), u.h, o, ck.Template{a})
	wants(u.t, name+" set", err, set)
	if err == nil && !u.holds(o, a) {
		u.t.Errorf("%s: the object has another after it was set", name)
	}
}

// TestReadingByTheRules reads each attribute of each kind of object, with each
// kind of buffer.
func TestReadingByTheRules(t *testing.T) {
	u := start(t)
	for _, s := range u.subjects() {
		for _, w := range s.ways {
			for _, token := range s.places() {
				o, err := w.make(w.base.Set(ck.Bool(ck.CKA_TOKEN, token)))
				wants(t, s.name+" by "+w.name, err, nil)
				for _, at := range append(pkcs11.AllAttributes(), nobodys) {
					u.read(fmt.Sprintf("%s by %s, token %v: %v", s.name, w.name, token, at), s, w, o, at)
				}
			}
		}
	}
}

func (u *user) read(name string, s subject, w way, o ck.ObjectHandle, at ck.AttributeType) {
	r := pkcs11.RulingOf(at, s.class, s.kind)
	v, err := u.get(o, at)
	switch {
	case r == nil:
		wants(u.t, name, err, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	case r.Secret:
		wants(u.t, name, err, ck.CKR_ATTRIBUTE_SENSITIVE)
	case r.Needs[w.rules]:
		wants(u.t, name, err, nil)
		if want := w.base.Bytes(at); want != nil && !bytes.Equal(v, want) {
			u.t.Errorf("%s is %x, not %x", name, v, want)
		}
	case r.Default != nil:
		wants(u.t, name, err, nil)
		if !w.base.Has(at) && !decided[at] && !bytes.Equal(v, r.Default) {
			u.t.Errorf("%s is %x by default, not %x", name, v, r.Default)
		}
	}
	if err == nil && at.Kind() != ck.KindTemplates {
		u.buffers(name, o, at, len(v))
	} else {
		u.unavailable(name, o, at)
	}
}

// decided are attributes whose values the way decides, or rightly the service:
// TestHistories and TestUsualRights know them.
var decided = map[ck.AttributeType]bool{
	ck.CKA_TOKEN: true, ck.CKA_UNIQUE_ID: true, ck.CKA_ID: true, ck.CKA_PUBLIC_KEY_INFO: true,
	ck.CKA_LOCAL: true, ck.CKA_KEY_GEN_MECHANISM: true, ck.CKA_ALWAYS_SENSITIVE: true, ck.CKA_NEVER_EXTRACTABLE: true,
	ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_SIGN: true, ck.CKA_VERIFY: true, ck.CKA_WRAP: true, ck.CKA_UNWRAP: true,
	ck.CKA_SIGN_RECOVER: true, ck.CKA_VERIFY_RECOVER: true, ck.CKA_DERIVE: true, ck.CKA_ENCAPSULATE: true, ck.CKA_DECAPSULATE: true,
}

// buffers reads a value of n bytes.
func (u *user) buffers(name string, o ck.ObjectHandle, at ck.AttributeType, n int) {
	for _, room := range []int{0, n - 1, n, n + 1, n + 1<<16} {
		if room < 0 {
			continue
		}
		length := uint64(room)
		out := []pkcs11.AttributeOutput{{Type: at, Buf: make([]byte, room), Len: &length}}
		err := u.m.GetAttributeValue(u.t.Context(), u.h, o, out)
		fits := room >= n
		if fits && (err != nil || length != uint64(n)) || !fits && (!errors.Is(err, ck.CKR_BUFFER_TOO_SMALL) || length != ck.CK_UNAVAILABLE_INFORMATION) {
			u.t.Errorf("%s of %d bytes into %d: %v, length %d", name, n, room, err, length)
		}
	}
}

// unavailable: a value that may not be read has no length, either.
func (u *user) unavailable(name string, o ck.ObjectHandle, at ck.AttributeType) {
	var length uint64
	out := []pkcs11.AttributeOutput{{Type: at, Len: &length}}
	if err := u.m.GetAttributeValue(u.t.Context(), u.h, o, out); err == nil || length != ck.CK_UNAVAILABLE_INFORMATION {
		u.t.Errorf("%s: %v, length %d", name, err, length)
	}
}
