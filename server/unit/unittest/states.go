package unittest

import (
	"bytes"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testStates: section 12 of grep11-wire.
func testStates(t *testing.T, k *kit, other unit.Unit) {
	sha := mech.Mechanism{Type: ck.CKM_SHA256}
	start := func(op mech.Op, m mech.Mechanism, key unit.Blob) unit.State {
		t.Helper()
		s, err := k.Init(ctx, op, m, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start(mech.OpDigest, sha, nil)
	want, err := k.Single(ctx, mech.OpDigest, sha, nil, unit.Input{Data: text})
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := k.Update(ctx, mech.OpDigest, s, text[:64])
	if err != nil {
		t.Fatal(err)
	}
	if _, next, err = other.Update(ctx, mech.OpDigest, next, text[64:]); err != nil {
		t.Fatalf("another unit does not continue: %v", err)
	}
	for range 2 { // a state may be used again
		if got, err := k.Finish(ctx, mech.OpDigest, next, unit.Input{}, false); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v", got, err)
		}
	}
	if got, err := k.Finish(ctx, mech.OpDigest, s, unit.Input{Data: text}, true); err != nil || !bytes.Equal(got, want) {
		t.Errorf("in one part: %x, %v", got, err)
	}
	if _, err := k.Finish(ctx, mech.OpDigest, next, unit.Input{Data: text}, true); !errors.Is(err, ck.CKR_OPERATION_ACTIVE) {
		t.Errorf("one part after an update: %v", err)
	}
	if _, err := k.Finish(ctx, mech.OpSign, s, unit.Input{}, false); !errors.Is(err, ck.CKR_OPERATION_NOT_INITIALIZED) {
		t.Errorf("a digest's state to sign with: %v", err)
	}
	testBadStates(t, k, s)
	testSealedRights(t, k)
	testDigestKey(t, k)
}

func testBadStates(t *testing.T, k *kit, s unit.State) {
	use := func(s unit.State) error { _, _, err := k.Update(ctx, mech.OpDigest, s, text); return err }
	for i := range s {
		bad := bytes.Clone(s)
		bad[i] ^= 1
		if err := use(bad); !errors.Is(err, ck.CKR_SAVED_STATE_INVALID) && !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
			t.Errorf("bit of byte %d flipped: %v", i, err)
		}
		if err := use(s[:i]); !errors.Is(err, ck.CKR_SAVED_STATE_INVALID) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

// testSealedRights: what has no parts says so, and no state releases key or plaintext.
func testSealedRights(t *testing.T, k *kit) {
	_, priv := k.ec(t, "P-256")
	s, err := k.Init(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Update(ctx, mech.OpSign, s, text); !errors.Is(err, ck.CKR_OPERATION_NOT_INITIALIZED) {
		t.Errorf("ECDSA in parts: %v", err)
	}
	if _, err := k.Finish(ctx, mech.OpSign, s, unit.Input{Data: text}, true); err != nil {
		t.Errorf("ECDSA in one part: %v", err)
	}
	if _, err := k.Init(ctx, mech.OpDecrypt, mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: zeroIV}, priv.Blob); !errors.Is(err, ck.CKR_KEY_TYPE_INCONSISTENT) {
		t.Errorf("AES with an EC key: %v", err)
	}
	if _, err := k.Init(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: zeroIV}, priv.Blob); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
		t.Errorf("sign with AES-CBC: %v", err)
	}
}

func testDigestKey(t *testing.T, k *kit) {
	sha := mech.Mechanism{Type: ck.CKM_SHA256}
	key, err := k.secret(ck.CKK_GENERIC_SECRET, text[:30])
	if err != nil {
		t.Fatal(err)
	}
	s, err := k.Init(ctx, mech.OpDigest, sha, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = k.DigestKey(ctx, s, key.Blob); err != nil {
		t.Fatal(err)
	}
	got, err := k.Finish(ctx, mech.OpDigest, s, unit.Input{}, false)
	want, _ := k.Single(ctx, mech.OpDigest, sha, nil, unit.Input{Data: text[:30]})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
	_, priv := k.ec(t, "P-256")
	if _, err := k.DigestKey(ctx, s, priv.Blob); !errors.Is(err, ck.CKR_KEY_INDIGESTIBLE) {
		t.Errorf("digest of a private key: %v", err)
	}
}
