package soft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
	"grep11/server/unit"
)

// Attributes reads those asked for, all for none.
func (u *Unit) Attributes(_ context.Context, b unit.Blob, types []ck.AttributeType) (ck.Template, error) {
	k, err := u.openKey(b)
	if err != nil {
		return nil, err
	}
	defer k.release()
	all, err := k.attributes()
	if err != nil || len(types) == 0 {
		return all, err
	}
	var out ck.Template
	var errs []error
	for _, t := range types {
		a, err := u.attribute(k, b, all, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, a)
	}
	return out, errors.Join(errs...)
}

func (u *Unit) attribute(k *key, b unit.Blob, all ck.Template, t ck.AttributeType) (ck.Attribute, error) {
	if a, ok := all.Get(t); ok {
		return a, nil
	}
	if t == ck.CKA_IBM_MACED_PUBLIC_KEY_INFO && k.spki != nil {
		return u.macedPublic(k)
	}
	if slices.Contains(sensitiveTypes, t) && k.class != ck.CKO_PUBLIC_KEY {
		return u.secretValue(k, t)
	}
	return ck.Attribute{}, fmt.Errorf("%v: %w", t, ck.CKR_ATTRIBUTE_TYPE_INVALID)
}

// macedPublic makes the public blob of a private key.
func (u *Unit) macedPublic(k *key) (ck.Attribute, error) {
	info, err := parseSPKI(k.spki)
	if err != nil {
		return ck.Attribute{}, err
	}
	bits := unit.BitModifiable | info.family.public | k.bits&(unit.BitLocal|unit.BitAttrBound)
	b, err := u.seal(&key{class: ck.CKO_PUBLIC_KEY, bits: bits, gen: k.gen, spki: k.spki})
	return ck.Bytes(ck.CKA_IBM_MACED_PUBLIC_KEY_INFO, b), err
}

// secretValue reads the value of a key that is not sensitive.
func (u *Unit) secretValue(k *key, t ck.AttributeType) (ck.Attribute, error) {
	if !k.readable() {
		return ck.Attribute{}, fmt.Errorf("%v: %w", t, ck.CKR_ATTRIBUTE_SENSITIVE)
	}
	if pqcFamilies[k.typ] != nil {
		return pqcSecret(k, t)
	}
	if k.typ != ck.CKK_RSA && t != ck.CKA_VALUE {
		return ck.Attribute{}, fmt.Errorf("%v: %w", t, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	value, err := k.secret(u)
	if err != nil {
		return ck.Attribute{}, err
	}
	if k.typ == ck.CKK_RSA {
		defer value.Wipe()
		return rsaValue(value, t)
	}
	return ck.Bytes(t, value), nil
}

// readable: the value is one that callers may have.
func (k *key) readable() bool { return k.bits.Has(unit.BitInsensitive | unit.BitExtractable) }

func rsaValue(der ck.Secret, t ck.AttributeType) (ck.Attribute, error) {
	r, err := readRSANumbers(der)
	if err != nil {
		return ck.Attribute{}, err
	}
	switch t {
	case ck.CKA_PRIVATE_EXPONENT:
		return ck.Bytes(t, r.d.Bytes()), nil
	case ck.CKA_PRIME_1:
		return ck.Bytes(t, r.p.Bytes()), nil
	case ck.CKA_PRIME_2:
		return ck.Bytes(t, r.q.Bytes()), nil
	case ck.CKA_EXPONENT_1:
		return ck.Bytes(t, r.dp.Bytes()), nil
	case ck.CKA_EXPONENT_2:
		return ck.Bytes(t, r.dq.Bytes()), nil
	case ck.CKA_COEFFICIENT:
		return ck.Bytes(t, r.qinv.Bytes()), nil
	}
	return ck.Attribute{}, fmt.Errorf("%v: %w", t, ck.CKR_ATTRIBUTE_TYPE_INVALID)
}

// SetAttributes changes Booleans, under the rules of PKCS#11 and EP11
// (grep11-wire 13.3), and gives a new blob; the old one cannot be revoked.
func (u *Unit) SetAttributes(ctx context.Context, b unit.Blob, t ck.Template) (unit.Key, error) {
	k, err := u.openKey(b)
	if err != nil {
		return unit.Key{}, err
	}
	defer k.release()
	if !k.bits.Has(unit.BitModifiable) || k.bits.Has(unit.BitNeverModifiable) {
		return unit.Key{}, fmt.Errorf("MODIFIABLE is false: %w", ck.CKR_ACTION_PROHIBITED)
	}
	if p := u.policy.Load(); p != nil {
		if err := p.needs("changing attributes", command.XCP_CPB_MODIFY_OBJECTS); err != nil {
			return unit.Key{}, err
		}
	}
	bits := k.bits
	for _, a := range t {
		if bits, err = k.change(bits, a, unit.IsByOfficer(ctx)); err != nil {
			return unit.Key{}, err
		}
	}
	if bits.Has(unit.BitTrusted | unit.BitDecrypt) {
		return unit.Key{}, fmt.Errorf("a trusted wrapping key that decrypts what it wrapped: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	changed := k.with(bits)
	if err := u.policy.Load().keeps(changed); err != nil {
		return unit.Key{}, err
	}
	return u.sealed(changed, nil)
}

// oneWay are the Booleans that change in one direction only.
var oneWay = map[unit.Bits]bool{
	unit.BitExtractable:        false,
	unit.BitWrapWithTrusted:    true,
	unit.BitModifiable:         false,
	unit.BitRestrictable:       false,
	unit.BitNeverModifiable:    true,
	unit.BitProtkeyExtractable: false,
}

// change gives the bits with one attribute changed.
func (k *key) change(bits unit.Bits, a ck.Attribute, officer bool) (unit.Bits, error) {
	if a.Type == ck.CKA_SENSITIVE && k.class != ck.CKO_PUBLIC_KEY {
		on, err := a.Bool()
		if err != nil || on != bits.Has(unit.BitInsensitive) {
			return bits, err // as it is
		}
		if !on {
			return bits, readOnly(a.Type)
		}
		return bits &^ unit.BitInsensitive, nil
	}
	bit := unit.BitOf(a.Type)
	if bit == 0 {
		return bits, fmt.Errorf("%v is no Boolean that a blob holds: %w", a.Type, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	on, err := a.Bool()
	if err != nil || on == bits.Has(bit) {
		return bits, err
	}
	way, limited := oneWay[bit]
	switch {
	case settable[k.class]&bit == 0, bit == unit.BitTrusted && !officer, bit == unit.BitAttrBound:
		return bits, readOnly(a.Type)
	case limited && on != way, on && !limited && k.bits.Has(unit.BitRestrictable):
		return bits, readOnly(a.Type)
	}
	return bits.Set(bit, on), nil
}

func readOnly(t ck.AttributeType) error {
	return fmt.Errorf("%v does not change so: %w", t, ck.CKR_ATTRIBUTE_READ_ONLY)
}

// Rewrap seals a blob under the committed next wrapping key.
func (u *Unit) Rewrap(_ context.Context, b unit.Blob) (unit.Blob, error) {
	next, err := u.committedNext()
	if err != nil {
		return nil, err
	}
	k, err := u.openKey(b)
	if err != nil {
		return nil, err
	}
	defer k.release()
	return sealUnder(next, k)
}
