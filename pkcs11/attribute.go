package pkcs11

import (
	"fmt"
	"slices"
	"time"

	"grep11/pkcs11/ck"
)

// flags are the footnotes of the standard's attribute tables (PKCS#11 v3.2
// §4.1, table 13), and what else a rule needs.
type flags uint16

const (
	createNeeds   flags = 1 << iota // 1: must be in the template of C_CreateObject
	createNot                       // 2: must not be there
	generateNeeds                   // 3: must be in that of C_GenerateKey(Pair)
	generateNot                     // 4
	unwrapNeeds                     // 5: must be in that of C_UnwrapKey
	unwrapNot                       // 6
	secret                          // 7: hidden by CKA_SENSITIVE, or CKA_EXTRACTABLE false
	mutable                         // 8: may change
	soSets                          // 10: only the SO sets it to CK_TRUE
	staysTrue                       // 11: never goes back from CK_TRUE
	staysFalse                      // 12: never goes back from CK_FALSE
	copyChanges                     // changes in C_CopyObject only
	sealed                          // a key's blob holds it: the service must change it

	computed = createNot | generateNot | unwrapNot // 2, 4, 6: the module's own
)

// classes is a set of object classes.
type classes uint8

const (
	data classes = 1 << iota
	certs
	publics
	privates
	secrets
	domains
	trusts
	profiles

	pairs  = publics | privates
	keys   = pairs | secrets
	stored = data | certs | keys | domains | trusts
	hidden = privates | secrets // have values that may not leave
	every  = stored | profiles
)

var classOf = map[ck.ObjectClass]classes{
	ck.CKO_DATA: data, ck.CKO_CERTIFICATE: certs, ck.CKO_PUBLIC_KEY: publics,
	ck.CKO_PRIVATE_KEY: privates, ck.CKO_SECRET_KEY: secrets, ck.CKO_DOMAIN_PARAMETERS: domains, ck.CKO_TRUST: trusts,
	ck.CKO_PROFILE: profiles,
}

// rule is what the standard says of one attribute on some classes of objects.
type rule struct {
	Type ck.AttributeType
	On   classes
	// Keys narrows the rule to key types (or certificate types); none: all.
	Keys []uint64
	Is   flags
	// Default is the value where nothing is known. Without one the attribute
	// may be absent.
	Default []byte
}

var rulesOf = func() map[ck.AttributeType][]*rule {
	m := make(map[ck.AttributeType][]*rule)
	for i := range rules {
		r := &rules[i]
		m[r.Type] = append(m[r.Type], r)
	}
	return m
}()

// ruleFor finds the rule of an attribute on a class and (key) type of object.
// known is false for attributes that the standard does not have at all.
func ruleFor(at ck.AttributeType, class ck.ObjectClass, kind uint64) (r *rule, known bool) {
	all := rulesOf[at]
	for _, r := range all {
		if r.On&classOf[class] != 0 && (r.Keys == nil || slices.Contains(r.Keys, kind)) {
			return r, true
		}
	}
	return nil, len(all) > 0
}

// purpose is what a template is for.
type purpose uint8

const (
	forCreate purpose = iota
	forGenerate
	forUnwrap // also for derived keys
	forCopy
	forSet
)

var purposes = [...]struct {
	name       string
	needs, not flags
}{
	forCreate:   {"create", createNeeds, createNot},
	forGenerate: {"generate", generateNeeds, generateNot},
	forUnwrap:   {"unwrap", unwrapNeeds, unwrapNot},
	forCopy:     {"copy", 0, 0},
	forSet:      {"change", 0, 0},
}

// checkTemplate holds a template against the rules; kind is the key or
// certificate type. so: the caller is the security officer. The template comes
// back without repetitions. Objects of other classes are the module's to show,
// and keys of one-time passwords (CKO_OTP_KEY) have no mechanisms here.
//
// PKCS#11 v3.2 §4.1.1, and its classification of objects.
func checkTemplate(p purpose, class ck.ObjectClass, kind uint64, t ck.Template, so bool) (ck.Template, error) {
	if classOf[class]&stored == 0 {
		return nil, fmt.Errorf("%v cannot be made: %w", class, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	out := make(ck.Template, 0, len(t))
	for _, a := range t {
		if old, ok := out.Get(a.Type); ok {
			if old.Equal(a) {
				continue
			}
			return nil, fmt.Errorf("%v is there twice: %w", a.Type, ck.CKR_TEMPLATE_INCONSISTENT)
		}
		if err := checkAttribute(p, class, kind, a, so); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, checkComplete(p, class, kind, out)
}

func checkAttribute(p purpose, class ck.ObjectClass, kind uint64, a ck.Attribute, so bool) error {
	r, known := ruleFor(a.Type, class, kind)
	if !known {
		return fmt.Errorf("%v is no attribute: %w", a.Type, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	if r == nil {
		return fmt.Errorf("%v is not for %v of type %d: %w", a.Type, class, kind, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if err := checkForm(a); err != nil {
		return err
	}
	if r.Is&purposes[p].not != 0 {
		return fmt.Errorf("%v to %s %v: %w", a.Type, purposes[p].name, class, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	if on, _ := a.Bool(); r.Is&soSets != 0 && on && !so {
		return fmt.Errorf("%v is for the security officer to set: %w", a.Type, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	return nil
}

// checkForm tells whether a value has the length of its kind.
func checkForm(a ck.Attribute) (err error) {
	switch a.Type.Kind() {
	case ck.KindBool:
		_, err = a.Bool()
	case ck.KindUlong:
		_, err = a.Ulong()
	case ck.KindUlongs:
		_, err = a.Ulongs()
	case ck.KindTemplates:
		for _, sub := range a.Sub {
			if sub.Type.Kind() == ck.KindTemplates { // one level is enough for everybody
				return fmt.Errorf("%v inside %v: %w", sub.Type, a.Type, ck.CKR_TEMPLATE_INCONSISTENT)
			}
			if len(rulesOf[sub.Type]) == 0 {
				return fmt.Errorf("%v inside %v is no attribute: %w", sub.Type, a.Type, ck.CKR_ATTRIBUTE_TYPE_INVALID)
			}
			if err := checkForm(sub); err != nil {
				return err
			}
		}
	}
	if a.Type == ck.CKA_START_DATE || a.Type == ck.CKA_END_DATE {
		return checkDate(a)
	}
	return err
}

// checkDate takes a CK_DATE, or none.
func checkDate(a ck.Attribute) error {
	if _, err := time.Parse("20060102", string(a.Value)); err != nil && len(a.Value) != 0 {
		return fmt.Errorf("%v: %v: %w", a.Type, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return nil
}

func checkComplete(p purpose, class ck.ObjectClass, kind uint64, t ck.Template) error {
	for i := range rules {
		r := &rules[i]
		if r.Is&purposes[p].needs == 0 || t.Has(r.Type) {
			continue
		}
		if found, _ := ruleFor(r.Type, class, kind); found == r {
			return fmt.Errorf("%s %v without %v: %w", purposes[p].name, class, r.Type, ck.CKR_TEMPLATE_INCOMPLETE)
		}
	}
	return nil
}

// checkChange tells whether an object's attribute may become a.
//
// PKCS#11 v3.2 §4.1.2 and §4.1.3.
func checkChange(p purpose, o *object, a ck.Attribute) error {
	r, _ := ruleFor(a.Type, o.class, o.kind)
	may := mutable
	if p == forCopy {
		may |= copyChanges
	}
	if r.Is&may == 0 {
		return fmt.Errorf("%v of %v cannot change: %w", a.Type, o.class, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	was := o.is(a.Type)
	is, _ := a.Bool()
	if r.Is&staysTrue != 0 && was && !is || r.Is&staysFalse != 0 && !was && is {
		return fmt.Errorf("%v cannot go back: %w", a.Type, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	return nil
}
