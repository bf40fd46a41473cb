package soft

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Check seals, opens and uses a key of its own: the path that all calls take.
func (u *Unit) Check(ctx context.Context) error {
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
