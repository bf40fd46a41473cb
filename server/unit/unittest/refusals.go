package unittest

import (
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// uses are the functions of a unit, each with the flags of which a mechanism
// needs one.
var uses = []struct {
	name string
	flag ck.Flags
	call func(k *kit, m mech.Mechanism) error
}{
	{"encrypt", ck.CKF_ENCRYPT, single(mech.OpEncrypt)},
	{"begin to encrypt", ck.CKF_ENCRYPT, begin(mech.OpEncrypt)},
	{"decrypt", ck.CKF_DECRYPT, single(mech.OpDecrypt)},
	{"begin to decrypt", ck.CKF_DECRYPT, begin(mech.OpDecrypt)},
	{"digest", ck.CKF_DIGEST, single(mech.OpDigest)},
	{"sign", ck.CKF_SIGN, single(mech.OpSign)},
	{"begin to sign", ck.CKF_SIGN, begin(mech.OpSign)},
	{"verify", ck.CKF_VERIFY, single(mech.OpVerify)},
	{"reencrypt", ck.CKF_ENCRYPT, func(k *kit, m mech.Mechanism) error {
		_, err := k.Reencrypt(ctx, cbcPad, k.kek, m, k.kek, nil)
		return err
	}},
	{"generate", ck.CKF_GENERATE, func(k *kit, m mech.Mechanism) error {
		_, err := k.GenerateKey(ctx, m, nil)
		return err
	}},
	{"generate a pair", ck.CKF_GENERATE_KEY_PAIR, func(k *kit, m mech.Mechanism) error {
		_, _, err := k.GenerateKeyPair(ctx, m, nil, nil)
		return err
	}},
	{"wrap", ck.CKF_WRAP, func(k *kit, m mech.Mechanism) error {
		_, err := k.WrapKey(ctx, m, k.kek, k.kek, nil)
		return err
	}},
	{"unwrap", ck.CKF_UNWRAP, func(k *kit, m mech.Mechanism) error {
		_, err := k.UnwrapKey(ctx, m, nil, k.kek, nil, nil)
		return err
	}},
	{"derive", ck.CKF_DERIVE | ck.CKF_ENCAPSULATE, func(k *kit, m mech.Mechanism) error {
		_, err := k.DeriveKey(ctx, m, k.kek, nil, nil)
		return err
	}},
}

func single(op mech.Op) func(*kit, mech.Mechanism) error {
	return func(k *kit, m mech.Mechanism) error {
		_, err := k.Single(ctx, op, m, k.kek, unit.Input{})
		return err
	}
}

func begin(op mech.Op) func(*kit, mech.Mechanism) error {
	return func(k *kit, m mech.Mechanism) error {
		_, err := k.Init(ctx, op, m, k.kek)
		return err
	}
}

// Refusals is a part of Run for a unit that may make no key for all of it: key
// is an AES key.
func Refusals(t *testing.T, u unit.Unit, key unit.Blob) {
	testRefusals(t, kitOf(u, key))
}

// testRefusals: a mechanism that is not listed for a use is refused as such,
// and not because its parameter is missing; one that is, for its parameter.
func testRefusals(t *testing.T, k *kit) {
	for _, row := range mech.All() {
		m := mech.Mechanism{Type: row.Type}
		listed := k.listed[row.Type]
		for _, u := range uses {
			if m.Check() == nil && row.Use&u.flag != 0 {
				continue // needs none
			}
			want := ck.CKR_MECHANISM_PARAM_INVALID
			if listed == nil || listed.Use&u.flag == 0 {
				want = ck.CKR_MECHANISM_INVALID
			}
			if err := u.call(k, m); ck.RVOf(err) != want {
				t.Errorf("%s with %v and no parameter: %v instead of %v", u.name, row.Type, err, want)
			}
		}
	}
}
