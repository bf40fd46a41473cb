package soft

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// derived is what an engine derives: a key, and a checksum where it is not the
// usual one.
type derived struct {
	key      *key
	request  *request
	defaults unit.Bits
	checkSum []byte
	shown    ck.Template // beside the attributes that the key's blob tells
	wrapped  []byte      // what is answered in place of a key
	// encapsulated: the key has no history, PKCS#11 v3.2 §5.18.8.
	encapsulated bool
}

// DeriveKey derives a key.
func (u *Unit) DeriveKey(_ context.Context, m mech.Mechanism, base unit.Blob, data []byte, t ck.Template) (unit.Key, error) {
	e, row, err := u.engineOf(m, ck.CKF_DERIVE|ck.CKF_ENCAPSULATE)
	if err != nil {
		return unit.Key{}, err
	}
	if e.derive == nil {
		return unit.Key{}, invalidMechanism(m, "derives nothing")
	}
	var k *key
	if len(row.Keys) > 0 {
		if k, err = u.openKey(base); err != nil {
			return unit.Key{}, err
		}
		defer k.release()
		if err := u.may(k, e.rightToDerive(m), m, row); err != nil {
			return unit.Key{}, err
		}
		if t, err = k.fixesDerived(m, row, t); err != nil {
			return unit.Key{}, err
		}
	}
	d, err := e.derive(u, k, m, data, t)
	if err != nil {
		return unit.Key{}, err
	}
	if d.wrapped != nil {
		return unit.Key{Blob: d.wrapped}, nil
	}
	return u.answerDerived(k, d)
}

func (e *engine) rightToDerive(m mech.Mechanism) unit.Bits {
	if e.deriveRight == nil {
		return unit.BitDerive
	}
	return e.deriveRight(m)
}

func (u *Unit) answerDerived(base *key, d derived) (unit.Key, error) {
	k := d.key
	if k.gen == 0 {
		k.gen = notGenerated
	}
	if err := k.take(d.request, d.defaults); err != nil {
		return unit.Key{}, err
	}
	if !d.encapsulated {
		k.bits = inherit(base, k.bits)
		if err := u.policy.Load().derives(base, k); err != nil {
			return unit.Key{}, err
		}
	}
	sum := d.checkSum
	if sum == nil && k.class == ck.CKO_SECRET_KEY {
		sum = k.checkSum()
	}
	made, err := u.answer(k, sum)
	made.Attributes = made.Attributes.With(d.shown)
	return made, err
}

// inherit: a derived key has never been sensitive or unextractable if its base
// has not always been. PKCS#11 v3.2 §6.3.20.
func inherit(base *key, bits unit.Bits) unit.Bits {
	if base == nil {
		return bits
	}
	if base.bits.Has(unit.BitAlwaysSensitive) && !bits.Has(unit.BitInsensitive) {
		bits |= unit.BitAlwaysSensitive
	}
	if base.bits.Has(unit.BitNeverExtractable) && !bits.Has(unit.BitExtractable) {
		bits |= unit.BitNeverExtractable
	}
	return bits
}

// secret makes a derived secret key of the leading end's rest of a shared
// value: PKCS#11 drops bytes at the leading end.
func secret(t ck.Template, shared ck.Secret) (derived, error) {
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return derived{}, err
	}
	n, err := r.secretLen(len(shared))
	if err != nil {
		return derived{}, err
	}
	if n > len(shared) {
		return derived{}, fmt.Errorf("a key of %d bytes from a secret of %d: %w", n, len(shared), ck.CKR_KEY_SIZE_RANGE)
	}
	return finishSecret(r, shared[len(shared)-n:])
}

// secretLen is the length of the key to derive: the type's, or VALUE_LEN, or
// all there is.
func (r *request) secretLen(have int) (int, error) {
	if !r.hasTyp {
		r.typ = ck.CKK_GENERIC_SECRET
	}
	if !isSecretType(r.typ) {
		return 0, fmt.Errorf("derive a key of type %v: %w", r.typ, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	n, ok, err := r.Ulong(ck.CKA_VALUE_LEN)
	lens := secretLens[r.typ]
	switch {
	case err != nil:
		return 0, err
	case len(lens) == 1:
		n = lens[0]
	case !ok || n == 0 && lens == nil:
		n = uint64(have)
	}
	if err := checkSecretLen(r.typ, n); err != nil {
		return 0, err
	}
	return int(n), nil
}

func finishSecret(r *request, value []byte) (derived, error) {
	k := &key{typ: r.typ, value: append(ck.Secret(nil), value...)}
	if r.typ == ck.CKK_DES2 || r.typ == ck.CKK_DES3 {
		oddParity(k.value)
	}
	return derived{key: k, request: r, defaults: secretDefaults}, nil
}
