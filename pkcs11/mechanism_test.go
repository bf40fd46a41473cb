package pkcs11_test

import (
	"slices"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// lacking is a unit that does not list some mechanisms.
type lacking struct {
	unit.Unit
	types []ck.MechanismType
}

func (l lacking) Mechanisms() []*mech.Row {
	return slices.DeleteFunc(l.Unit.Mechanisms(), func(r *mech.Row) bool { return slices.Contains(l.types, r.Type) })
}

// TestMechanismsWithoutTheirParameter: one that the service does not list is
// refused as such, also by a module that has not asked for the list; one that it
// lists, for the parameter.
func TestMechanismsWithoutTheirParameter(t *testing.T) {
	const unknown = ck.MechanismType(0x7abcdef0)
	gone := []ck.MechanismType{ck.CKM_AES_GCM, ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_HKDF_DERIVE, ck.CKM_PKCS5_PBKD2, ck.CKM_DSA_PARAMETER_GEN}
	s := newStackOf(t, func(u unit.Unit) unit.Unit { return lacking{u, gone} })
	ctx := t.Context()
	var u *user
	var key ck.ObjectHandle
	begin := func(f func(*mech.Mechanism) error) func(ck.MechanismType) error {
		return func(m ck.MechanismType) error { return f(&mech.Mechanism{Type: m}) }
	}
	for _, row := range []struct {
		name         string
		gone, listed ck.MechanismType
		do           func(ck.MechanismType) error
	}{
		{"encrypt", ck.CKM_AES_GCM, ck.CKM_AES_CCM, begin(func(m *mech.Mechanism) error { return u.m.EncryptInit(ctx, u.h, m, key) })},
		{"decrypt", ck.CKM_AES_GCM, ck.CKM_AES_CBC, begin(func(m *mech.Mechanism) error { return u.m.DecryptInit(ctx, u.h, m, key) })},
		{"digest", unknown, 0, begin(func(m *mech.Mechanism) error { return u.m.DigestInit(ctx, u.h, m) })},
		{"sign", ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_AES_CMAC_GENERAL, begin(func(m *mech.Mechanism) error {
			return u.m.SignInit(ctx, u.h, m, key)
		})},
		{"verify", ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_AES_CMAC_GENERAL, begin(func(m *mech.Mechanism) error {
			return u.m.VerifyInit(ctx, u.h, m, key)
		})},
		{"verify a signature", ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_AES_CMAC_GENERAL, begin(func(m *mech.Mechanism) error {
			return u.m.VerifySignatureInit(ctx, u.h, m, key, nil)
		})},
		{"sign messages", ck.CKM_SHA256_HMAC_GENERAL, ck.CKM_AES_CMAC_GENERAL, begin(func(m *mech.Mechanism) error {
			return u.m.MessageSignInit(ctx, u.h, m, key)
		})},
		{"generate", ck.CKM_PKCS5_PBKD2, ck.CKM_PBE_SHA1_DES3_EDE_CBC, func(m ck.MechanismType) error {
			_, err := u.m.GenerateKey(ctx, u.h, mechanism(m), ck.Template{})
			return err
		}},
		{"generate a pair", unknown, 0, func(m ck.MechanismType) error {
			_, _, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(m), nil, nil)
			return err
		}},
		{"derive", ck.CKM_HKDF_DERIVE, ck.CKM_SP800_108_COUNTER_KDF, func(m ck.MechanismType) error {
			_, err := u.m.DeriveKey(ctx, u.h, mechanism(m), key, nil)
			return err
		}},
		{"wrap", ck.CKM_AES_GCM, ck.CKM_AES_CCM, func(m ck.MechanismType) error {
			return u.m.WrapKey(ctx, u.h, mechanism(m), key, key, pkcs11.NewOutput(nil, new(uint64)))
		}},
		{"unwrap", ck.CKM_AES_GCM, ck.CKM_AES_CCM, func(m ck.MechanismType) error {
			_, err := u.m.UnwrapKey(ctx, u.h, mechanism(m), key, nil, nil)
			return err
		}},
		{"wrap with data", ck.CKM_AES_GCM, ck.CKM_AES_CCM, func(m ck.MechanismType) error {
			return u.m.WrapKeyAuthenticated(ctx, u.h, mechanism(m), key, key, []byte("data"), pkcs11.NewOutput(nil, new(uint64)))
		}},
		{"unwrap with data", ck.CKM_AES_GCM, ck.CKM_AES_CCM, func(m ck.MechanismType) error {
			_, err := u.m.UnwrapKeyAuthenticated(ctx, u.h, mechanism(m), key, nil, nil, []byte("data"))
			return err
		}},
	} {
		u = login(t, s.module("")) // that knows no list
		key = u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true),
			ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SENSITIVE, false))
		wants(t, row.name+": not listed", row.do(row.gone), ck.CKR_MECHANISM_INVALID)
		if row.listed != 0 {
			wants(t, row.name+": listed", row.do(row.listed), ck.CKR_MECHANISM_PARAM_INVALID)
		}
	}
}
