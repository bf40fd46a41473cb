package conformance

import "grep11/pkcs11/ck"

var keyScenes = []scene{
	{"templates that lack something", func(p *probe) {
		at, n := p.template(ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)})
		kek := p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_UNWRAP))
		p.want(ck.CKR_TEMPLATE_INCOMPLETE, "C_UnwrapKey", p.mechanism(ck.CKM_AES_KEY_WRAP), kek, p.room(40), 40, at, n, p.word(0))
		p.want(ck.CKR_TEMPLATE_INCOMPLETE, "C_UnwrapKeyAuthenticated", p.gcm(), kek, p.room(40), 40, at, n, 0, 0, p.word(0))
	}},
	{"curves, domain parameters and parameter sets that are none", func(p *probe) {
		for _, row := range []struct {
			m      ck.MechanismType
			public ck.Template
			rv     ck.RV
		}{
			{ck.CKM_EC_KEY_PAIR_GEN, nil, ck.CKR_TEMPLATE_INCOMPLETE},
			{ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte{6, 3, 0x2a, 3, 4})}, ck.CKR_CURVE_NOT_SUPPORTED},
			{ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, 99)}, ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
			{ck.CKM_DH_PKCS_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_PRIME, []byte{15}), ck.Bytes(ck.CKA_BASE, []byte{2})}, ck.CKR_DOMAIN_PARAMS_INVALID},
		} {
			at, n := p.template(row.public)
			p.want(row.rv, "C_GenerateKeyPair", p.mechanism(row.m), at, n, 0, 0, p.word(0), p.word(0))
		}
		public := ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY)
		point := ck.Bytes(ck.CKA_EC_POINT, append([]byte{4, 65, 4}, make([]byte, 64)...))
		for _, row := range []struct {
			t  ck.Template
			rv ck.RV
		}{
			{ck.Template{public, ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, []byte{6, 3, 0x2a, 3, 4}), point}, ck.CKR_CURVE_NOT_SUPPORTED},
			{ck.Template{public, ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_ML_KEM), ck.Ulong(ck.CKA_PARAMETER_SET, 99), ck.Bytes(ck.CKA_VALUE, make([]byte, 99))}, ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
			{ck.Template{public, ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_DH), ck.Bytes(ck.CKA_PRIME, []byte{15}), ck.Bytes(ck.CKA_BASE, []byte{2}), ck.Bytes(ck.CKA_VALUE, []byte{4})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		} {
			at, n := p.template(row.t)
			p.want(row.rv, "C_CreateObject", at, n, p.word(0))
		}
	}},
	{"keys that wrap and are wrapped", func(p *probe) {
		kek := p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_WRAP, ck.CKA_UNWRAP))
		public, private := p.rsa(1024, rights(ck.CKA_WRAP, ck.CKA_ENCRYPT), rights(ck.CKA_UNWRAP))
		strong := p.secret(ck.CKM_AES_KEY_GEN, nil)
		stays := p.secret(ck.CKM_AES_KEY_GEN, ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, false)})
		for _, f := range []struct {
			name      string
			mechanism uintptr
			aad       []uintptr
		}{{"C_WrapKey", p.mechanism(ck.CKM_AES_KEY_WRAP), nil}, {"C_WrapKeyAuthenticated", p.gcm(), []uintptr{0, 0}}} {
			wrap := func(rv ck.RV, kek, key, room uintptr) {
				p.t.Helper()
				p.want(rv, f.name, append(append([]uintptr{f.mechanism, kek, key}, f.aad...), p.room(600), p.word(room))...)
			}
			wrap(ck.CKR_BUFFER_TOO_SMALL, kek, strong, 3)
			wrap(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, 4711, strong, 600)
			wrap(ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, public, strong, 600)
			wrap(ck.CKR_KEY_HANDLE_INVALID, kek, 4711, 600)
			wrap(ck.CKR_KEY_UNEXTRACTABLE, kek, stays, 600)
			wrap(ck.CKR_KEY_NOT_WRAPPABLE, kek, public, 600)
		}
		p.want(ck.CKR_WRAPPING_KEY_SIZE_RANGE, "C_WrapKey", p.mechanism(ck.CKM_RSA_PKCS), public, strong, p.room(600), p.word(600))
		at, n := p.template(aesKey)
		unwrap := func(rv ck.RV, mechanism, kek uintptr, length int) {
			p.t.Helper()
			p.want(rv, "C_UnwrapKey", mechanism, kek, p.room(600), uintptr(length), at, n, p.word(0))
		}
		unwrap(ck.CKR_WRAPPED_KEY_LEN_RANGE, p.mechanism(ck.CKM_AES_KEY_WRAP), kek, 3)
		unwrap(ck.CKR_WRAPPED_KEY_INVALID, p.mechanism(ck.CKM_AES_KEY_WRAP), kek, 40)
		unwrap(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, p.mechanism(ck.CKM_AES_KEY_WRAP), 4711, 40)
		unwrap(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, p.mechanism(ck.CKM_AES_KEY_WRAP), private, 40)
		authenticated := func(rv ck.RV, kek uintptr, length int) {
			p.t.Helper()
			p.want(rv, "C_UnwrapKeyAuthenticated", p.gcm(), kek, p.room(600), uintptr(length), at, n, 0, 0, p.word(0))
		}
		authenticated(ck.CKR_WRAPPED_KEY_LEN_RANGE, kek, 3)
		authenticated(ck.CKR_WRAPPED_KEY_INVALID, kek, 40)
		authenticated(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, 4711, 40)
		authenticated(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, private, 40)
	}},
	{"keys that encapsulate", func(p *probe) {
		public, private := p.kem()
		rsa, rsaPrivate := p.rsa(2048, nil, nil)
		at, n := p.template(aesKey)
		kem := p.mechanism(ck.CKM_ML_KEM)
		encapsulate := func(rv ck.RV, key, room uintptr) {
			p.t.Helper()
			p.want(rv, "C_EncapsulateKey", kem, key, at, n, p.room(2000), p.word(room), p.word(0))
		}
		encapsulate(ck.CKR_KEY_HANDLE_INVALID, 4711, 2000)
		encapsulate(ck.CKR_KEY_TYPE_INCONSISTENT, rsa, 2000)
		encapsulate(ck.CKR_BUFFER_TOO_SMALL, public, 3)
		decapsulate := func(rv ck.RV, key, length uintptr) {
			p.t.Helper()
			p.want(rv, "C_DecapsulateKey", kem, key, at, n, p.room(2000), length, p.word(0))
		}
		decapsulate(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, 4711, 1088)
		decapsulate(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, rsaPrivate, 1088)
		decapsulate(ck.CKR_WRAPPED_KEY_LEN_RANGE, private, 3)
	}},
	{"keys that derive", func(p *probe) {
		short := p.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, rights(ck.CKA_DERIVE))
		at, n := p.template(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 1000), ck.Bool(ck.CKA_PRIVATE, false)})
		p.want(ck.CKR_KEY_SIZE_RANGE, "C_DeriveKey", p.mechanism(ck.CKM_SHA256_KEY_DERIVATION), short, at, n, p.word(0))
	}},
	{"changes and copies", func(p *probe) {
		key := p.secret(ck.CKM_AES_KEY_GEN, nil)
		for what, row := range map[string]struct {
			a  ck.Attribute
			rv ck.RV
		}{
			"an attribute nobody knows":     {ck.Bytes(0x12345678, []byte{1}), ck.CKR_ATTRIBUTE_TYPE_INVALID},
			"an attribute of other objects": {ck.Ulong(ck.CKA_CERTIFICATE_TYPE, 0), ck.CKR_TEMPLATE_INCONSISTENT},
			"an attribute of the module's":  {ck.Bool(ck.CKA_LOCAL, false), ck.CKR_ATTRIBUTE_READ_ONLY},
			"a Boolean of two bytes":        {ck.Bytes(ck.CKA_ENCRYPT, []byte{1, 0}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		} {
			at, n := p.template(ck.Template{row.a})
			if rv := p.ask("C_SetAttributeValue", key, at, n); rv != row.rv {
				p.t.Errorf("%s to change: %v, want %v", what, rv, row.rv)
			}
			if rv := p.ask("C_CopyObject", key, at, n, p.word(0)); rv != row.rv {
				p.t.Errorf("%s to copy: %v, want %v", what, rv, row.rv)
			}
		}
		at, n := p.template(ck.Template{ck.Bytes(0x12345678, []byte{1})})
		p.ask("C_FindObjectsInit", at, n)
		p.ask("C_FindObjectsFinal")
		at, n = p.template(ck.Template{ck.Bytes(ck.CKA_TOKEN, []byte{1, 0})})
		p.ask("C_FindObjectsInit", at, n)
	}},
}
