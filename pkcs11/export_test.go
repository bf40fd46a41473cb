package pkcs11

import "grep11/pkcs11/ck"

// Ruling is what the rules say of an attribute of some object, for the tests
// that hold the module against them from outside.
type Ruling struct {
	Type    ck.AttributeType
	Needs   map[Way]bool
	Not     map[Way]bool
	Default []byte

	Secret, Changes, Copies, StaysTrue, StaysFalse, SOSets bool
}

// Way is how an object comes into being.
type Way = purpose

const (
	Create   = forCreate
	Generate = forGenerate
	Unwrap   = forUnwrap
)

// AllAttributes are those that any object has.
func AllAttributes() (all []ck.AttributeType) {
	for i := range rules {
		if len(all) == 0 || rulesOf[rules[i].Type][0] == &rules[i] {
			all = append(all, rules[i].Type)
		}
	}
	return all
}

// RulingOf gives the rule of an attribute, nil if objects of that class and
// type do not have it.
func RulingOf(at ck.AttributeType, class ck.ObjectClass, kind uint64) *Ruling {
	r, _ := ruleFor(at, class, kind)
	if r == nil {
		return nil
	}
	is := func(f flags) bool { return r.Is&f != 0 }
	return &Ruling{
		Type:    at,
		Needs:   map[Way]bool{Create: is(createNeeds), Generate: is(generateNeeds), Unwrap: is(unwrapNeeds)},
		Not:     map[Way]bool{Create: is(createNot), Generate: is(generateNot), Unwrap: is(unwrapNot)},
		Default: r.Default,
		Secret:  is(secret), Changes: is(mutable), Copies: is(mutable | copyChanges),
		StaysTrue: is(staysTrue), StaysFalse: is(staysFalse), SOSets: is(soSets),
	}
}
