package soft

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// A key's own templates say which keys it wraps, and what those are like that are
// made with it: CKA_WRAP_TEMPLATE and its kin, PKCS#11 v3.2 §4.9 to §4.11. They are
// sealed in the blobs of secret and private keys. Anybody may bring a public key as
// a bare SubjectPublicKeyInfo, so a template of one binds nobody here.

// ruleTypes are the templates that are sealed, by the class of the key.
var ruleTypes = map[ck.ObjectClass][]ck.AttributeType{
	ck.CKO_SECRET_KEY:  {ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE},
	ck.CKO_PRIVATE_KEY: {ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE, ck.CKA_DECAPSULATE_TEMPLATE},
}

// maxRules bounds what a blob holds of them, in bytes.
const maxRules = 8 << 10

// readRules gives what a new key's template says of other keys.
func (r *request) readRules() (rules ck.Template, err error) {
	for _, t := range ruleTypes[r.class] {
		a, ok := r.Get(t)
		if !ok || len(a.Sub) == 0 {
			continue
		}
		if slices.ContainsFunc(a.Sub, func(a ck.Attribute) bool { return a.Type.Kind() == ck.KindTemplates }) {
			return nil, fmt.Errorf("a template inside %v: %w", t, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
		rules = append(rules, a)
	}
	if b, err := rules.Portable(); err != nil || len(b) > maxRules {
		return nil, fmt.Errorf("templates of the key with %d bytes: %w", len(b), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return rules, nil
}

// marshalRules writes them after the facts, where there are any: other blobs have
// the format that they had before there were rules.
func (k *key) marshalRules(b *cryptobyte.Builder) {
	if len(k.rules) == 0 {
		return
	}
	rules, err := k.rules.Portable()
	if err != nil {
		b.SetError(err)
		return
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(rules) })
}

// format is that of the key's sealed form: plain, or with rules.
func (k *key) format(plain uint8) uint8 {
	if len(k.rules) > 0 {
		return plain + withRules
	}
	return plain
}

// withRules is the distance of a format from the one that has rules, too.
const withRules = 2

// readFormat reads what format wrote.
func readFormat(s *cryptobyte.String, plain uint8) (ruled bool, err error) {
	var format uint8
	if !s.ReadUint8(&format) || format != plain && format != plain+withRules {
		return false, errSealedFormat
	}
	return format != plain, nil
}

func (k *key) unmarshalRules(s *cryptobyte.String) (err error) {
	var rules cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&rules) {
		return errSealedFormat
	}
	if k.rules, err = ck.FromPortable(slices.Clone(rules)); err != nil {
		return errSealedFormat
	}
	return nil
}

// mayTake tells whether a key is what CKA_WRAP_TEMPLATE lets this one wrap. What is
// kept beside blobs, such as labels, is not known here.
func (k *key) mayTake(wanted *key) error {
	return k.meets(ck.CKA_WRAP_TEMPLATE, wanted, ck.CKR_KEY_HANDLE_INVALID)
}

// meets compares a key with one of this key's templates.
func (k *key) meets(rule ck.AttributeType, other *key, refused ck.RV) error {
	t, ok := k.rules.Get(rule)
	if !ok {
		return nil
	}
	have, err := other.attributes()
	if err != nil {
		return err
	}
	for _, want := range t.Sub {
		a, known := have.Get(want.Type)
		if !known && slices.Contains(besideBlobs, want.Type) {
			continue
		}
		if !known || !a.Equal(want) {
			return fmt.Errorf("%v of the key is not as %v says: %w", want.Type, rule, refused)
		}
	}
	return nil
}

// besideBlobs are attributes of keys that no blob holds.
var besideBlobs = []ck.AttributeType{
	ck.CKA_TOKEN, ck.CKA_PRIVATE, ck.CKA_LABEL, ck.CKA_ID, ck.CKA_UNIQUE_ID, ck.CKA_SUBJECT, ck.CKA_START_DATE, ck.CKA_END_DATE,
	ck.CKA_COPYABLE, ck.CKA_DESTROYABLE, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_APPLICATION,
}

// fixes adds to the template of a key that is about to be made what one of this key's
// templates says of it; they may not contradict each other.
func (k *key) fixes(rule ck.AttributeType, t ck.Template) (ck.Template, error) {
	if k == nil {
		return t, nil
	}
	fixed, ok := k.rules.Get(rule)
	if !ok {
		return t, nil
	}
	for _, a := range fixed.Sub {
		if said, ok := t.Get(a.Type); ok && !said.Equal(a) {
			return nil, fmt.Errorf("%v is fixed by the key's %v: %w", a.Type, rule, ck.CKR_TEMPLATE_INCONSISTENT)
		}
	}
	return t.With(fixed.Sub), nil
}

// fixesDerived is fixes for the templates that count for a derivation: that of data
// which is not secret is compared with what data is.
func (k *key) fixesDerived(m mech.Mechanism, row *mech.Row, t ck.Template) (ck.Template, error) {
	if m.Type == ck.CKM_HKDF_DATA {
		_, err := k.fixes(ck.CKA_DERIVE_TEMPLATE, t.With(ck.Template{
			ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}))
		return t, err
	}
	t, err := k.fixes(ck.CKA_DERIVE_TEMPLATE, t)
	if err == nil && row.Use&ck.CKF_DECAPSULATE != 0 {
		t, err = k.fixes(ck.CKA_DECAPSULATE_TEMPLATE, t)
	}
	return t, err
}

// onlyKeys refuses a derivation whose result leaves otherwise than as a key.
func (k *key) onlyKeys(m mech.Mechanism) error {
	if k.rules.Has(ck.CKA_DERIVE_TEMPLATE) {
		return fmt.Errorf("%v makes no key that %v could be kept for: %w", m.Type, ck.CKA_DERIVE_TEMPLATE, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	return nil
}
