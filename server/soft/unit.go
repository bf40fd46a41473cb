package soft

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin"
	"grep11/server/unit"
)

// maxRandom is the documented bound of GenerateRandom (grep11-wire 2.1).
const maxRandom = 1_000_000

// Config describes a unit that keeps nothing on disk.
type Config struct {
	Name string
	// MasterKey is the wrapping key, unit.LenWrappingKey bytes; none: the
	// register is empty and only what needs no key works.
	MasterKey ck.Secret
	// CacheKeys is how many opened keys the unit keeps, 0 for the default.
	CacheKeys int
	// Log is for what the unit's administration does; nil: the program's own.
	Log *slog.Logger
}

const defaultCacheKeys = 10_000

// Unit is an emulated crypto unit.
type Unit struct {
	name     string
	keys     *keyCache
	domain   *admin.Domain // nil: a unit in memory
	auditLog *admin.Log    // of the domain
	policy   atomic.Pointer[policy]
	dev      Device // nil: keys are in memory
	inMemory bool   // keys may pass it for what the device cannot do
	registers
}

var _ unit.Unit = (*Unit)(nil)

// New makes a unit in memory.
func New(c Config) (*Unit, error) {
	if c.CacheKeys == 0 {
		c.CacheKeys = defaultCacheKeys
	}
	u := &Unit{name: c.Name, keys: newKeyCache(c.CacheKeys)}
	return u, u.Install(Registers{Current: slices.Clone(c.MasterKey)})
}

func (u *Unit) Name() string { return u.name }

// Mechanisms are the rows that have an engine and that the policy leaves: all,
// but for those that a build without libcrypto lacks.
func (u *Unit) Mechanisms() []*mech.Row {
	all := mech.All()
	rows := make([]*mech.Row, 0, len(all))
	for i := range all {
		if row := u.listed(&all[i]); row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// listed is a mechanism's row as the list has it, nil if it has not.
func (u *Unit) listed(row *mech.Row) *mech.Row {
	if u.engine(row.Type) == nil || !u.policy.Load().lists(row) {
		return nil
	}
	return u.offered(row)
}

// WrappingKey is the current wrapping key's verification pattern.
func (u *Unit) WrappingKey() ([]byte, error) {
	wk, err := u.current()
	if err != nil {
		return nil, err
	}
	return wk.Pattern(), nil
}

func (u *Unit) GenerateRandom(_ context.Context, n int) ([]byte, error) {
	if n <= 0 || n > maxRandom {
		return nil, fmt.Errorf("%d random bytes, not 1 to %d: %w", n, maxRandom, ck.CKR_ARGUMENTS_BAD)
	}
	b := make([]byte, n)
	rand.Read(b)
	return b, nil
}

// Close forgets the wrapping keys and all opened keys.
func (u *Unit) Close() error { return errors.Join(u.Install(Registers{}), u.auditLog.Close()) }
