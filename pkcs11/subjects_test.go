package pkcs11_test

import (
	"fmt"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
)

// subject is a kind of object, and the ways in which such objects come to be:
// each makes one of a template.
type subject struct {
	name  string
	class ck.ObjectClass
	kind  uint64
	ways  []way
}

type way struct {
	name  string
	rules pkcs11.Way
	base  ck.Template // what the way needs, and no more
	make  func(ck.Template) (ck.ObjectHandle, error)
}

// places are where objects of the kind are tried: in the session, and on the
// token those of one type of each class, for there type does not matter.
func (s subject) places() []bool {
	switch {
	case s.class == ck.CKO_DATA, s.class == ck.CKO_CERTIFICATE, s.class == ck.CKO_TRUST, s.class == ck.CKO_DOMAIN_PARAMETERS,
		s.kind == uint64(ck.CKK_AES), s.kind == uint64(ck.CKK_EC):
		return []bool{false, true}
	}
	return []bool{false}
}

// readable is what makes a key's value readable: CKA_SENSITIVE false alone does
// not, and what a key unwraps that wraps is sensitive.
func (w way) readable(class ck.ObjectClass) ck.Template {
	if w.name == "C_UnwrapKey" || class != ck.CKO_PRIVATE_KEY && class != ck.CKO_SECRET_KEY {
		return nil
	}
	return bare
}

// bare is an object whose components may be read.
var bare = ck.Template{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}

func classAndKind(class ck.ObjectClass, kind uint64) ck.Template {
	at := ck.CKA_KEY_TYPE
	if class == ck.CKO_CERTIFICATE {
		at = ck.CKA_CERTIFICATE_TYPE
	}
	if class == ck.CKO_DATA || class == ck.CKO_TRUST {
		return ck.Template{ck.Ulong(ck.CKA_CLASS, class)}
	}
	return ck.Template{ck.Ulong(ck.CKA_CLASS, class), ck.Ulong(at, kind)}
}

func (u *user) creates(base ck.Template) way {
	return way{"C_CreateObject", pkcs11.Create, base, func(t ck.Template) (ck.ObjectHandle, error) {
		return u.m.CreateObject(u.t.Context(), u.h, t)
	}}
}

func (u *user) unwraps(class ck.ObjectClass, kind uint64, key ck.ObjectHandle) way {
	kek, m := u.aes(wrapsKeys...), mechanism(ck.CKM_AES_KEY_WRAP_KWP)
	wrapped, err := output(u.t, func(o *pkcs11.Output) error { return u.m.WrapKey(u.t.Context(), u.h, m, kek, key, o) })
	wants(u.t, fmt.Sprintf("wrap %v %v", class, ck.KeyType(kind)), err, nil)
	return way{"C_UnwrapKey", pkcs11.Unwrap, classAndKind(class, kind), func(t ck.Template) (ck.ObjectHandle, error) {
		return u.m.UnwrapKey(u.t.Context(), u.h, m, kek, wrapped, t)
	}}
}

// secretSubject are secret keys of a type.
func (u *user) secretSubject(kind ck.KeyType, gen ck.MechanismType, more ...ck.Attribute) subject {
	generate := way{"C_GenerateKey", pkcs11.Generate, more, func(t ck.Template) (ck.ObjectHandle, error) {
		return u.m.GenerateKey(u.t.Context(), u.h, mechanism(gen), t)
	}}
	key, err := generate.make(generate.base.With(bare))
	wants(u.t, gen.String(), err, nil)
	from, err := u.m.GenerateKey(u.t.Context(), u.h, mechanism(ck.CKM_GENERIC_SECRET_KEY_GEN), ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_DERIVE, true)})
	wants(u.t, "base key", err, nil)
	id := classAndKind(ck.CKO_SECRET_KEY, uint64(kind))
	derive := way{"C_DeriveKey", pkcs11.Unwrap, id.With(more), func(t ck.Template) (ck.ObjectHandle, error) {
		return u.m.DeriveKey(u.t.Context(), u.h, mechanism(ck.CKM_SHA256_KEY_DERIVATION), from, t)
	}}
	return subject{kind.String(), ck.CKO_SECRET_KEY, uint64(kind), []way{
		u.creates(id.Set(ck.Bytes(ck.CKA_VALUE, u.value(key)))), generate, u.unwraps(ck.CKO_SECRET_KEY, uint64(kind), key), derive}}
}

// pairSubjects are the halves of key pairs.
func (u *user) pairSubjects(kind ck.KeyType, gen ck.MechanismType, more ...ck.Attribute) []subject {
	pub, priv, err := u.m.GenerateKeyPair(u.t.Context(), u.h, mechanism(gen), more, bare)
	wants(u.t, gen.String(), err, nil)
	half := func(n int, base ck.Template, pair func(t ck.Template) (ck.Template, ck.Template)) way {
		return way{"C_GenerateKeyPair", pkcs11.Generate, base, func(t ck.Template) (ck.ObjectHandle, error) {
			tPub, tPriv := pair(t)
			p, q, err := u.m.GenerateKeyPair(u.t.Context(), u.h, mechanism(gen), tPub, tPriv)
			return []ck.ObjectHandle{p, q}[n], err
		}}
	}
	return []subject{
		{kind.String() + " public", ck.CKO_PUBLIC_KEY, uint64(kind), []way{
			u.creates(u.components(pub, ck.CKO_PUBLIC_KEY, uint64(kind))),
			half(0, more, func(t ck.Template) (ck.Template, ck.Template) { return t, nil }),
		}},
		{kind.String() + " private", ck.CKO_PRIVATE_KEY, uint64(kind), []way{
			u.creates(u.components(priv, ck.CKO_PRIVATE_KEY, uint64(kind))),
			half(1, nil, func(t ck.Template) (ck.Template, ck.Template) { return more, t }),
			u.unwraps(ck.CKO_PRIVATE_KEY, uint64(kind), priv),
		}},
	}
}

// components is a template to create a key again: what must be said of it, and
// its values.
func (u *user) components(o ck.ObjectHandle, class ck.ObjectClass, kind uint64) ck.Template {
	var t ck.Template
	for _, at := range pkcs11.AllAttributes() {
		r := pkcs11.RulingOf(at, class, kind)
		if r == nil || !r.Needs[pkcs11.Create] && !r.Secret {
			continue
		}
		if v, err := u.get(o, at); err == nil {
			t = append(t, ck.Bytes(at, v))
		}
	}
	return t
}

func (u *user) domainSubject(kind ck.KeyType, gen ck.MechanismType) subject {
	base := ck.Template{ck.Ulong(ck.CKA_PRIME_BITS, 2048)}
	generate := way{"C_GenerateKey", pkcs11.Generate, base, func(t ck.Template) (ck.ObjectHandle, error) {
		return u.m.GenerateKey(u.t.Context(), u.h, mechanism(gen), t)
	}}
	o, err := generate.make(base)
	wants(u.t, gen.String(), err, nil)
	return subject{kind.String() + " parameters", ck.CKO_DOMAIN_PARAMETERS, uint64(kind), []way{
		u.creates(u.components(o, ck.CKO_DOMAIN_PARAMETERS, uint64(kind))), generate}}
}

func (u *user) subjects() []subject {
	some := func(at ck.AttributeType) ck.Attribute { return ck.Bytes(at, []byte("some bytes")) }
	created := func(name string, class ck.ObjectClass, kind uint64, more ...ck.Attribute) subject {
		return subject{name, class, kind, []way{u.creates(append(classAndKind(class, kind), more...))}}
	}
	all := []subject{
		created("data", ck.CKO_DATA, 0),
		created("X.509", ck.CKO_CERTIFICATE, uint64(ck.CKC_X_509), some(ck.CKA_SUBJECT), some(ck.CKA_VALUE),
			some(ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY), some(ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY)),
		created("WTLS", ck.CKO_CERTIFICATE, uint64(ck.CKC_WTLS), some(ck.CKA_SUBJECT), some(ck.CKA_VALUE),
			some(ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY), some(ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY)),
		created("attribute certificate", ck.CKO_CERTIFICATE, uint64(ck.CKC_X_509_ATTR_CERT), some(ck.CKA_OWNER), some(ck.CKA_VALUE)),
		created("trust", ck.CKO_TRUST, 0, some(ck.CKA_ISSUER), some(ck.CKA_SERIAL_NUMBER),
			some(ck.CKA_HASH_OF_CERTIFICATE), ck.Ulong(ck.CKA_NAME_HASH_ALGORITHM, ck.CKM_SHA256)),
		u.secretSubject(ck.CKK_AES, ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32)),
		u.secretSubject(ck.CKK_DES3, ck.CKM_DES3_KEY_GEN),
		u.secretSubject(ck.CKK_GENERIC_SECRET, ck.CKM_GENERIC_SECRET_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32)),
		u.domainSubject(ck.CKK_DSA, ck.CKM_DSA_PARAMETER_GEN),
		u.domainSubject(ck.CKK_DH, ck.CKM_DH_PKCS_PARAMETER_GEN),
	}
	for kind, how := range map[ck.KeyType]struct {
		gen  ck.MechanismType
		more ck.Template
	}{
		ck.CKK_RSA:           {ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 1024)}},
		ck.CKK_EC:            {ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256)}},
		ck.CKK_EC_EDWARDS:    {ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, ed25519)}},
		ck.CKK_EC_MONTGOMERY: {ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte{6, 3, 0x2b, 0x65, 0x6e})}},
		ck.CKK_DSA:           {ck.CKM_DSA_KEY_PAIR_GEN, u.group(ck.CKM_DSA_PARAMETER_GEN)},
		ck.CKK_DH:            {ck.CKM_DH_PKCS_KEY_PAIR_GEN, u.group(ck.CKM_DH_PKCS_PARAMETER_GEN)},
		ck.CKK_ML_DSA:        {ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_44)}},
		ck.CKK_ML_KEM:        {ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_512)}},
		ck.CKK_SLH_DSA:       {ck.CKM_SLH_DSA_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_SLH_DSA_SHA2_128F)}},
	} {
		all = append(all, u.pairSubjects(kind, how.gen, how.more...)...)
	}
	return all
}

// samples are values of an attribute that few objects have by themselves.
func samples(at ck.AttributeType) []ck.Attribute {
	switch at.Kind() {
	case ck.KindBool:
		return []ck.Attribute{ck.Bool(at, true), ck.Bool(at, false)}
	case ck.KindUlong:
		return []ck.Attribute{ck.Ulong(at, 1)}
	case ck.KindUlongs:
		return []ck.Attribute{ck.Ulongs(at, []ck.MechanismType{ck.CKM_SHA256})}
	case ck.KindTemplates:
		return []ck.Attribute{{Type: at, Sub: ck.Template{sensitive}}, {Type: at, Sub: ck.Template{leaves, sensitive}}}
	}
	switch at {
	case ck.CKA_START_DATE, ck.CKA_END_DATE:
		return []ck.Attribute{ck.Bytes(at, []byte("20260101"))}
	case ck.CKA_EC_PARAMS:
		return []ck.Attribute{ck.Bytes(at, secp256k1)}
	}
	return []ck.Attribute{ck.Bytes(at, []byte("a value"))}
}

// badForms are values of lengths that an attribute never has.
func badForms(at ck.AttributeType) (bad []ck.Attribute) {
	lengths := map[ck.Kind][]int{ck.KindBool: {0, 2, 8, 1 << 16}, ck.KindUlong: {0, 7, 9, 4, 1 << 16}, ck.KindUlongs: {7, 9, 1<<16 + 1}}[at.Kind()]
	if at == ck.CKA_START_DATE || at == ck.CKA_END_DATE {
		lengths = []int{1, 7, 8, 9, 1 << 16} // 8 zeros are no date
	}
	for _, n := range lengths {
		bad = append(bad, ck.Bytes(at, make([]byte, n)))
	}
	return bad
}
