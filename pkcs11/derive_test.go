package pkcs11_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var secp256k1 = []byte{6, 5, 0x2b, 0x81, 4, 0, 10}

// step derives a key of a tree and gives its chain code.
func (u *user) step(kind uint64, index uint64, from ck.ObjectHandle, chain []byte, t ck.Template) (ck.ObjectHandle, []byte) {
	u.t.Helper()
	p := &mech.BTC{Type: kind, Index: index, ChainCode: chain, Version: 1}
	t = t.With(ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, secp256k1), ck.Ulong(ck.CKA_VALUE_LEN, 0),
		ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true)})
	made, err := u.m.DeriveKey(u.t.Context(), u.h, mechanism(ck.CKM_IBM_BTC_DERIVE, p), from, t)
	if err != nil {
		u.t.Fatal(err)
	}
	u.shows(made, p.ChainCode)
	return made, p.ChainCode
}

// shows: the object and its copies tell the chain code.
func (u *user) shows(key ck.ObjectHandle, chain []byte) {
	u.t.Helper()
	all := []ck.ObjectHandle{key}
	for _, token := range []bool{false, true} {
		c, err := u.m.CopyObject(u.t.Context(), u.h, key, ck.Template{ck.Bool(ck.CKA_TOKEN, token), ck.Bytes(ck.CKA_LABEL, []byte("copy"))})
		if err != nil {
			u.t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, o := range all {
		if shown, err := u.get(o, ck.CKA_CHECK_VALUE); err != nil || !bytes.Equal(shown, chain) {
			u.t.Errorf("CKA_CHECK_VALUE is %x for the chain code %x, %v", shown, chain, err)
		}
	}
}

// TestTree goes down a tree of BIP32 by both ways, from the seed of the
// standard's first test vector.
func TestTree(t *testing.T) {
	u := start(t)
	seed, err := u.m.CreateObject(t.Context(), u.h, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Bytes(ck.CKA_VALUE, unhex(t, "000102030405060708090a0b0c0d0e0f")), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true)})
	if err != nil {
		t.Fatal(err)
	}
	root, chain := u.step(ck.CK_IBM_BIP0032_MASTERK, 0, seed, nil, nil)
	if want := unhex(t, "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508"); !bytes.Equal(chain, want) {
		t.Errorf("the root's chain code is %x", chain)
	}
	private, chainP := u.step(ck.CK_IBM_BIP0032_PRV2PRV, 1<<31, root, chain, ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_TOKEN, true)})
	public, chainQ := u.step(ck.CK_IBM_BIP0032_PRV2PUB, 1<<31, root, chain, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Bool(ck.CKA_VERIFY, true)})
	if want := unhex(t, "47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141"); !bytes.Equal(chainP, want) || !bytes.Equal(chainQ, want) {
		t.Errorf("chain codes of the halves: %x and %x", chainP, chainQ)
	}
	u.fits(t, private, public)
	child, _ := u.step(ck.CK_IBM_BIP0032_PRV2PRV, 1, private, chainP, ck.Template{ck.Bool(ck.CKA_SIGN, true)})
	other, _ := u.step(ck.CK_IBM_BIP0032_PUB2PUB, 1, public, chainQ, ck.Template{ck.Bool(ck.CKA_VERIFY, true), ck.Bool(ck.CKA_TOKEN, true)})
	u.fits(t, child, other)

	_, err = u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_IBM_BTC_DERIVE, &mech.BTC{Type: ck.CK_IBM_BIP0032_PRV2PUB, ChainCode: chain, Version: 1}), root,
		ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC)})
	wants(t, "a private key where a public one is made", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_IBM_BTC_DERIVE, &mech.BTC{Type: ck.CK_IBM_BIP0032_PUB2PUB, ChainCode: chain, Version: 1}), root, nil)
	wants(t, "a private key for a public one", err, ck.CKR_KEY_TYPE_INCONSISTENT)
}

// fits signs with one key and verifies with the other.
func (u *user) fits(t *testing.T, private, public ck.ObjectHandle) {
	t.Helper()
	m, digest := mechanism(ck.CKM_ECDSA), make([]byte, 32)
	sig, err := u.sign(m, private, digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.m.VerifyInit(t.Context(), u.h, &m, public); err != nil {
		t.Fatal(err)
	}
	if err := u.m.Verify(t.Context(), u.h, digest, sig); err != nil {
		t.Error(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
