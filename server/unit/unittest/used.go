package unittest

import (
	"context"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Used holds the mechanisms that the suite's tests had a unit work with,
// successfully. As each test compares with published vectors or with another
// implementation, what is missing here is unchecked.
type Used struct {
	mu   sync.Mutex
	seen map[ck.MechanismType]bool
	// partly: go test -run chose among the tests.
	partly bool
}

func (u *Used) note(m mech.Mechanism, err error) {
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[m.Type] = true
}

// Unchecked are the mechanisms of a unit that no test used. Nobody knows them
// if not all tests ran.
func (u *Used) Unchecked(all []*mech.Row) (left []ck.MechanismType) {
	if u.partly {
		return nil
	}
	for _, row := range all {
		if !u.seen[row.Type] {
			left = append(left, row.Type)
		}
	}
	return left
}

// watched is a unit that notes which mechanisms it is used with.
type watched struct {
	unit.Unit
	used *Used
}

func (w *watched) Single(ctx context.Context, op mech.Op, m mech.Mechanism, key unit.Blob, in unit.Input) ([]byte, error) {
	out, err := w.Unit.Single(ctx, op, m, key, in)
	w.used.note(m, err)
	return out, err
}

func (w *watched) GenerateKey(ctx context.Context, m mech.Mechanism, t ck.Template) (unit.Key, error) {
	k, err := w.Unit.GenerateKey(ctx, m, t)
	w.used.note(m, err)
	return k, err
}

func (w *watched) GenerateKeyPair(ctx context.Context, m mech.Mechanism, pub, priv ck.Template) (unit.Key, unit.Key, error) {
	p, q, err := w.Unit.GenerateKeyPair(ctx, m, pub, priv)
	w.used.note(m, err)
	return p, q, err
}

func (w *watched) WrapKey(ctx context.Context, m mech.Mechanism, key, kek, mac unit.Blob) ([]byte, error) {
	out, err := w.Unit.WrapKey(ctx, m, key, kek, mac)
	w.used.note(m, err)
	return out, err
}

func (w *watched) UnwrapKey(ctx context.Context, m mech.Mechanism, wrapped []byte, kek, mac unit.Blob, t ck.Template) (unit.Key, error) {
	k, err := w.Unit.UnwrapKey(ctx, m, wrapped, kek, mac, t)
	w.used.note(m, err)
	return k, err
}

func (w *watched) DeriveKey(ctx context.Context, m mech.Mechanism, base unit.Blob, data []byte, t ck.Template) (unit.Key, error) {
	k, err := w.Unit.DeriveKey(ctx, m, base, data, t)
	w.used.note(m, err)
	return k, err
}
