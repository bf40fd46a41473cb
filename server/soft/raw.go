package soft

import (
	"fmt"
	"runtime"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/libcrypto"
	"grep11/server/unit"
)

// Key agreements whose result leaves wrapped, in place of a new key. The format
// is ours (ext.proto).
func init() {
	provide(engine{derive: leavesWrapped(deriveECDH)}, ck.CKM_IBM_ECDH1_DERIVE_RAW)
	provide(engine{derive: onCurve("curve25519", leavesWrapped(deriveECDH))}, ck.CKM_IBM_EC_X25519_RAW)
	provide(engine{derive: onCurve("x448", leavesWrapped(deriveECDH))}, ck.CKM_IBM_EC_X448_RAW)
	if libcrypto.Available {
		provide(engine{derive: leavesWrapped(deriveDH)}, ck.CKM_IBM_DH_PKCS_DERIVE_RAW)
	}
}

func leavesWrapped(agree deriveFunc) deriveFunc {
	return func(u *Unit, k *key, m mech.Mechanism, data []byte, t ck.Template) (derived, error) {
		if err := k.onlyKeys(m); err != nil {
			return derived{}, err
		}
		kwp := mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}
		if len(data) == 0 {
			return derived{}, fmt.Errorf("%v without a key to wrap with: %w", m.Type, ck.CKR_ARGUMENTS_BAD)
		}
		w, err := u.wrapping(kwp, unit.Blob(data), unit.BitWrap, ck.CKF_WRAP)
		if err != nil {
			return derived{}, err
		}
		defer runtime.KeepAlive(w.kek)
		d, err := agree(u, k, m, nil, t)
		if err != nil {
			return derived{}, err
		}
		defer d.key.value.Wipe()
		out, err := cryptKWP(w.kek, kwp, mech.OpEncrypt, d.key.value)
		return derived{wrapped: out}, err
	}
}
