package conformance

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"grep11/pkcs11/ck"
)

// mkind is a kind of object that the machine makes.
type mkind struct {
	class    ck.ObjectClass
	keyType  ck.KeyType
	hidden   bool // has a value that may not leave
	rights   []ck.AttributeType
	template func(*machine, *mobject) ck.Template // for C_CreateObject
}

// The machine's asymmetric keys are Go's, so that Go can verify.
var (
	ecKey, _  = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey, _ = rsa.GenerateKey(rand.Reader, 2048)
)

func secretOf(keyType ck.KeyType, n int) func(*machine, *mobject) ck.Template {
	return func(m *machine, o *mobject) ck.Template {
		o.value = make([]byte, n)
		for i := range o.value {
			o.value[i] = byte(m.r.Uint32())
		}
		return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, keyType), ck.Bytes(ck.CKA_VALUE, o.value)}
	}
}

func keyOf(class ck.ObjectClass, keyType ck.KeyType, parts func() ck.Template) func(*machine, *mobject) ck.Template {
	return func(*machine, *mobject) ck.Template {
		return append(ck.Template{ck.Ulong(ck.CKA_CLASS, class), ck.Ulong(ck.CKA_KEY_TYPE, keyType)}, parts()...)
	}
}

func ecPoint() []byte { return elliptic.Marshal(elliptic.P256(), ecKey.X, ecKey.Y) }

func modulus() ck.Template {
	return ck.Template{ck.Bytes(ck.CKA_MODULUS, rsaKey.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, big.NewInt(int64(rsaKey.E)).Bytes())}
}

var (
	dataKind = mkind{class: ck.CKO_DATA, template: func(*machine, *mobject) ck.Template {
		return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), ck.Bytes(ck.CKA_VALUE, []byte("data"))}
	}}
	aesKind = mkind{
		class: ck.CKO_SECRET_KEY, keyType: ck.CKK_AES, hidden: true, template: secretOf(ck.CKK_AES, 16),
		rights: []ck.AttributeType{ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_WRAP, ck.CKA_UNWRAP},
	}
	macKind = mkind{
		class: ck.CKO_SECRET_KEY, keyType: ck.CKK_GENERIC_SECRET, hidden: true, template: secretOf(ck.CKK_GENERIC_SECRET, 32),
		rights: []ck.AttributeType{ck.CKA_SIGN, ck.CKA_VERIFY},
	}
	ecPublic = mkind{
		class: ck.CKO_PUBLIC_KEY, keyType: ck.CKK_EC, rights: []ck.AttributeType{ck.CKA_VERIFY},
		template: keyOf(ck.CKO_PUBLIC_KEY, ck.CKK_EC, func() ck.Template {
			return ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_EC_POINT, append([]byte{4, 65}, ecPoint()...))}
		}),
	}
	ecPrivate = mkind{
		class: ck.CKO_PRIVATE_KEY, keyType: ck.CKK_EC, hidden: true, rights: []ck.AttributeType{ck.CKA_SIGN, ck.CKA_DERIVE},
		template: keyOf(ck.CKO_PRIVATE_KEY, ck.CKK_EC, func() ck.Template {
			return ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_VALUE, ecKey.D.FillBytes(make([]byte, 32)))}
		}),
	}
	rsaPublic = mkind{
		class: ck.CKO_PUBLIC_KEY, keyType: ck.CKK_RSA, rights: []ck.AttributeType{ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER},
		template: keyOf(ck.CKO_PUBLIC_KEY, ck.CKK_RSA, modulus),
	}
	rsaPrivate = mkind{
		class: ck.CKO_PRIVATE_KEY, keyType: ck.CKK_RSA, hidden: true, rights: []ck.AttributeType{ck.CKA_SIGN, ck.CKA_SIGN_RECOVER},
		template: keyOf(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, func() ck.Template {
			t := modulus()
			for at, n := range map[ck.AttributeType]*big.Int{
				ck.CKA_PRIVATE_EXPONENT: rsaKey.D, ck.CKA_PRIME_1: rsaKey.Primes[0], ck.CKA_PRIME_2: rsaKey.Primes[1],
				ck.CKA_EXPONENT_1: rsaKey.Precomputed.Dp, ck.CKA_EXPONENT_2: rsaKey.Precomputed.Dq, ck.CKA_COEFFICIENT: rsaKey.Precomputed.Qinv,
			} {
				t = append(t, ck.Bytes(at, n.Bytes()))
			}
			return t
		}),
	}

	mkinds = []*mkind{&dataKind, &aesKind, &aesKind, &macKind, &macKind, &ecPublic, &ecPrivate, &rsaPublic, &rsaPrivate}
)

func (m *machine) generateKey() {
	if len(m.objects) > 40 {
		return
	}
	s, h, f := m.session()
	o, t := m.newObject(&aesKind, s)
	m.mayMake(&f, s, o.owner == nil, o.private)
	if m.oneIn(10) {
		f.when(true, ck.CKR_TEMPLATE_INCOMPLETE)
	} else {
		t = append(t, ck.Ulong(ck.CKA_VALUE_LEN, 16))
	}
	at, n := m.a.template(t)
	place := m.a.words(0)
	if m.call("C_GenerateKey", f, h, m.a.mechanism(ck.CKM_AES_KEY_GEN, nil), at, n, place) {
		m.keep(o, *m.a.at(place))
	}
}

func (m *machine) generatePair() {
	if len(m.objects) > 40 {
		return
	}
	s, h, f := m.session()
	pub, pt := m.newObject(&ecPublic, s)
	priv, qt := m.newObject(&ecPrivate, s)
	m.mayMake(&f, s, pub.owner == nil, pub.private)
	m.mayMake(&f, s, priv.owner == nil, priv.private)
	if m.oneIn(10) {
		f.when(true, ck.CKR_TEMPLATE_INCOMPLETE)
	} else {
		pt = append(pt, ck.Bytes(ck.CKA_EC_PARAMS, p256))
	}
	pAt, pn := m.a.template(pt)
	qAt, qn := m.a.template(qt)
	p, q := m.a.words(0), m.a.words(0)
	if m.call("C_GenerateKeyPair", f, h, m.a.mechanism(ck.CKM_EC_KEY_PAIR_GEN, nil), pAt, pn, qAt, qn, p, q) {
		m.keep(pub, *m.a.at(p))
		m.keep(priv, *m.a.at(q))
	}
}

// wrap takes a secret key out and in again.
func (m *machine) wrap() {
	_, h, f := m.session()
	kek, kekAt := m.objectOf(&aesKind)
	key, keyAt := m.objectOf(&aesKind, &macKind)
	if !m.visible(kek) || kek.kind == &dataKind {
		f.when(true, ck.CKR_WRAPPING_KEY_HANDLE_INVALID)
	} else {
		f.when(kek.kind != &aesKind, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
		f.when(!kek.rights[ck.CKA_WRAP], ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	if !m.visible(key) || key.kind == &dataKind {
		f.when(true, ck.CKR_KEY_HANDLE_INVALID)
	} else {
		f.when(!key.kind.hidden, ck.CKR_KEY_NOT_WRAPPABLE)
		f.when(key.kind.hidden && !key.extractable, ck.CKR_KEY_UNEXTRACTABLE)
		f.when(m.visible(kek) && kek.rights[ck.CKA_DECRYPT], ck.CKR_KEY_NOT_WRAPPABLE)
	}
	out, size := m.a.room(4096), m.a.words(4096)
	mechanism := m.a.mechanism(ck.CKM_AES_KEY_WRAP_KWP, nil)
	if !m.call("C_WrapKey", f, h, mechanism, kekAt, keyAt, out.at, size) || key.kind.class != ck.CKO_SECRET_KEY {
		return
	}
	n := int(*m.a.at(size))
	m.unwrap(kek, key, out.b[:n])
}

func (m *machine) unwrap(kek, key *mobject, wrapped []byte) {
	if len(m.objects) > 40 {
		return
	}
	s, h, f := m.session()
	f.when(!kek.rights[ck.CKA_UNWRAP], ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	o, t := m.newObject(key.kind, s)
	o.value, o.known = key.value, key.known
	m.mayMake(&f, s, o.owner == nil, o.private)
	if m.oneIn(5) {
		wrapped[m.r.IntN(len(wrapped))] ^= 1
		f.when(true, ck.CKR_WRAPPED_KEY_INVALID)
	}
	t = append(t, ck.Ulong(ck.CKA_CLASS, key.kind.class), ck.Ulong(ck.CKA_KEY_TYPE, key.kind.keyType))
	at, n := m.a.template(t)
	place := m.a.words(0)
	if m.call("C_UnwrapKey", f, h, m.a.mechanism(ck.CKM_AES_KEY_WRAP_KWP, nil), kek.handle, m.a.bytes(wrapped), uintptr(len(wrapped)), at, n, place) {
		m.keep(o, *m.a.at(place))
	}
}

// derive agrees on a MAC key by ECDH, with itself.
func (m *machine) derive() {
	if len(m.objects) > 40 {
		return
	}
	s, h, f := m.session()
	base, baseAt := m.objectOf(&ecPrivate)
	if !m.visible(base) || base.kind == &dataKind {
		f.when(true, ck.CKR_KEY_HANDLE_INVALID)
	} else {
		f.when(base.kind != &ecPrivate, ck.CKR_KEY_TYPE_INCONSISTENT)
		f.when(!base.rights[ck.CKA_DERIVE], ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	o, t := m.newObject(&macKind, s)
	if base != nil && base.known {
		o.value, o.known = agreed(), true
	}
	m.mayMake(&f, s, o.owner == nil, o.private)
	t = append(t, ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Ulong(ck.CKA_VALUE_LEN, 32))
	at, n := m.a.template(t)
	point := ecPoint()
	params := m.a.words(uintptr(ck.CKD_NULL), 0, 0, uintptr(len(point)), m.a.bytes(point))
	length := uintptr(40)
	if m.oneIn(10) {
		length--
		f.when(true, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	place := m.a.words(0)
	if m.call("C_DeriveKey", f, h, m.a.words(uintptr(ck.CKM_ECDH1_DERIVE), params, length), baseAt, at, n, place) {
		m.keep(o, *m.a.at(place))
	}
}

func agreed() []byte {
	key, err := ecdh.P256().NewPrivateKey(ecKey.D.FillBytes(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	secret, err := key.ECDH(key.PublicKey())
	if err != nil {
		panic(err)
	}
	return secret
}
