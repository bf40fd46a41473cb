package unittest

import (
	"context"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

var ctx = context.Background()

// kit is a unit under test with a key to import others with.
type kit struct {
	unit.Unit
	kek    unit.Blob
	listed map[ck.MechanismType]*mech.Row
}

var (
	zeroIV  = mech.IV(make([]byte, 16))
	cbcPad  = mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: zeroIV}
	allUses = ck.Template{
		ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true),
		ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true),
		ck.Bool(ck.CKA_ENCAPSULATE, true), ck.Bool(ck.CKA_DECAPSULATE, true),
	}
)

func newKit(t testing.TB, u unit.Unit) *kit {
	t.Helper()
	kek, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, allUses.Set(ck.Ulong(ck.CKA_VALUE_LEN, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return kitOf(u, kek.Blob)
}

func kitOf(u unit.Unit, kek unit.Blob) *kit {
	k := &kit{Unit: u, kek: kek, listed: map[ck.MechanismType]*mech.Row{}}
	for _, row := range u.Mechanisms() {
		k.listed[row.Type] = row
	}
	return k
}

func (k *kit) has(m ck.MechanismType) bool { return k.listed[m] != nil }

// secret imports a clear secret key as the library does: encrypted by the unit,
// then unwrapped.
func (k *kit) secret(typ ck.KeyType, value []byte, more ...ck.Attribute) (unit.Key, error) {
	return k.wrapped(value, append(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, typ)}, more...))
}

// private imports a PKCS#8 key.
func (k *kit) private(typ ck.KeyType, pkcs8 []byte, more ...ck.Attribute) (unit.Key, error) {
	return k.wrapped(pkcs8, append(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, typ)}, more...))
}

func (k *kit) wrapped(value []byte, t ck.Template) (unit.Key, error) {
	c, err := k.Single(ctx, mech.OpEncrypt, cbcPad, k.kek, unit.Input{Data: value})
	if err != nil {
		return unit.Key{}, err
	}
	return k.UnwrapKey(ctx, cbcPad, c, k.kek, nil, allUses.With(t))
}

// public imports a SubjectPublicKeyInfo.
func (k *kit) public(spki []byte) (unit.Key, error) {
	return k.UnwrapKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_TRANSPORTKEY}, spki, nil, nil, allUses)
}

func (k *kit) sign(m mech.Mechanism, key unit.Blob, data []byte) ([]byte, error) {
	return k.Single(ctx, mech.OpSign, m, key, unit.Input{Data: data})
}

func (k *kit) verify(m mech.Mechanism, key unit.Blob, data, sig []byte) error {
	_, err := k.Single(ctx, mech.OpVerify, m, key, unit.Input{Data: data, Signature: sig})
	return err
}

// value reads a key that a derivation made readable.
func (k *kit) value(t testing.TB, b unit.Blob) []byte {
	t.Helper()
	a, err := k.Attributes(ctx, b, []ck.AttributeType{ck.CKA_VALUE})
	if err != nil {
		t.Fatal(err)
	}
	return a.Bytes(ck.CKA_VALUE)
}

// readable are the attributes of a secret whose value may be read.
func readable(n int) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Ulong(ck.CKA_VALUE_LEN, n),
		ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}
}
