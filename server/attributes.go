package server

import (
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// What a key's blob seals, its unit rules. The rules here are about the rest
// of a stored object's attributes, PKCS#11 v3.2 §4.1 to §4.9; the library has
// the finer ones, of what a template may say.

// classes says what objects of a class are, and what a template must have.
var classes = map[ck.ObjectClass]struct {
	key   bool
	needs []ck.AttributeType
}{
	ck.CKO_DATA:              {},
	ck.CKO_CERTIFICATE:       {needs: []ck.AttributeType{ck.CKA_CERTIFICATE_TYPE}},
	ck.CKO_PUBLIC_KEY:        {key: true},
	ck.CKO_PRIVATE_KEY:       {key: true},
	ck.CKO_SECRET_KEY:        {key: true},
	ck.CKO_DOMAIN_PARAMETERS: {},
	ck.CKO_TRUST:             {},
}

func classOf(t ck.Template) (ck.ObjectClass, error) {
	n, ok, err := t.Ulong(ck.CKA_CLASS)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("no CKA_CLASS: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	class := ck.ObjectClass(n)
	if _, ok := classes[class]; !ok {
		return 0, fmt.Errorf("%v cannot be stored: %w", class, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return class, nil
}

// secretValues are the parts of private and secret keys that must not lie
// beside their blob.
var secretValues = []ck.AttributeType{
	ck.CKA_VALUE, ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2, ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2,
	ck.CKA_COEFFICIENT, ck.CKA_SEED,
}

func isSecret(class ck.ObjectClass) bool {
	return class == ck.CKO_PRIVATE_KEY || class == ck.CKO_SECRET_KEY
}

// maxValue bounds a stored value; the whole is bounded by the store.
const maxValue = 256 << 10

// checkNew holds the attributes of a new object against the rules.
func checkNew(class ck.ObjectClass, t ck.Template) error {
	for _, at := range classes[class].needs {
		if !t.Has(at) {
			return fmt.Errorf("%v without %v: %w", class, at, ck.CKR_TEMPLATE_INCOMPLETE)
		}
	}
	for _, a := range t {
		if isSecret(class) && slices.Contains(secretValues, a.Type) {
			return fmt.Errorf("%v beside a key blob: %w", a.Type, ck.CKR_TEMPLATE_INCONSISTENT)
		}
		if err := checkForm(a); err != nil {
			return err
		}
	}
	return nil
}

// checkForm refuses what the store could not give back.
func checkForm(a ck.Attribute) error {
	if len(a.Value) > maxValue {
		return fmt.Errorf("%v of %d bytes: %w", a.Type, len(a.Value), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	switch a.Type.Kind() {
	case ck.KindBool:
		_, err := a.Bool()
		return err
	case ck.KindUlong:
		_, err := a.Ulong()
		return err
	}
	return nil
}

// defaults are the attributes that an object has where nothing was said. The
// library knows them too; here they make searches find them.
var defaults = []struct {
	on    func(ck.ObjectClass) bool
	value ck.Attribute
}{
	{everyClass, ck.Bool(ck.CKA_MODIFIABLE, true)},
	{everyClass, ck.Bool(ck.CKA_COPYABLE, true)},
	{everyClass, ck.Bool(ck.CKA_DESTROYABLE, true)},
	{everyClass, ck.Bytes(ck.CKA_LABEL, []byte{})},
	{is(ck.CKO_DATA), ck.Bytes(ck.CKA_APPLICATION, []byte{})},
	{is(ck.CKO_DATA), ck.Bytes(ck.CKA_OBJECT_ID, []byte{})},
	{is(ck.CKO_DATA), ck.Bytes(ck.CKA_VALUE, []byte{})},
	{is(ck.CKO_CERTIFICATE), ck.Bool(ck.CKA_TRUSTED, false)},
	{is(ck.CKO_CERTIFICATE), ck.Ulong(ck.CKA_CERTIFICATE_CATEGORY, 0)},
	{is(ck.CKO_CERTIFICATE, ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY), ck.Bytes(ck.CKA_SUBJECT, []byte{})},
	{is(ck.CKO_CERTIFICATE, ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY), ck.Bytes(ck.CKA_ID, []byte{})},
	{is(ck.CKO_CERTIFICATE, ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY), ck.Bytes(ck.CKA_START_DATE, []byte{})},
	{is(ck.CKO_CERTIFICATE, ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY), ck.Bytes(ck.CKA_END_DATE, []byte{})},
	{is(ck.CKO_PRIVATE_KEY), ck.Bool(ck.CKA_ALWAYS_AUTHENTICATE, false)},
}

func everyClass(ck.ObjectClass) bool { return true }

func is(some ...ck.ObjectClass) func(ck.ObjectClass) bool {
	return func(c ck.ObjectClass) bool { return slices.Contains(some, c) }
}

// complete makes the attributes of an object that is about to be stored or
// given out: token says where it lives, private who sees it.
func complete(class ck.ObjectClass, t ck.Template, token, private bool) ck.Template {
	t = t.Without(ck.CKA_UNIQUE_ID).With(ck.Template{ck.Bool(ck.CKA_TOKEN, token), ck.Bool(ck.CKA_PRIVATE, private)})
	for _, d := range defaults {
		if d.on(class) && !t.Has(d.value.Type) {
			t = append(t, d.value)
		}
	}
	return t
}

// isPrivate reads CKA_PRIVATE. Keys that hold secrets, and data, are private by
// default where a user is there to own them (grep11-wire 17.1).
func isPrivate(class ck.ObjectClass, t ck.Template, c access.Caller, token keystore.ID) (bool, error) {
	private, err := t.Bool(ck.CKA_PRIVATE, (isSecret(class) || class == ck.CKO_DATA) && c.UserOf(token))
	if err == nil && private && !c.UserOf(token) {
		err = fmt.Errorf("private %v without a user: %w", class, ck.CKR_USER_NOT_LOGGED_IN)
	}
	return private, err
}

// change says what may be done to an attribute outside the blob.
type change uint8

const (
	changeNever change = iota
	changeCopy         // while copying only
	changeFree
	changeToFalse // never back
	changeBySO    // by the security officer only
	changeOfData  // of data objects only
)

var changes = map[ck.AttributeType]change{
	ck.CKA_LABEL: changeFree, ck.CKA_ID: changeFree, ck.CKA_SUBJECT: changeFree,
	ck.CKA_START_DATE: changeFree, ck.CKA_END_DATE: changeFree,
	ck.CKA_APPLICATION: changeFree, ck.CKA_OBJECT_ID: changeFree, ck.CKA_VALUE: changeOfData,
	ck.CKA_ISSUER: changeFree, ck.CKA_SERIAL_NUMBER: changeFree, ck.CKA_AC_ISSUER: changeFree, ck.CKA_ATTR_TYPES: changeFree,
	ck.CKA_TRUST_SERVER_AUTH: changeFree, ck.CKA_TRUST_CLIENT_AUTH: changeFree, ck.CKA_TRUST_CODE_SIGNING: changeFree,
	ck.CKA_TRUST_EMAIL_PROTECTION: changeFree, ck.CKA_TRUST_IPSEC_IKE: changeFree, ck.CKA_TRUST_TIME_STAMPING: changeFree,
	ck.CKA_TRUST_OCSP_SIGNING: changeFree,
	ck.CKA_DESTROYABLE:        changeFree, ck.CKA_COPYABLE: changeToFalse, ck.CKA_TRUSTED: changeBySO,
	ck.CKA_TOKEN: changeCopy, ck.CKA_PRIVATE: changeCopy, ck.CKA_MODIFIABLE: changeCopy,
}

// sift holds changes of an object's attributes against the rules, and gives
// apart those that a unit has to make in the blob.
func sift(o ck.Template, isKey, copying bool, c access.Caller, token keystore.ID, wanted ck.Template) (sealed ck.Template, err error) {
	for _, a := range wanted {
		if err := checkForm(a); err != nil {
			return nil, err
		}
		if isKey && unit.Governed(a.Type) && a.Type != ck.CKA_TRUSTED && (copying || a.Type != ck.CKA_MODIFIABLE) {
			sealed = append(sealed, a)
			continue
		}
		if !mayChange(o, copying, c.SOOf(token), a) {
			return nil, fmt.Errorf("change of %v: %w", a.Type, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
		if isKey && unit.Governed(a.Type) {
			sealed = append(sealed, a)
		}
	}
	return sealed, nil
}

// isTrusted tells whether an object is a certificate that does not change any
// more, PKCS#11 v3.2 §4.7.2.
func isTrusted(o ck.Template) bool {
	class, err := classOf(o)
	trusted, _ := o.Bool(ck.CKA_TRUSTED, false)
	return err == nil && class == ck.CKO_CERTIFICATE && trusted
}

func mayChange(o ck.Template, copying, so bool, a ck.Attribute) bool {
	on, _ := a.Bool() // of Booleans; their form was checked
	was, _ := o.Bool(a.Type, true)
	switch changes[a.Type] {
	case changeFree:
		return true
	case changeCopy:
		return copying
	case changeToFalse:
		return was || !on
	case changeBySO:
		return so || !on
	case changeOfData:
		class, err := classOf(o)
		return err == nil && class == ck.CKO_DATA
	}
	return false
}
