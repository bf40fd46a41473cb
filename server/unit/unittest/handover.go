package unittest

import (
	"bytes"
	"errors"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testHandover goes on with an operation on another unit after each part, for
// every kind of state; a state that was altered or cut, or is another function's,
// is refused by both.
func testHandover(t *testing.T, k *kit, other unit.Unit) {
	aes, err := k.secret(ck.CKK_AES, countUp(0, 32))
	if err != nil {
		t.Fatal(err)
	}
	iv := mech.IV(countUp(0, 16))
	for _, c := range []struct {
		op   mech.Op
		mech mech.Mechanism
	}{
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: iv}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CTR, Param: &mech.CTR{Bits: 64, Block: [16]byte(iv)}}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_GCM, Param: &mech.GCM{IV: iv[:12], TagBits: 128}}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CCM, Param: &mech.CCM{DataLen: uint64(len(text)), Nonce: iv[:12], MACLen: 8}}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_OFB, Param: iv}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CFB1, Param: iv}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CFB64, Param: iv}},
		{mech.OpEncrypt, mech.Mechanism{Type: ck.CKM_AES_CTS, Param: iv}},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_SHA256_HMAC}},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_SHA3_256_HMAC_GENERAL, Param: &mech.MACLen{Bytes: 9}}},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_AES_CMAC}},
		{mech.OpSign, mech.Mechanism{Type: ck.CKM_AES_GMAC, Param: &mech.GCM{IV: iv[:12], TagBits: 128}}},
	} {
		if !k.has(c.mech.Type) {
			continue
		}
		want, err := k.Single(ctx, c.op, c.mech, aes.Blob, unit.Input{Data: text})
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.between(other, c.op, c.mech, aes.Blob, text)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v on two units: %x, %v", c.mech, got, err)
		}
		k.testSpoiltState(t, other, c.op, c.mech, aes.Blob)
	}
}

// between does parts on two units in turn.
func (k *kit) between(other unit.Unit, op mech.Op, m mech.Mechanism, key unit.Blob, data []byte) ([]byte, error) {
	s, err := k.Init(ctx, op, m, key)
	if err != nil {
		return nil, err
	}
	units := []unit.Unit{other, k.Unit}
	var out []byte
	for i, n := 0, 5; len(data) > 0; i, n = i+1, n+8 {
		n = min(n, len(data))
		var part []byte
		if part, s, err = units[i%2].Update(ctx, op, s, data[:n]); err != nil {
			return nil, err
		}
		out, data = append(out, part...), data[n:]
	}
	last, err := other.Finish(ctx, op, s, unit.Input{}, false)
	return append(out, last...), err
}

func (k *kit) testSpoiltState(t *testing.T, other unit.Unit, op mech.Op, m mech.Mechanism, key unit.Blob) {
	t.Helper()
	s, err := k.Init(ctx, op, m, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, s, err = k.Update(ctx, op, s, text[:9]); err != nil {
		t.Fatal(err)
	}
	for _, u := range []unit.Unit{k.Unit, other} {
		if _, _, err := u.Update(ctx, mech.OpDigest, s, text); !errors.Is(err, ck.CKR_OPERATION_NOT_INITIALIZED) {
			t.Errorf("%v, as a digest: %v", m, err)
		}
		for _, i := range []int{0, len(s) / 2, len(s) - 1} {
			bad := bytes.Clone(s)
			bad[i] ^= 0x20
			if _, err := u.Finish(ctx, op, bad, unit.Input{}, false); !errors.Is(err, ck.CKR_SAVED_STATE_INVALID) && !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
				t.Errorf("%v, a bit of byte %d: %v", m, i, err)
			}
			if _, err := u.Finish(ctx, op, s[:i], unit.Input{}, false); !errors.Is(err, ck.CKR_SAVED_STATE_INVALID) {
				t.Errorf("%v, cut to %d bytes: %v", m, i, err)
			}
		}
	}
}
