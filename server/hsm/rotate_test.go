package hsm

import (
	"bytes"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// rotating gives a unit with a next master key.
func rotating(t *testing.T) (Config, *Unit) {
	c := testConfig(t)
	next := c
	next.MasterKey = "next"
	if err := Create(next); err != nil {
		t.Fatal(err)
	}
	c.NextMasterKey = "next"
	return c, openUnit(t, c)
}

// TestAMasterKeyIsReplaced: keys that nobody may wrap are wrapped again inside the
// HSM, and open then without the old master key.
func TestAMasterKeyIsReplaced(t *testing.T) {
	c, u := rotating(t)
	old := c
	old.NextMasterKey = ""
	before := openUnit(t, old)
	pub, priv := newKey(t, before)
	aes, err := before.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{
		ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_EXTRACTABLE, false), ck.Bool(ck.CKA_ENCRYPT, true)})
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(u *Unit, b unit.Blob) ([]byte, error) {
		return u.Single(ctx, mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_ECB}, b, unit.Input{Data: make([]byte, 16)})
	}
	want, err := encrypt(u, aes.Blob)
	if err != nil {
		t.Fatal("the old master key's keys while there are two:", err)
	}
	sealed := map[string]unit.Blob{}
	for name, b := range map[string]unit.Blob{"public": pub, "private": priv, "aes": aes.Blob} {
		if sealed[name], err = u.Rewrap(ctx, b); err != nil {
			t.Fatal(name, err)
		}
	}
	if err := u.SealAhead(u.CommittedKey()); err != nil {
		t.Fatal(err)
	}
	madePub, madePriv := newKey(t, u) // under the next one already
	changed, err := u.SetAttributes(ctx, aes.Blob, ck.Template{ck.Bool(ck.CKA_ENCRYPT, true)})
	if err != nil {
		t.Fatal(err)
	}

	c.MasterKey, c.NextMasterKey = "next", ""
	after := openUnit(t, c)
	for _, u := range []*Unit{u, after} {
		if err := signs(u, u, sealed["public"], sealed["private"]); err != nil {
			t.Error(err)
		}
		if err := signs(u, u, madePub, madePriv); err != nil {
			t.Error("made during the change:", err)
		}
		for _, b := range []unit.Blob{sealed["aes"], changed.Blob} {
			if got, err := encrypt(u, b); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x instead of %x, %v", got, want, err)
			}
		}
	}
	if _, err := encrypt(after, aes.Blob); !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
		t.Error("the old master key's key opens without it:", err)
	}
	if _, err := before.Rewrap(ctx, aes.Blob); err == nil {
		t.Error("a unit without a next master key rewraps")
	}
	if t.Failed() {
		return
	}
	if got, err := after.WrappingKey(); err != nil || !bytes.Equal(got, u.CommittedKey()) {
		t.Errorf("pattern %x instead of %x, %v", got, u.CommittedKey(), err)
	}
}

func TestANextMasterKeyThatIsNotThere(t *testing.T) {
	c := testConfig(t)
	c.NextMasterKey = "missing"
	u, err := Open(c)
	if u != nil {
		defer u.Close()
	}
	if !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) {
		t.Error(err)
	}
}
