package conformance

import "grep11/pkcs11/ck"

// maker is a function that makes a key of a template.
type maker struct {
	name string
	base ck.Template
	// ready gives the mechanism, and what makes a key with a mechanism and a template.
	ready func(*probe) (mechanism uintptr, do func(p *probe, mechanism, at, n uintptr) ck.RV)
}

var aesKey = ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Bool(ck.CKA_PRIVATE, false)}

var makers = []maker{
	{"C_GenerateKey", aesKey.With(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}), func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		return p.mechanism(ck.CKM_AES_KEY_GEN), func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_GenerateKey", m, at, n, p.word(0))
		}
	}},
	{"C_GenerateKeyPair", ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_PRIVATE, false)}, func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		return p.mechanism(ck.CKM_EC_KEY_PAIR_GEN), func(p *probe, m, at, n uintptr) ck.RV {
			priv, privN := p.template(ck.Template{ck.Bool(ck.CKA_PRIVATE, false)})
			return p.ask("C_GenerateKeyPair", m, at, n, priv, privN, p.word(0), p.word(0))
		}
	}},
	{"C_UnwrapKey", aesKey, func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		kek := p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_WRAP, ck.CKA_UNWRAP))
		wrapped, length := p.room(64), p.word(64)
		mechanism := p.mechanism(ck.CKM_AES_KEY_WRAP)
		p.ok("C_WrapKey", mechanism, kek, p.secret(ck.CKM_AES_KEY_GEN, nil), wrapped, length)
		return mechanism, func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_UnwrapKey", m, kek, wrapped, *p.at(length), at, n, p.word(0))
		}
	}},
	{"C_UnwrapKeyAuthenticated", aesKey, func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		kek := p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_WRAP, ck.CKA_UNWRAP))
		wrapped, length := p.room(64), p.word(64)
		mechanism := p.gcm()
		p.ok("C_WrapKeyAuthenticated", mechanism, kek, p.secret(ck.CKM_AES_KEY_GEN, nil), 0, 0, wrapped, length)
		return mechanism, func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_UnwrapKeyAuthenticated", m, kek, wrapped, *p.at(length), at, n, 0, 0, p.word(0))
		}
	}},
	{"C_DeriveKey", aesKey.With(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}), func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		from := p.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, rights(ck.CKA_DERIVE))
		return p.mechanism(ck.CKM_SHA256_KEY_DERIVATION), func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_DeriveKey", m, from, at, n, p.word(0))
		}
	}},
	{"C_EncapsulateKey", aesKey, func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		public, _ := p.kem()
		return p.mechanism(ck.CKM_ML_KEM), func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_EncapsulateKey", m, public, at, n, p.room(2000), p.word(2000), p.word(0))
		}
	}},
	{"C_DecapsulateKey", aesKey, func(p *probe) (uintptr, func(*probe, uintptr, uintptr, uintptr) ck.RV) {
		public, private := p.kem()
		at, n := p.template(aesKey)
		text, length := p.room(2000), p.word(2000)
		p.ok("C_EncapsulateKey", p.mechanism(ck.CKM_ML_KEM), public, at, n, text, length, p.word(0))
		return p.mechanism(ck.CKM_ML_KEM), func(p *probe, m, at, n uintptr) ck.RV {
			return p.ask("C_DecapsulateKey", m, private, at, n, text, *p.at(length), p.word(0))
		}
	}},
}

// makerScenes hold what is wrong with a template or a mechanism against each of
// the makers.
var makerScenes = func() (all []scene) {
	for _, m := range makers {
		all = append(all, scene{m.name + " is refused", m.refusals})
	}
	return all
}()

func (m maker) refusals(p *probe) {
	mechanism, do := m.ready(p)
	try := func(what string, want ck.RV, p *probe, mechanism uintptr, t ck.Template) {
		p.t.Helper()
		at, n := p.template(t)
		if rv := do(p, mechanism, at, n); rv != want {
			p.t.Errorf("%s: %v, want %v", what, rv, want)
		}
	}
	try("nothing wrong", ck.CKR_OK, p, mechanism, m.base)
	for what, row := range map[string]struct {
		a  ck.Attribute
		rv ck.RV
	}{
		"an attribute nobody knows":     {ck.Bytes(0x12345678, []byte{1}), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		"an attribute of other objects": {ck.Ulong(ck.CKA_CERTIFICATE_TYPE, 0), ck.CKR_TEMPLATE_INCONSISTENT},
		"an attribute of the module's":  {ck.Bool(ck.CKA_LOCAL, true), ck.CKR_ATTRIBUTE_READ_ONLY},
		"a Boolean of two bytes":        {ck.Bytes(ck.CKA_MODIFIABLE, []byte{1, 0}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		try(what, row.rv, p, mechanism, m.base.Set(row.a))
	}
	try("no such mechanism", ck.CKR_MECHANISM_INVALID, p, p.mechanism(0x7ffffff0), m.base)
	try("a parameter that is none", ck.CKR_MECHANISM_PARAM_INVALID, p, p.mechanismWith(ck.MechanismType(*p.at(mechanism)), p.room(3), 3), m.base)
	try("a token object", ck.CKR_SESSION_READ_ONLY, p.open(0), mechanism, m.base.Set(ck.Bool(ck.CKA_TOKEN, true)))
	p.ok("C_Logout")
	try("a private object of nobody's", ck.CKR_USER_NOT_LOGGED_IN, p, mechanism, m.base.Set(ck.Bool(ck.CKA_PRIVATE, true)))
}
