package soft

import (
	"errors"
	"slices"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin/command"
	"grep11/server/unit"
)

// elsewhere are the control points that switch nothing inside a unit's calls.
var elsewhere = map[command.ControlPoint]string{
	command.XCP_CPB_ADD_CPBS:              "administration, package admin",
	command.XCP_CPB_DELETE_CPBS:           "administration, package admin",
	command.XCP_CPB_CPACF_PK:              "not supported: it cannot be switched on",
	command.XCP_CPB_RNG_SEED:              "GREP11 has no call that seeds",
	command.XCP_CPB_USER_SET_TRUSTED:      "no template sets CKA_TRUSTED, whatever the point says",
	command.XCP_CPB_COMPAT_LEGACY_SHA3:    "there is one SHA-3",
	command.XCP_CPB_ALLOW_LOGIN_PRE_F2021: "GREP11's logins are not offered",
}

// pointKeys are a unit's keys, made while everything was allowed.
type pointKeys struct {
	policyUnit
	aes, weak, kek, base, hmac, des2, des3, target, bound unit.Blob
	rsaPub, rsa, rsa17, ec, bp, k1, ed, dsa, dh, mldsa    unit.Blob
	spki                                                  []byte
}

func newPointKeys(t *testing.T) *pointKeys {
	u := &pointKeys{policyUnit: policyUnit{newTestUnit(t), t}}
	yes := func(types ...ck.AttributeType) (out []ck.Attribute) {
		for _, a := range types {
			out = append(out, ck.Bool(a, true))
		}
		return out
	}
	length := func(n int) ck.Attribute { return ck.Ulong(ck.CKA_VALUE_LEN, n) }
	u.aes = u.secret(ck.CKM_AES_KEY_GEN, length(32))
	u.weak = u.secret(ck.CKM_AES_KEY_GEN, append(yes(ck.CKA_WRAP), length(16))...)
	u.kek = u.secret(ck.CKM_AES_KEY_GEN, append(yes(ck.CKA_WRAP, ck.CKA_UNWRAP), length(32), ck.Bool(ck.CKA_DECRYPT, false))...)
	u.base = u.secret(ck.CKM_AES_KEY_GEN, append(yes(ck.CKA_DERIVE), length(32))...)
	u.bound = u.secret(ck.CKM_AES_KEY_GEN, append(yes(ck.CKA_DERIVE, ck.CKA_IBM_ATTRBOUND), length(32))...)
	u.hmac = u.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, length(16))
	u.des2, u.des3 = u.secret(ck.CKM_DES2_KEY_GEN), u.secret(ck.CKM_DES3_KEY_GEN)
	u.target = u.secret(ck.CKM_AES_KEY_GEN, append(yes(ck.CKA_EXTRACTABLE), length(32))...)
	curve := func(name string) unit.Blob {
		_, k := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, []byte(name)), yes(ck.CKA_DERIVE)...)
		return k
	}
	u.ec, u.bp, u.k1, u.ed = curve("P-256"), curve("BP-256R"), curve("SECP256K1"), curve("ed25519")
	modulus := ck.Ulong(ck.CKA_MODULUS_BITS, 2048)
	pub, priv, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN},
		append(yes(ck.CKA_WRAP), modulus), append(yes(ck.CKA_UNWRAP), ck.Bool(ck.CKA_DECRYPT, true)))
	if err != nil {
		t.Fatal(err)
	}
	u.rsaPub, u.rsa, u.spki = pub.Blob, priv.Blob, pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO)
	_, small, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{modulus, ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{17})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	u.rsa17 = small.Blob
	_, u.mldsa = u.pair(ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_44))
	group := func(g, m ck.MechanismType) unit.Blob {
		_, k := u.pair(m, ck.Bytes(ck.CKA_IBM_STRUCT_PARAMS, u.secret(g, ck.Ulong(ck.CKA_PRIME_BITS, 2048))), yes(ck.CKA_DERIVE)...)
		return k
	}
	u.dsa = group(ck.CKM_DSA_PARAMETER_GEN, ck.CKM_DSA_KEY_PAIR_GEN)
	u.dh = group(ck.CKM_DH_PKCS_PARAMETER_GEN, ck.CKM_DH_PKCS_KEY_PAIR_GEN)
	return u
}

func (u *pointKeys) op(op mech.Op, m mech.Mechanism, key unit.Blob, data []byte) func() error {
	return func() error {
		_, err := u.Single(u.t.Context(), op, m, key, unit.Input{Data: data, Signature: make([]byte, 32)})
		return err
	}
}

func (u *pointKeys) generate(m mech.Mechanism, a ...ck.Attribute) func() error {
	return func() error { _, err := u.GenerateKey(u.t.Context(), m, a); return err }
}

func (u *pointKeys) aesWith(a ...ck.Attribute) func() error {
	return u.generate(mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, append(a, ck.Ulong(ck.CKA_VALUE_LEN, 32))...)
}

func (u *pointKeys) derive(base unit.Blob) func() error {
	return func() error {
		_, err := u.DeriveKey(u.t.Context(), mech.Mechanism{Type: ck.CKM_SHA256_KEY_DERIVATION}, base, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32)})
		return err
	}
}

func (u *pointKeys) wrap(m mech.Mechanism, kek unit.Blob) func() error {
	return func() error { _, err := u.WrapKey(u.t.Context(), m, u.target, kek, nil); return err }
}

// unwrap tries what is not a wrapped key: the policy speaks first.
func (u *pointKeys) unwrap(m mech.Mechanism, kek unit.Blob) func() error {
	return func() error {
		_, err := u.UnwrapKey(u.t.Context(), m, make([]byte, 256), kek, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)})
		return err
	}
}

// uses has a call for each control point that is refused when it is off.
func (u *pointKeys) uses() map[command.ControlPoint]func() error {
	type m = mech.Mechanism
	yes := func(a ck.AttributeType) ck.Attribute { return ck.Bool(a, true) }
	block, digest := make([]byte, 16), make([]byte, 32)
	ecb, cbc := m{Type: ck.CKM_AES_ECB}, m{Type: ck.CKM_AES_KEY_WRAP}
	hmac, ecdsa, rsa := m{Type: ck.CKM_SHA256_HMAC}, m{Type: ck.CKM_ECDSA}, m{Type: ck.CKM_SHA256_RSA_PKCS}
	pkcs1 := m{Type: ck.CKM_RSA_PKCS}
	oaep := m{Type: ck.CKM_RSA_PKCS_OAEP, Param: &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}}
	seed := u.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), yes(ck.CKA_DERIVE), yes(ck.CKA_IBM_USE_AS_DATA))
	btc := m{Type: ck.CKM_IBM_BTC_DERIVE, Param: &mech.BTC{Type: 4, Version: 1}}
	pair := func(params string) func() error {
		return func() error {
			_, _, err := u.GenerateKeyPair(u.t.Context(), m{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(params))}, nil)
			return err
		}
	}
	return map[command.ControlPoint]func() error{
		command.XCP_CPB_SIGN_ASYMM:     u.op(mech.OpSign, ecdsa, u.ec, digest),
		command.XCP_CPB_SIGN_SYMM:      u.op(mech.OpSign, hmac, u.aes, block),
		command.XCP_CPB_SIGVERIFY_SYMM: u.op(mech.OpVerify, hmac, u.aes, block),
		command.XCP_CPB_ENCRYPT_SYMM:   u.op(mech.OpEncrypt, ecb, u.aes, block),
		command.XCP_CPB_DECRYPT_ASYMM:  u.op(mech.OpDecrypt, oaep, u.rsa, make([]byte, 256)),
		command.XCP_CPB_DECRYPT_SYMM:   u.op(mech.OpDecrypt, ecb, u.aes, block),
		command.XCP_CPB_WRAP_ASYMM:     u.wrap(oaep, u.rsaPub),
		command.XCP_CPB_WRAP_SYMM:      u.wrap(cbc, u.kek),
		command.XCP_CPB_UNWRAP_ASYMM:   u.unwrap(oaep, u.rsa),
		command.XCP_CPB_UNWRAP_SYMM:    u.unwrap(cbc, u.kek),
		command.XCP_CPB_KEYGEN_ASYMM:   pair("P-256"),
		command.XCP_CPB_KEYGEN_SYMM:    u.aesWith(),
		command.XCP_CPB_NON_ATTRBOUND:  u.wrap(cbc, u.kek),
		command.XCP_CPB_MODIFY_OBJECTS: func() error {
			_, err := u.SetAttributes(u.t.Context(), u.aes, ck.Template{ck.Bool(ck.CKA_ENCRYPT, false)})
			return err
		},
		command.XCP_CPB_ALG_RAW_RSA:             u.op(mech.OpSign, m{Type: ck.CKM_RSA_X_509}, u.rsa, digest),
		command.XCP_CPB_ALG_NFIPS2009:           u.op(mech.OpSign, m{Type: ck.CKM_IBM_SIPHASH}, u.hmac, digest),
		command.XCP_CPB_ALG_NBSI2009:            u.op(mech.OpEncrypt, m{Type: ck.CKM_DES3_ECB}, u.des2, block),
		command.XCP_CPB_KEYSZ_HMAC_ANY:          u.op(mech.OpSign, m{Type: ck.CKM_SHA512_HMAC}, u.hmac, digest),
		command.XCP_CPB_KEYSZ_BELOW80BIT:        u.generate(m{Type: ck.CKM_GENERIC_SECRET_KEY_GEN}, ck.Ulong(ck.CKA_VALUE_LEN, 4)),
		command.XCP_CPB_KEYSZ_80BIT:             u.op(mech.OpEncrypt, m{Type: ck.CKM_DES3_ECB}, u.des2, block),
		command.XCP_CPB_KEYSZ_112BIT:            u.op(mech.OpSign, rsa, u.rsa, digest),
		command.XCP_CPB_KEYSZ_128BIT:            u.op(mech.OpSign, ecdsa, u.ec, digest),
		command.XCP_CPB_KEYSZ_192BIT:            u.generate(m{Type: ck.CKM_AES_KEY_GEN}, ck.Ulong(ck.CKA_VALUE_LEN, 24)),
		command.XCP_CPB_KEYSZ_256BIT:            u.op(mech.OpEncrypt, ecb, u.aes, block),
		command.XCP_CPB_KEYSZ_RSA65536:          u.op(mech.OpSign, rsa, u.rsa17, digest),
		command.XCP_CPB_ALG_RSA:                 u.op(mech.OpSign, rsa, u.rsa, digest),
		command.XCP_CPB_ALG_DSA:                 u.op(mech.OpSign, m{Type: ck.CKM_DSA}, u.dsa, digest),
		command.XCP_CPB_ALG_EC:                  u.op(mech.OpSign, ecdsa, u.ec, digest),
		command.XCP_CPB_ALG_EC_BPOOLCRV:         u.op(mech.OpSign, ecdsa, u.bp, digest),
		command.XCP_CPB_ALG_EC_NISTCRV:          u.op(mech.OpSign, ecdsa, u.ec, digest),
		command.XCP_CPB_ALG_NFIPS2011:           u.op(mech.OpSign, m{Type: ck.CKM_SHA1_RSA_PKCS}, u.rsa, digest),
		command.XCP_CPB_ALG_NBSI2011:            u.op(mech.OpSign, m{Type: ck.CKM_SHA1_RSA_X9_31}, u.rsa, digest),
		command.XCP_CPB_WRAP_CRYPT_KEYS:         u.aesWith(yes(ck.CKA_ENCRYPT), yes(ck.CKA_WRAP)),
		command.XCP_CPB_SIGN_CRYPT_KEYS:         u.aesWith(yes(ck.CKA_ENCRYPT), yes(ck.CKA_SIGN)),
		command.XCP_CPB_WRAP_SIGN_KEYS:          u.aesWith(yes(ck.CKA_WRAP), yes(ck.CKA_SIGN)),
		command.XCP_CPB_ALLOW_COMBINED_EXTRACT:  u.aesWith(yes(ck.CKA_EXTRACTABLE), yes(ck.CKA_IBM_PROTKEY_EXTRACTABLE)),
		command.XCP_CPB_ALLOW_PASSPHRASE:        u.generate(m{Type: ck.CKM_PKCS5_PBKD2, Param: &mech.PBKDF2{PRF: 4, Iterations: 1}}, ck.Ulong(ck.CKA_VALUE_LEN, 32)),
		command.XCP_CPB_WRAP_STRONGER_KEY:       u.wrap(cbc, u.weak),
		command.XCP_CPB_WRAP_WITH_RAW_SPKI:      u.wrap(oaep, u.spki),
		command.XCP_CPB_ALG_DH:                  u.generate(m{Type: ck.CKM_DH_PKCS_PARAMETER_GEN}, ck.Ulong(ck.CKA_PRIME_BITS, 2048)),
		command.XCP_CPB_DSA_PARAMETER_GEN:       u.generate(m{Type: ck.CKM_DSA_PARAMETER_GEN}, ck.Ulong(ck.CKA_PRIME_BITS, 2048)),
		command.XCP_CPB_DERIVE:                  u.derive(u.base),
		command.XCP_CPB_DERIVE_NON_AB_KEYS:      u.derive(u.bound),
		command.XCP_CPB_ALLOW_NONSESSION:        u.op(mech.OpEncrypt, ecb, u.aes, block),
		command.XCP_CPB_ALG_EC_25519:            u.op(mech.OpSign, m{Type: ck.CKM_EDDSA}, u.ed, digest),
		command.XCP_CPB_ALG_EC_SECGCRV:          u.op(mech.OpSign, ecdsa, u.k1, digest),
		command.XCP_CPB_ALG_EC_PAIRING_FRIENDLY: pair(string(curvesByName[nameBLS].oid)),
		command.XCP_CPB_ALG_NBSI2017:            u.op(mech.OpSign, rsa, u.rsa, digest),
		command.XCP_CPB_ALG_NFIPS2021:           u.op(mech.OpEncrypt, m{Type: ck.CKM_DES3_ECB}, u.des3, block),
		command.XCP_CPB_ALG_NFIPS2024:           u.op(mech.OpDecrypt, pkcs1, u.rsa, make([]byte, 256)),
		command.XCP_CPB_ALG_PQC:                 u.op(mech.OpSign, m{Type: ck.CKM_ML_DSA}, u.mldsa, digest),
		command.XCP_CPB_BTC: func() error {
			_, err := u.DeriveKey(u.t.Context(), btc, seed, nil, ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, []byte("SECP256K1"))})
			return err
		},
		command.XCP_CPB_ECDSA_OTHER:  u.op(mech.OpSign, m{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: mech.ECSGSchnorr}}, u.k1, digest),
		command.XCP_CPB_ALG_RSA_OAEP: u.op(mech.OpDecrypt, oaep, u.rsa, make([]byte, 256)),
		command.XCP_CPB_RETAINKEYS:   u.wrap(m{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{}}, nil),
		command.XCP_CPB_USER_SET_ATTRBOUND: func() error {
			_, err := u.UnwrapKey(u.t.Context(), m{Type: ck.CKM_IBM_TRANSPORTKEY}, u.spki, nil, nil, ck.Template{yes(ck.CKA_IBM_ATTRBOUND)})
			return err
		},
	}
}

// TestEveryControlPoint: each point that names a function refuses it when it is
// off, alone, and nothing is refused when all are on.
func TestEveryControlPoint(t *testing.T) {
	u := newPointKeys(t)
	uses := u.uses()
	all := command.Profiles["compatible"]
	seen := 0
	for _, point := range append(all.Points(), command.NotSupported.Points()...) {
		if _, ok := elsewhere[point]; ok || point == command.XCP_CPB_SKIP_KEYTESTS || point == command.XCP_CPB_ALG_SKIP_CROSSCHK {
			continue
		}
		use := uses[point]
		if use == nil {
			t.Errorf("%v switches nothing", point)
			continue
		}
		seen++
		u.policy.Store(newPolicy(all))
		if err := use(); errors.Is(err, ck.CKR_IBM_STATIC_POLICY) {
			t.Errorf("%v on: %v", point, err)
		}
		u.policy.Store(&policy{all.Minus(command.SetOf(point))})
		if err := use(); !errors.Is(err, ck.CKR_IBM_STATIC_POLICY) {
			t.Errorf("%v off: %v", point, err)
		}
	}
	if seen != len(uses) {
		t.Errorf("%d points for %d uses", seen, len(uses))
	}
}

// TestProfilesSwitchEveryPoint: under a profile a call is refused exactly if a
// point that it needs is off.
func TestProfilesSwitchEveryPoint(t *testing.T) {
	u := newPointKeys(t)
	uses := u.uses()
	for name, profile := range command.Profiles {
		u.policy.Store(newPolicy(profile))
		for point, use := range uses {
			err := use()
			if off := !profile.Has(point); off && !errors.Is(err, ck.CKR_IBM_STATIC_POLICY) {
				t.Errorf("%s, %v: %v", name, point, err)
			}
			if name == "compatible" && errors.Is(err, ck.CKR_IBM_STATIC_POLICY) {
				t.Errorf("%s, %v: %v", name, point, err)
			}
		}
	}
}

// TestSelfTests: without the shortcuts a pair whose halves do not fit is not
// given out, nor a signature that does not verify.
func TestSelfTests(t *testing.T) {
	u := newPointKeys(t)
	for _, point := range []command.ControlPoint{command.XCP_CPB_SKIP_KEYTESTS, command.XCP_CPB_ALG_SKIP_CROSSCHK} {
		careful := &policy{command.Profiles["compatible"].Minus(command.SetOf(point))}
		u.policy.Store(careful)
		for _, m := range []ck.MechanismType{ck.CKM_EC_KEY_PAIR_GEN, ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN} {
			params := "P-256"
			if m != ck.CKM_EC_KEY_PAIR_GEN {
				params = "curve25519"
			}
			if _, _, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: m}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(params))}, nil); err != nil {
				t.Errorf("%v off: %v", point, err)
			}
		}
		if err := u.op(mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, u.ec, make([]byte, 32))(); err != nil {
			t.Errorf("%v off: %v", point, err)
		}
	}
	good, err := u.openKey(u.ec)
	if err != nil {
		t.Fatal(err)
	}
	other, err := u.openKey(u.secondPair())
	if err != nil {
		t.Fatal(err)
	}
	mixed := &key{class: good.class, typ: good.typ, bits: good.bits, value: good.value, spki: other.spki}
	info, err := parseSPKI(mixed.spki)
	if err != nil {
		t.Fatal(err)
	}
	strict := &policy{command.Profiles["strict"]}
	if err := strict.tests(mixed, info); !errors.Is(err, ck.CKR_DEVICE_ERROR) {
		t.Errorf("halves of two pairs: %v", err)
	}
	m := mech.Mechanism{Type: ck.CKM_ECDSA}
	if err := strict.crossCheck(&operation{mech: m, eng: engines[m.Type], key: good}, make([]byte, 32), make([]byte, 64)); !errors.Is(err, ck.CKR_DEVICE_ERROR) {
		t.Errorf("a wrong signature: %v", err)
	}
}

func (u *pointKeys) secondPair() unit.Blob {
	u.policy.Store(nil)
	_, k := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, []byte("P-256")))
	return k
}

// TestRemovedMechanismsDisappear: the list is what the policy leaves.
func TestRemovedMechanismsDisappear(t *testing.T) {
	u := newTestUnit(t)
	has := func(m ck.MechanismType) bool {
		return slices.ContainsFunc(u.Mechanisms(), func(r *mech.Row) bool { return r.Type == m })
	}
	for point, m := range map[command.ControlPoint]ck.MechanismType{
		command.XCP_CPB_ALG_PQC: ck.CKM_IBM_DILITHIUM, command.XCP_CPB_BTC: ck.CKM_IBM_BTC_DERIVE, command.XCP_CPB_ALG_DSA: ck.CKM_DSA_SHA1,
		command.XCP_CPB_ALG_RSA_OAEP: ck.CKM_RSA_PKCS_OAEP, command.XCP_CPB_ALG_EC_25519: ck.CKM_EDDSA, command.XCP_CPB_ALLOW_PASSPHRASE: ck.CKM_PBE_SHA1_DES3_EDE_CBC,
		command.XCP_CPB_RETAINKEYS: ck.CKM_IBM_RETAINKEY,
	} {
		u.policy.Store(nil)
		if !has(m) {
			t.Errorf("%v is not listed", m)
		}
		u.policy.Store(&policy{command.Profiles["compatible"].Minus(command.SetOf(point))})
		if has(m) || !has(ck.CKM_AES_CBC) {
			t.Errorf("%v off: the list is wrong about %v", point, m)
		}
	}
}
