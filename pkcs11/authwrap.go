package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Key wrapping with associated data, new in PKCS#11 v3.2 §5.18: wrapping by an
// AEAD whose parameter gets the data.

// WrapKeyAuthenticated is C_WrapKeyAuthenticated.
func (m *Module) WrapKeyAuthenticated(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek, key ck.ObjectHandle, aad []byte, out *Output) error {
	mechanism, err := withData(mechanism, aad)
	if err != nil {
		return m.in(h, func(*session) error { return err })
	}
	return m.WrapKey(ctx, h, mechanism, kek, key, out)
}

// UnwrapKeyAuthenticated is C_UnwrapKeyAuthenticated.
func (m *Module) UnwrapKeyAuthenticated(ctx context.Context, h ck.SessionHandle, mechanism mech.Mechanism, kek ck.ObjectHandle, wrapped []byte, t ck.Template, aad []byte) (ck.ObjectHandle, error) {
	mechanism, err := withData(mechanism, aad)
	if err != nil {
		return 0, m.in(h, func(*session) error { return err })
	}
	return m.UnwrapKey(ctx, h, mechanism, kek, wrapped, t)
}

// withData puts associated data into an AEAD's parameter, where there is none yet.
func withData(m mech.Mechanism, aad []byte) (mech.Mechanism, error) {
	var place *[]byte
	switch p := m.Param.(type) {
	case *mech.GCM:
		with := *p
		place, m.Param = &with.AAD, &with
	case *mech.CCM:
		with := *p
		place, m.Param = &with.AAD, &with
	case *mech.ChaCha:
		with := *p
		place, m.Param = &with.AAD, &with
	default:
		if m.Param == nil && takesData(m.Type) {
			return m, nil // refused where the parameter is found missing
		}
		return m, fmt.Errorf("%v takes no associated data: %w", m, ck.CKR_MECHANISM_INVALID)
	}
	if len(*place) > 0 {
		return m, fmt.Errorf("%v: associated data in the parameter, too: %w", m, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	*place = aad
	return m, nil
}

func takesData(t ck.MechanismType) bool {
	row, err := mech.Lookup(t)
	return err == nil && (row.Param == mech.ParamGCM || row.Param == mech.ParamCCM || row.Param == mech.ParamChaCha)
}
