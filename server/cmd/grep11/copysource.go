package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// source is a token of some PKCS#11 module, which objects are copied from.
type source struct {
	*pkcs11.Ctx
	slot    uint
	session pkcs11.SessionHandle
}

func openSource(module, token string, pin ck.Secret) (*source, error) {
	s := &source{Ctx: pkcs11.New(module)}
	if s.Ctx == nil {
		return nil, fmt.Errorf("%s is no PKCS#11 module, or cannot be loaded", module)
	}
	if err := s.Initialize(); err != nil {
		s.Destroy()
		return nil, fmt.Errorf("%s: %w", module, rvOf(err))
	}
	if err := s.login(token, pin); err != nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", module, err)
	}
	return s, nil
}

func (s *source) login(token string, pin ck.Secret) (err error) {
	if s.slot, err = s.find(token); err != nil {
		return err
	}
	if s.session, err = s.OpenSession(s.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return fmt.Errorf("open a session: %w", rvOf(err))
	}
	if pin == nil {
		return nil
	}
	if err := s.Login(s.session, pkcs11.CKU_USER, string(pin)); err != nil {
		return fmt.Errorf("log in: %w", rvOf(err))
	}
	return nil
}

// find gives the slot of a token by its label; without one, of the only token.
func (s *source) find(token string) (uint, error) {
	slots, err := s.GetSlotList(true)
	if err != nil {
		return 0, rvOf(err)
	}
	found := map[string]uint{}
	for _, slot := range slots {
		if info, err := s.GetTokenInfo(slot); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			found[strings.TrimRight(info.Label, " ")] = slot
		}
	}
	var labels []string
	for label, slot := range found {
		if label == token || token == "" && len(found) == 1 {
			return slot, nil
		}
		labels = append(labels, fmt.Sprintf("%q", label))
	}
	slices.Sort(labels)
	switch all := strings.Join(labels, ", "); {
	case len(labels) == 0:
		return 0, errors.New("it has no initialised token")
	case token == "":
		return 0, fmt.Errorf("it has several tokens: name one of %s with --from-token", all)
	default:
		return 0, fmt.Errorf("it has no token %q, only %s", token, all)
	}
}

func (s *source) close() {
	_ = s.Finalize() // ends session and login
	s.Destroy()
}

const maxFound = 1000

// objects lists the token's objects.
func (s *source) objects() (all []pkcs11.ObjectHandle, err error) {
	if err := s.FindObjectsInit(s.session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true)}); err != nil {
		return nil, fmt.Errorf("list objects: %w", rvOf(err))
	}
	defer func() { err = errors.Join(err, s.FindObjectsFinal(s.session)) }()
	for {
		page, _, err := s.FindObjects(s.session, maxFound)
		if err != nil {
			return nil, fmt.Errorf("list objects: %w", rvOf(err))
		}
		if len(page) == 0 {
			return all, nil
		}
		all = append(all, page...)
	}
}

// read gives those of some attributes that the object has.
func (s *source) read(o pkcs11.ObjectHandle, types ...ck.AttributeType) (t ck.Template) {
	for _, at := range types {
		a, err := s.GetAttributeValue(s.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(uint(at), nil)})
		if err == nil && len(a) == 1 && (len(a[0].Value) > 0 || at.Kind() == ck.KindBytes) {
			t = append(t, ck.Bytes(at, a[0].Value))
		}
	}
	return t
}

// create makes a session object.
func (s *source) create(t ck.Template) (pkcs11.ObjectHandle, error) {
	o, err := s.CreateObject(s.session, sourceTemplate(t))
	return o, rvOf(err)
}

// wraps tells whether the token wraps keys with a mechanism.
func (s *source) wraps(m ck.MechanismType) bool {
	info, err := s.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(m), nil)})
	return err == nil && ck.Flags(info.Flags)&ck.CKF_WRAP != 0
}

func sourceTemplate(t ck.Template) (out []*pkcs11.Attribute) {
	for _, a := range t {
		out = append(out, pkcs11.NewAttribute(uint(a.Type), a.Value))
	}
	return out
}

// rvOf brings the binding's error to ours.
func rvOf(err error) error {
	var e pkcs11.Error
	if errors.As(err, &e) {
		return ck.RV(e)
	}
	return err
}
