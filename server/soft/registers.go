package soft

import (
	"bytes"
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// Registers are a unit's master keys (ep11-admin 4), unit.LenWrappingKey bytes
// each or nil for empty.
type Registers struct {
	Current, Next ck.Secret
	// Committed: Next was approved. Until it is finalized, blobs under both
	// keys open, new ones are sealed under Current and Rewrap seals under Next.
	Committed bool
}

// registers hold the wrapping keys that are made of them.
type registers struct {
	mu   sync.RWMutex
	cur  *unit.WrappingKey // guarded by mu; nil: empty
	next *unit.WrappingKey // guarded by mu; nil: empty or not committed
	// ahead: new blobs are sealed under next already, because every unit of the
	// service can open them and nothing may be left behind when it is finalized.
	ahead bool // guarded by mu
}

// Install takes registers into use. It wipes what it is given.
func (u *Unit) Install(r Registers) error {
	defer r.Current.Wipe()
	defer r.Next.Wipe()
	cur, err := wrappingKey(r.Current)
	if err != nil {
		return err
	}
	var next *unit.WrappingKey
	if r.Committed {
		if next, err = wrappingKey(r.Next); err != nil {
			return err
		}
	}
	u.mu.Lock()
	u.ahead = u.ahead && next != nil && u.next != nil && next.WKID() == u.next.WKID()
	u.cur, u.next = cur, next
	u.mu.Unlock()
	u.keys.purge() // opened under a key that may be gone
	return nil
}

func wrappingKey(master ck.Secret) (*unit.WrappingKey, error) {
	if len(master) == 0 {
		return nil, nil
	}
	return unit.NewWrappingKey(master)
}

// sealing is the key that new blobs and states are sealed under.
func (r *registers) sealing() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cur != nil && r.ahead {
		return r.next, nil
	}
	return r.held()
}

func (r *registers) current() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.held()
}

// held is the current key. Caller holds r.mu.
func (r *registers) held() (*unit.WrappingKey, error) {
	if r.cur == nil {
		return nil, errNoWrappingKey
	}
	return r.cur, nil
}

// CommittedKey is the pattern of the committed next wrapping key, nil for none.
func (u *Unit) CommittedKey() []byte {
	next, err := u.committedNext()
	if err != nil {
		return nil
	}
	return next.Pattern()
}

// SealAhead seals new blobs under the committed next key of this pattern from
// now on. It is nothing that lasts: a restart ends it.
func (u *Unit) SealAhead(pattern []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.cur != nil && bytes.Equal(u.cur.Pattern(), pattern):
		return nil // finalized already
	case u.next == nil || !bytes.Equal(u.next.Pattern(), pattern):
		return fmt.Errorf("crypto unit %s has not committed the wrapping key %x: %w", u.name, pattern, ck.CKR_IBM_WKID_MISMATCH)
	}
	u.ahead = true
	return nil
}

var errNoWrappingKey = fmt.Errorf("the crypto unit has no wrapping key: load a master key: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)

// of finds the wrapping key that a blob or a state is sealed under.
func (r *registers) of(id [16]byte) (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cur == nil {
		return nil, errNoWrappingKey
	}
	if r.next != nil && r.next.WKID() == id {
		return r.next, nil
	}
	if r.cur.WKID() != id {
		return nil, fmt.Errorf("sealed under wrapping key %x, the unit has %x: %w", id, r.cur.WKID(), ck.CKR_IBM_WKID_MISMATCH)
	}
	return r.cur, nil
}

// committedNext is the key that blobs are to be rewrapped under.
func (r *registers) committedNext() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.next == nil {
		return nil, fmt.Errorf("no new wrapping key is committed: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	return r.next, nil
}
