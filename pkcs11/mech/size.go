package mech

import (
	"fmt"

	"grep11/pkcs11/ck"
)

func unknown(t ck.MechanismType) error {
	return fmt.Errorf("mechanism %v: %w", t, ck.CKR_MECHANISM_INVALID)
}
