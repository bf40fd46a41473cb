package soft

import (
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// engine is what the unit does for one mechanism: the functions of its row's
// uses, nil for the others.
type engine struct {
	// hash reduces a message to what digest, sign and verify end with. Nil:
	// they take the message itself, in a single part.
	hash func(k *key, m mech.Mechanism) (running, error)
	// sign and verify take what hash made, or the message.
	sign   func(k *key, m mech.Mechanism, data []byte) ([]byte, error)
	verify func(k *key, m mech.Mechanism, data, sig []byte) error

	// crypt does whole data.
	crypt func(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error)
	// stream does it in parts. Nil: single part only.
	stream func(k *key, m mech.Mechanism, op mech.Op) (stream, error)

	// kek is crypt for mechanisms that wrap and do nothing else.
	kek func(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error)
	// wrap and unwrap are for mechanisms that wrap otherwise than by crypt.
	wrap   func(u *Unit, m mech.Mechanism, key, kek, mac unit.Blob) ([]byte, error)
	unwrap func(u *Unit, m mech.Mechanism, wrapped []byte, kek, mac unit.Blob, t ck.Template) (unit.Key, error)

	generate func(m mech.Mechanism, r *request) (*key, error)
	// parameters makes domain parameters, which are no key.
	parameters func(m mech.Mechanism, t ck.Template) (unit.Key, error)
	pair       func(m mech.Mechanism, pub, priv *request) (*pair, error)
	derive     func(u *Unit, base *key, m mech.Mechanism, data []byte, t ck.Template) (derived, error)
	// deriveRight is what derivation needs of the base key. Nil: DERIVE.
	deriveRight func(m mech.Mechanism) unit.Bits
}

// running takes a message in parts and can be put into a state.
type running interface {
	Write(p []byte) (int, error)
	Sum(b []byte) []byte
	MarshalBinary() ([]byte, error)
	UnmarshalBinary(b []byte) error
}

// stream encrypts or decrypts in parts and can be put into a state.
type stream interface {
	update(data []byte) ([]byte, error)
	final() ([]byte, error)
	MarshalBinary() ([]byte, error)
	UnmarshalBinary(b []byte) error
}

// engines has the engine of every mechanism that this build can do.
var engines = map[ck.MechanismType]*engine{}

// provide adds a family's engines; called from init functions.
func provide(e engine, types ...ck.MechanismType) {
	for _, t := range types {
		if engines[t] != nil {
			panic("soft: two engines for " + t.String())
		}
		engines[t] = &e
	}
}

// engine is what the unit does for a mechanism, nil for nothing.
func (u *Unit) engine(t ck.MechanismType) *engine {
	if u.dev == nil {
		return engines[t]
	}
	if choose := deviceEngines[t]; choose != nil {
		return choose(u)
	}
	return nil
}

// engineOf finds a mechanism's row and engine for one of the uses, and checks
// its parameter. Unlisted is CKR_MECHANISM_INVALID, whatever the parameter.
func (u *Unit) engineOf(m mech.Mechanism, use ck.Flags) (*engine, *mech.Row, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, nil, err
	}
	e := u.engine(m.Type)
	if e == nil {
		return nil, nil, invalidMechanism(m, "is nothing this unit does")
	}
	if row.Use&use == 0 {
		return nil, nil, invalidMechanism(m, "is not for this function")
	}
	bad := m.Check()
	if bad == nil {
		return e, row, nil
	}
	if shown := u.listed(row); shown == nil || shown.Use&use == 0 {
		return nil, nil, invalidMechanism(m, "is not offered")
	}
	return nil, nil, bad
}
