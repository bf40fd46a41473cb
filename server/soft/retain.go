package soft

import (
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func init() {
	provide(engine{wrap: retain}, ck.CKM_IBM_RETAINKEY)
	onDevice(engine{wrap: retain}, nil, ck.CKM_IBM_RETAINKEY)
}

// ways out of the service, or to another blob, that a retained key has not.
const waysOut = unit.BitExtractable | unit.BitInsensitive | unit.BitProtkeyExtractable | unit.BitModifiable

// retain seals a key as one that does not leave any more. The blob is for the
// service to keep and not for its caller, who gets a handle.
func retain(u *Unit, m mech.Mechanism, blob, _, _ unit.Blob) ([]byte, error) {
	if _, _, err := u.engineOf(m, ck.CKF_WRAP); err != nil {
		return nil, err
	}
	k, err := u.openKey(blob)
	if err != nil {
		return nil, err
	}
	defer k.release()
	if k.class == ck.CKO_PUBLIC_KEY {
		return nil, fmt.Errorf("a public key is not retained: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	}
	if err := u.policy.Load().retains(m, k); err != nil {
		return nil, err
	}
	return u.seal(k.with(k.bits&^waysOut | unit.BitRetained))
}
