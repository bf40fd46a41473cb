package soft

import (
	"errors"
	"slices"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin/command"
	"grep11/server/unit"
	"grep11/server/unit/unittest"
)

// policyUnit is a unit with keys of every kind, made before its policy came.
type policyUnit struct {
	*Unit
	t *testing.T
}

func (u policyUnit) secret(m ck.MechanismType, t ...ck.Attribute) unit.Blob {
	k, err := u.GenerateKey(u.t.Context(), mech.Mechanism{Type: m}, t)
	if err != nil {
		u.t.Fatal(err)
	}
	return k.Blob
}

func (u policyUnit) pair(m ck.MechanismType, pub ck.Attribute, priv ...ck.Attribute) (pubKey, privKey unit.Blob) {
	p, s, err := u.GenerateKeyPair(u.t.Context(), mech.Mechanism{Type: m}, ck.Template{pub}, priv)
	if err != nil {
		u.t.Fatal(err)
	}
	return p.Blob, s.Blob
}

func TestTheStrictPolicy(t *testing.T) {
	master := make(ck.Secret, 32)
	plain, err := New(Config{Name: "a", MasterKey: master})
	if err != nil {
		t.Fatal(err)
	}
	u := policyUnit{plain, t}
	aes := u.secret(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 16))
	des2 := u.secret(ck.CKM_DES2_KEY_GEN)
	des3 := u.secret(ck.CKM_DES3_KEY_GEN)
	short := u.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 14), ck.Bool(ck.CKA_SIGN, true))
	pub, rsa := u.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Ulong(ck.CKA_MODULUS_BITS, 2048))
	_, weak := u.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Ulong(ck.CKA_MODULUS_BITS, 1024))
	_, ec := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, oid(1, 2, 840, 10045, 3, 1, 7)))
	_, ed := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, oid(1, 3, 101, 112)))

	op := func(op mech.Op, m ck.MechanismType, key unit.Blob, data []byte) func() error {
		return func() error {
			_, err := u.Single(t.Context(), op, mech.Mechanism{Type: m}, key, unit.Input{Data: data, Signature: make([]byte, 256)})
			return err
		}
	}
	generate := func(m ck.MechanismType, a ...ck.Attribute) func() error {
		return func() error {
			_, err := u.GenerateKey(t.Context(), mech.Mechanism{Type: m}, a)
			return err
		}
	}
	pair := func(bits uint64, priv ...ck.Attribute) func() error {
		return func() error {
			_, _, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, bits)}, priv)
			return err
		}
	}
	retain := func(key unit.Blob) func() error {
		return func() error {
			_, err := u.WrapKey(t.Context(), mech.Mechanism{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{}}, key, nil, nil)
			return err
		}
	}
	digest, block := make([]byte, 32), make([]byte, 16)
	signOnly := []ck.Attribute{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_DECRYPT, false), ck.Bool(ck.CKA_UNWRAP, false)}
	rows := []struct {
		name   string
		do     func() error
		strict bool // allowed under it
	}{
		{"AES encryption", op(mech.OpEncrypt, ck.CKM_AES_ECB, aes, block), true},
		{"triple DES with three keys", op(mech.OpEncrypt, ck.CKM_DES3_ECB, des3, block), true},
		{"triple DES with two keys", op(mech.OpEncrypt, ck.CKM_DES3_ECB, des2, block), false},
		{"an HMAC key shorter than half the digest", op(mech.OpSign, ck.CKM_SHA256_HMAC, short, block), false},
		{"RSA with SHA-256", op(mech.OpSign, ck.CKM_SHA256_RSA_PKCS, rsa, block), true},
		{"RSA with SHA-1", op(mech.OpSign, ck.CKM_SHA1_RSA_PKCS, rsa, block), false},
		{"RSA of 1024 bits", op(mech.OpSign, ck.CKM_SHA256_RSA_PKCS, weak, block), false},
		{"raw RSA", op(mech.OpSign, ck.CKM_RSA_X_509, rsa, make([]byte, 256)), false},
		{"PKCS#1 v1.5 decryption", op(mech.OpDecrypt, ck.CKM_RSA_PKCS, rsa, make([]byte, 256)), false},
		{"PKCS#1 v1.5 encryption with a public key", op(mech.OpEncrypt, ck.CKM_RSA_PKCS, pub, block), true},
		{"SHA-1 verification with a public key", op(mech.OpVerify, ck.CKM_SHA1_RSA_PKCS, pub, block), true},
		{"ECDSA on P-256", op(mech.OpSign, ck.CKM_ECDSA, ec, digest), true},
		{"ECDSA with SHA-1", op(mech.OpSign, ck.CKM_ECDSA_SHA1, ec, block), false},
		{"EdDSA", op(mech.OpSign, ck.CKM_EDDSA, ed, block), true},
		{"an AES key that encrypts", generate(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_WRAP, false), ck.Bool(ck.CKA_UNWRAP, false)), true},
		{"an AES key that wraps and decrypts", generate(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_WRAP, true)), false},
		{"an RSA key of 2048 bits that signs", pair(2048, signOnly...), true},
		{"an RSA key of 1024 bits", pair(1024, signOnly...), false},
		{"a key that is retained", retain(ec), true},
		{"a weak key that is retained", retain(weak), false},
	}
	for _, profile := range []string{"compatible", "strict"} {
		u.policy.Store(newPolicy(command.Profiles[profile]))
		for _, row := range rows {
			err := row.do()
			if refused := errors.Is(err, ck.CKR_IBM_STATIC_POLICY); refused != (profile == "strict" && !row.strict) {
				t.Errorf("%s under %s: %v", row.name, profile, err)
			}
		}
	}
}

func TestSingleControlPoints(t *testing.T) {
	plain, err := New(Config{Name: "a", MasterKey: make(ck.Secret, 32)})
	if err != nil {
		t.Fatal(err)
	}
	u := policyUnit{plain, t}
	aes := u.secret(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32))
	kek := u.secret(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true))
	target := u.secret(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_EXTRACTABLE, true))
	_, ec := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, oid(1, 2, 840, 10045, 3, 1, 7)))
	_, bls := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Bytes(ck.CKA_EC_PARAMS, []byte(nameBLS)))
	_, mldsa := u.pair(ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_44))
	kemPub, kemPriv := u.pair(ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_512))
	kem := func(key unit.Blob, p mech.Kyber) func() error {
		return func() error {
			p.KDF = ck.CKD_NULL
			_, err := u.DeriveKey(t.Context(), mech.Mechanism{Type: ck.CKM_ML_KEM, Param: &p}, key, nil, nil)
			return err
		}
	}
	encapsulate := kem(kemPub, mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE})
	decapsulate := kem(kemPriv, mech.Kyber{Mode: ck.CK_IBM_KEM_DECAPSULATE, CipherText: make([]byte, 768)})
	for _, row := range []struct {
		off command.ControlPoint
		do  func() error
	}{
		{command.XCP_CPB_ALG_PQC, encapsulate},
		{command.XCP_CPB_ALG_PQC, decapsulate},
		{command.XCP_CPB_DERIVE, encapsulate},
		{command.XCP_CPB_DERIVE, decapsulate},
		{command.XCP_CPB_ALG_PQC, func() error {
			_, err := u.Single(t.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ML_DSA}, mldsa, unit.Input{Data: make([]byte, 32)})
			return err
		}},
		{command.XCP_CPB_ALG_PQC, func() error {
			_, _, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_IBM_KYBER}, ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, oid(1, 3, 6, 1, 4, 1, 2, 267, 5, 3, 3))}, nil)
			return err
		}},
		{command.XCP_CPB_ALG_EC_PAIRING_FRIENDLY, func() error {
			m := mech.Mechanism{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: mech.ECSGBLS}}
			_, err := u.Single(t.Context(), mech.OpSign, m, bls, unit.Input{Data: make([]byte, 32)})
			return err
		}},
		{command.XCP_CPB_ALG_EC_PAIRING_FRIENDLY, func() error {
			_, _, err := u.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(nameBLS))}, nil)
			return err
		}},
		{command.XCP_CPB_ENCRYPT_SYMM, func() error {
			_, err := u.Single(t.Context(), mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_ECB}, aes, unit.Input{Data: make([]byte, 16)})
			return err
		}},
		{command.XCP_CPB_SIGN_ASYMM, func() error {
			_, err := u.Single(t.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, ec, unit.Input{Data: make([]byte, 32)})
			return err
		}},
		{command.XCP_CPB_ALG_EC_NISTCRV, func() error {
			_, err := u.Single(t.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, ec, unit.Input{Data: make([]byte, 32)})
			return err
		}},
		{command.XCP_CPB_WRAP_SYMM, func() error {
			_, err := u.WrapKey(t.Context(), mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, target, kek, nil)
			return err
		}},
		{command.XCP_CPB_KEYGEN_SYMM, func() error {
			_, err := u.GenerateKey(t.Context(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
			return err
		}},
		{command.XCP_CPB_MODIFY_OBJECTS, func() error {
			_, err := u.SetAttributes(t.Context(), aes, ck.Template{ck.Bool(ck.CKA_ENCRYPT, true)})
			return err
		}},
	} {
		t.Run(row.off.String(), func(t *testing.T) {
			u.policy.Store(nil)
			if err := row.do(); err != nil {
				t.Fatalf("with all on: %v", err)
			}
			all := command.Profiles["compatible"]
			u.policy.Store(newPolicy(all.Minus(command.SetOf(row.off))))
			if err := row.do(); !errors.Is(err, ck.CKR_IBM_STATIC_POLICY) {
				t.Errorf("with it off: %v", err)
			}
		})
	}
}

// TestThePolicysMechanisms: what is off for every type of key disappears from the list.
func TestThePolicysMechanisms(t *testing.T) {
	u, err := New(Config{Name: "a", MasterKey: make(ck.Secret, 32)})
	if err != nil {
		t.Fatal(err)
	}
	listed := func(m ck.MechanismType) bool {
		return slices.ContainsFunc(u.Mechanisms(), func(r *mech.Row) bool { return r.Type == m })
	}
	aes := policyUnit{u, t}.secret(ck.CKM_AES_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 32))
	all := command.Profiles["compatible"]
	for _, row := range []struct {
		off        command.ControlPoint
		gone, stay ck.MechanismType
	}{
		{command.XCP_CPB_ALG_PQC, ck.CKM_IBM_DILITHIUM, ck.CKM_RSA_PKCS},
		{command.XCP_CPB_ALG_PQC, ck.CKM_ML_KEM, ck.CKM_ECDSA},
		{command.XCP_CPB_ALG_DSA, ck.CKM_DSA_SHA1, ck.CKM_AES_CBC},
		{command.XCP_CPB_ALG_EC_25519, ck.CKM_EDDSA, ck.CKM_ECDH1_DERIVE},
		{command.XCP_CPB_BTC, ck.CKM_IBM_BTC_DERIVE, ck.CKM_ECDH1_DERIVE},
		{command.XCP_CPB_ALG_RSA, ck.CKM_RSA_PKCS_OAEP, ck.CKM_AES_CBC},
	} {
		u.policy.Store(newPolicy(all.Minus(command.SetOf(row.off))))
		if listed(row.gone) || !listed(row.stay) {
			t.Errorf("%v is off: %v is listed: %v, %v: %v", row.off, row.gone, listed(row.gone), row.stay, listed(row.stay))
		}
		unittest.Refusals(t, u, aes)
	}
}
