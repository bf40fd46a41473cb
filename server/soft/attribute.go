package soft

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"slices"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// request is a template for a new key, read.
type request struct {
	ck.Template
	class  ck.ObjectClass
	typ    ck.KeyType
	hasTyp bool
}

// readRequest checks the template's class and type where they are there.
func readRequest(t ck.Template, class ck.ObjectClass) (*request, error) {
	r := &request{Template: t, class: class}
	c, ok, err := t.Ulong(ck.CKA_CLASS)
	if err != nil {
		return nil, err
	}
	if ok && ck.ObjectClass(c) != class {
		return nil, fmt.Errorf("%v where %v is made: %w", ck.ObjectClass(c), class, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	typ, ok, err := t.Ulong(ck.CKA_KEY_TYPE)
	r.typ, r.hasTyp = ck.KeyType(typ), ok
	return r, err
}

// want settles the type of the key: one of the given ones, the first of them
// if the template is silent.
func (r *request) want(types ...ck.KeyType) error {
	if !r.hasTyp {
		r.typ = types[0]
	}
	if !slices.Contains(types, r.typ) {
		return fmt.Errorf("key type %v where %v is made: %w", r.typ, types[0], ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return nil
}

// ulong reads an integer that must be there.
func (r *request) ulong(t ck.AttributeType) (uint64, error) {
	v, ok, err := r.Ulong(t)
	if err == nil && !ok {
		err = fmt.Errorf("%v is missing: %w", t, ck.CKR_TEMPLATE_INCOMPLETE)
	}
	return v, err
}

// secretDefaults: the rights of a generated or derived secret key, observed as
// ENCRYPT, DECRYPT, SIGN and VERIFY (grep11-wire 14).
const secretDefaults = unit.BitEncrypt | unit.BitDecrypt | unit.BitSign | unit.BitVerify

const (
	anyKey    = unit.BitModifiable | unit.BitDerive | unit.BitAttrBound | unit.BitUseAsData | unit.BitRestrictable | unit.BitNeverModifiable
	hiddenKey = unit.BitExtractable | unit.BitWrapWithTrusted | unit.BitProtkeyExtractable
	histories = unit.BitLocal | unit.BitRetained | unit.BitNeverExtractable | unit.BitAlwaysSensitive | unit.BitProtkeyNeverExtractable
)

// settable are the bits that a template may give. Others make no sense for the
// class, or are histories: they are left out (grep11-wire 8.2).
var settable = map[ck.ObjectClass]unit.Bits{
	ck.CKO_PUBLIC_KEY:  anyKey | unit.BitVerify | unit.BitVerifyRecover | unit.BitEncrypt | unit.BitWrap | unit.BitEncapsulate | unit.BitTrusted,
	ck.CKO_PRIVATE_KEY: anyKey | hiddenKey | unit.BitSign | unit.BitSignRecover | unit.BitDecrypt | unit.BitUnwrap | unit.BitDecapsulate,
	ck.CKO_SECRET_KEY: anyKey | hiddenKey | unit.BitSign | unit.BitVerify | unit.BitEncrypt | unit.BitDecrypt |
		unit.BitWrap | unit.BitUnwrap | unit.BitTrusted,
}

// shown are the bits that a key of a class has as attributes.
func shown(class ck.ObjectClass) unit.Bits {
	if class == ck.CKO_PUBLIC_KEY {
		return settable[class] | unit.BitLocal
	}
	return settable[class] | histories
}

// readBits gives the attribute bits that a template asks for.
func (r *request) readBits(defaults unit.Bits) (unit.Bits, error) {
	bits := defaults | unit.BitModifiable
	for _, a := range r.Template {
		bit := unit.BitOf(a.Type) & settable[r.class]
		if bit == 0 {
			continue
		}
		on, err := a.Bool()
		if err != nil {
			return 0, err
		}
		bits = bits.Set(bit, on)
	}
	if bits.Has(unit.BitTrusted) {
		return 0, fmt.Errorf("CKA_TRUSTED is an administrator's to set: %w", ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	return r.readSensitive(bits)
}

// readSensitive: a key is sensitive unless the template says otherwise. Its value
// may be read only where it is extractable, too.
func (r *request) readSensitive(bits unit.Bits) (unit.Bits, error) {
	if r.class == ck.CKO_PUBLIC_KEY {
		return bits, nil
	}
	sensitive, err := r.Bool(ck.CKA_SENSITIVE, true)
	if err != nil {
		return 0, err
	}
	return bits.Set(unit.BitInsensitive, !sensitive), nil
}

// born adds the history of a key that the unit generated.
func born(bits unit.Bits) unit.Bits {
	return history(bits | unit.BitLocal)
}

// history adds what PKCS#11 v3.2 §4.9 says of a key that never had another state.
func history(bits unit.Bits) unit.Bits {
	return bits.Set(unit.BitNeverExtractable, !bits.Has(unit.BitExtractable)).
		Set(unit.BitAlwaysSensitive, !bits.Has(unit.BitInsensitive))
}

const maxAllowed = 128

// readAllowed reads CKA_ALLOWED_MECHANISMS; nil where it is absent.
func (r *request) readAllowed() ([]ck.MechanismType, error) {
	a, ok := r.Get(ck.CKA_ALLOWED_MECHANISMS)
	if !ok {
		return nil, nil
	}
	list, err := a.Ulongs()
	if err != nil {
		return nil, err
	}
	if len(list) > maxAllowed {
		return nil, fmt.Errorf("%d allowed mechanisms: %w", len(list), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	var out []ck.MechanismType
	for _, m := range list {
		out = append(out, ck.MechanismType(m))
	}
	return out, nil
}

// attributes are all that a key shows.
func (k *key) attributes() (ck.Template, error) {
	t := ck.Template{
		ck.Ulong(ck.CKA_CLASS, k.class),
		ck.Ulong(ck.CKA_KEY_TYPE, k.typ),
		ck.Ulong(ck.CKA_KEY_GEN_MECHANISM, k.gen),
		ck.Ulong(ck.CKA_IBM_STD_COMPLIANCE1, uint64(unit.ModeStandard)),
	}
	for _, a := range unit.BoolAttributes {
		if shown(k.class).Has(a.Bit) {
			t = append(t, ck.Bool(a.Type, k.bits.Has(a.Bit)))
		}
	}
	if k.allowed != nil {
		t = append(t, ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, k.allowed))
	}
	t = append(t, k.rules...)
	if k.class != ck.CKO_PUBLIC_KEY {
		t = append(t, ck.Bool(ck.CKA_SENSITIVE, !k.bits.Has(unit.BitInsensitive)))
	}
	if k.class == ck.CKO_SECRET_KEY {
		t = append(t, ck.Ulong(ck.CKA_VALUE_LEN, k.size()))
		if v := k.checkValue(); v != nil {
			t = append(t, ck.Bytes(ck.CKA_CHECK_VALUE, v))
		}
		return t, nil
	}
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, err
	}
	t = append(t, ck.Bytes(ck.CKA_PUBLIC_KEY_INFO, info.standard()))
	if k.class == ck.CKO_PUBLIC_KEY && info.family.publicValue != nil {
		t = append(t, ck.Bytes(ck.CKA_VALUE, info.family.publicValue(info)))
	}
	return append(t, info.family.attributes(info)...), nil
}

// checkValue is CKA_CHECK_VALUE: of a block cipher's key the start of an
// encrypted zero block, of others that of a SHA-1 hash. PKCS#11 v3.2 §4.10.2.
// Nil: the key is in a device that does not say it.
func (k *key) checkValue() []byte {
	if k.remote != nil {
		return bytes.Clone(k.remote.check)
	}
	if block, err := blockCipher(k); err == nil {
		out := make([]byte, block.BlockSize())
		block.Encrypt(out, out)
		return out[:3]
	}
	sum := sha1.Sum(k.value)
	return sum[:3]
}

// sensitiveTypes are the attributes that hold key values.
var sensitiveTypes = []ck.AttributeType{ck.CKA_VALUE, ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2,
	ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT, ck.CKA_SEED}

// sameBytes compares values that are no secrets.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) }
