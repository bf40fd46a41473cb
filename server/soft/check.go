package soft

import (
	"bytes"
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Check seals, opens and uses a key of its own: the path that all calls take.
func (u *Unit) Check(ctx context.Context) error {
	if u.dev != nil {
		return u.checkDevice(ctx)
	}
	k := &key{class: ck.CKO_SECRET_KEY, typ: ck.CKK_AES, gen: notGenerated, bits: unit.BitSign, value: make(ck.Secret, 32)}
	b, err := u.seal(k)
	if err != nil {
		return err
	}
	opened, err := u.openBlob(b)
	if err != nil {
		return err
	}
	m := mech.Mechanism{Type: ck.CKM_SHA256_HMAC}
	mac, err := engines[m.Type].hash(opened, m)
	if err != nil {
		return err
	}
	if sum := mac.Sum(nil); len(sum) != 32 {
		return fmt.Errorf("crypto unit %s: self-test: %w", u.name, ck.CKR_DEVICE_ERROR)
	}
	return ctx.Err()
}

// checkDevice makes a key, which is wrapped, unwraps it and uses it.
func (u *Unit) checkDevice(ctx context.Context) error {
	k, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		return err
	}
	opened, err := u.openBlob(k.Blob)
	if err != nil {
		return err
	}
	defer opened.remote.drop()
	out, err := opened.remote.object().Crypt(mech.Mechanism{Type: ck.CKM_AES_ECB}, mech.OpEncrypt, make([]byte, 16))
	if err == nil && !bytes.Equal(out[:3], k.CheckSum) {
		err = fmt.Errorf("crypto unit %s: self-test: %w", u.name, ck.CKR_DEVICE_ERROR)
	}
	return err
}
