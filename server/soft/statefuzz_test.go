package soft

import (
	"bytes"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// fuzzUnit has a fixed master key, so that blobs and states that a fuzzer kept
// open again.
func fuzzUnit(f *testing.F) *Unit { return unitWith(f, make(ck.Secret, 32)) }

func generated(f *testing.F, u *Unit) (aes, pub, priv unit.Key) {
	aes, err := u.GenerateKey(f.Context(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		f.Fatal(err)
	}
	pub, priv, err = u.GenerateKeyPair(f.Context(), mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte("P-256"))}, nil)
	if err != nil {
		f.Fatal(err)
	}
	return aes, pub, priv
}

// coded: every refusal has a code of its own, never that of a broken unit.
func coded(t *testing.T, err error) {
	t.Helper()
	if rv := ck.RVOf(err); err != nil && (rv == ck.CKR_GENERAL_ERROR || rv == ck.CKR_DEVICE_ERROR) {
		t.Errorf("%v", err)
	}
}

// FuzzBlob gives a unit arbitrary blobs; what opens is sealed and opens again.
func FuzzBlob(f *testing.F) {
	u := fuzzUnit(f)
	aes, pub, priv := generated(f, u)
	for _, b := range []unit.Blob{aes.Blob, pub.Blob, priv.Blob, pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO)} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := u.openKey(b)
		if err != nil {
			coded(t, err)
			return
		}
		defer k.release()
		again, err := u.seal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.openKey(again); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSealedKey gives what is inside a blob: what is read is written the same.
func FuzzSealedKey(f *testing.F) {
	for _, k := range []*key{{class: ck.CKO_SECRET_KEY, typ: ck.CKK_AES, gen: notGenerated, value: make(ck.Secret, 16)},
		{class: ck.CKO_PRIVATE_KEY, typ: ck.CKK_EC, gen: ck.CKM_EC_KEY_PAIR_GEN, allowed: []ck.MechanismType{ck.CKM_ECDSA}, value: make(ck.Secret, 32), spki: []byte("spki")}} {
		b, err := k.marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := unmarshalKey(0, b)
		if err != nil {
			coded(t, err)
			return
		}
		if again, err := k.marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x, %v", b, again, err)
		}
	})
}

// FuzzState gives states, sealed and not: what is read goes on and is saved.
func FuzzState(f *testing.F) {
	u := fuzzUnit(f)
	aes, pub, priv := generated(f, u)
	for _, c := range []struct {
		op   mech.Op
		mech mech.Mechanism
		key  unit.Blob
	}{
		{mech.OpDigest, mech.Mechanism{Type: ck.CKM_SHA256}, nil},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: mech.IV(make([]byte, 16))}, aes.Blob},
		{mech.OpDecrypt, mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: make([]byte, 12), TagBits: 128}}, aes.Blob},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CFB8, Param: mech.IV(make([]byte, 16))}, aes.Blob},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_SHA256_HMAC_GENERAL, Param: &mech.MACLen{Bytes: 8}}, aes.Blob},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, priv.Blob},
		{mech.OpVerify, mech.Mechanism{Type: ck.CKM_ECDSA}, pub.Blob},
	} {
		state, err := u.Init(f.Context(), c.op, c.mech, c.key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(c.op), []byte(state))
		if _, next, err := u.Update(f.Context(), c.op, state, []byte("some data")); err == nil {
			state = next
		}
		wk, err := u.current()
		if err != nil {
			f.Fatal(err)
		}
		inside, err := wk.OpenState(state)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(c.op), inside)
	}
	f.Fuzz(func(t *testing.T, op uint8, b []byte) {
		o := mech.Op(op % 5)
		_, _, err := u.Update(t.Context(), o, b, []byte("more"))
		coded(t, err)
		p, err := u.parse(o, b)
		if err != nil {
			coded(t, err)
			return
		}
		if _, err := p.update([]byte("more")); err != nil {
			coded(t, err)
			return
		}
		if _, err := u.save(p); err != nil {
			t.Error(err)
		}
	})
}
