package soft

import (
	"crypto/subtle"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func init() {
	provide(engine{derive: join(func(base, data ck.Secret) ck.Secret { return append(append(ck.Secret(nil), base...), data...) })}, ck.CKM_CONCATENATE_BASE_AND_DATA)
	provide(engine{derive: join(func(base, data ck.Secret) ck.Secret { return append(append(ck.Secret(nil), data...), base...) })}, ck.CKM_CONCATENATE_DATA_AND_BASE)
	provide(engine{derive: join(xorShorter)}, ck.CKM_XOR_BASE_AND_DATA)
	provide(engine{derive: deriveExtract}, ck.CKM_EXTRACT_KEY_FROM_KEY)
}

// These derivations keep a key's own bits, and so its attributes: the new key
// is as sensitive, as little extractable as its base (PKCS#11 v3.2 §6.43). That
// alone would not do: a key cut to a few bits can be found by trying, bit by
// bit the whole key. So whoever may not read the base gets keys that hold at
// least lenUnguessable bytes of it, or all of it.
const lenUnguessable = 16

// join is for derivations from a key and known data.
func join(f func(base, data ck.Secret) ck.Secret) deriveFunc {
	return func(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
		data, err := mech.As[mech.Raw](m)
		if err != nil {
			return derived{}, err
		}
		if len(data) > maxGeneric {
			return derived{}, fmt.Errorf("%d bytes of data: %w", len(data), ck.CKR_MECHANISM_PARAM_INVALID)
		}
		value := f(k.value, ck.Secret(data))
		defer value.Wipe()
		atEnd := 0 // bytes that are known already where the base comes last
		if m.Type == ck.CKM_CONCATENATE_DATA_AND_BASE {
			atEnd = len(data)
		}
		return partOf(k, t, value, atEnd)
	}
}

func xorShorter(base, data ck.Secret) ck.Secret {
	out := make(ck.Secret, min(len(base), len(data)))
	subtle.XORBytes(out, base, data)
	return out
}

// deriveExtract takes bits from one on, going round the base key's end.
func deriveExtract(_ *Unit, k *key, m mech.Mechanism, _ []byte, t ck.Template) (derived, error) {
	p, err := mech.As[*mech.Extract](m)
	if err != nil {
		return derived{}, err
	}
	n := len(k.value)
	if p.Bit >= uint64(8*n) {
		return derived{}, fmt.Errorf("bit %d of a key of %d bytes: %w", p.Bit, n, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	value := make(ck.Secret, n)
	defer value.Wipe()
	from, shift := int(p.Bit/8), p.Bit%8
	for i := range value {
		value[i] = k.value[(from+i)%n]<<shift | k.value[(from+i+1)%n]>>(8-shift)
	}
	return partOf(k, t, value, 0)
}

// partOf makes a key of the first bytes of value, known of which are not the base's.
func partOf(base *key, t ck.Template, value ck.Secret, known int) (derived, error) {
	d, err := fromBytes(t, value)
	if err != nil {
		return derived{}, err
	}
	readable := base.bits.Has(unit.BitInsensitive | unit.BitExtractable)
	if secret := len(d.key.value) - known; !readable && secret < min(lenUnguessable, len(base.value)) {
		return derived{}, fmt.Errorf("a key of %d unknown bytes can be found by trying: %w", secret, ck.CKR_KEY_SIZE_RANGE)
	}
	return d, d.request.notMoreOpen(base)
}

// notMoreOpen refuses a key that would be easier to get at than its base.
func (r *request) notMoreOpen(base *key) error {
	bits, err := r.readBits(0)
	if err != nil {
		return err
	}
	if bits&^base.bits&(unit.BitExtractable|unit.BitInsensitive) != 0 || base.bits&^bits&(unit.BitWrapWithTrusted|unit.BitAttrBound) != 0 {
		return fmt.Errorf("the new key would be more open than its base: %w", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return nil
}
