package soft

import (
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

func (r *registers) current() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cur == nil {
		return nil, errNoWrappingKey
	}
	return r.cur, nil
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

// A unit that no domain administers keeps its registers so in its folder: a
// mark and, for each register, 0 if it is empty, 1 full, 2 full and committed,
// and its key.
const registersMark = 'R'

func (r Registers) marshal() []byte {
	b := []byte{registersMark}
	for i, key := range []ck.Secret{r.Current, r.Next} {
		switch {
		case len(key) == 0:
			b = append(b, 0)
		case i == 1 && r.Committed:
			b = append(append(b, 2), key...)
		default:
			b = append(append(b, 1), key...)
		}
	}
	return b
}

func parseRegisters(b []byte) (r Registers, err error) {
	if len(b) == 0 || b[0] != registersMark {
		return r, down("the unit is administered by a domain: open it with that")
	}
	b = b[1:]
	for _, key := range []*ck.Secret{&r.Current, &r.Next} {
		switch {
		case len(b) > 0 && b[0] == 0:
			b = b[1:]
		case len(b) > unit.LenWrappingKey && b[0] <= 2:
			r.Committed = b[0] == 2
			*key, b = append(ck.Secret(nil), b[1:1+unit.LenWrappingKey]...), b[1+unit.LenWrappingKey:]
		default:
			return r, down("the unit's registers are damaged: load the master key again")
		}
	}
	return r, nil
}

// Create makes the state folder of a unit that no domain administers: its
// master key is set once. Units of one service get the same.
func Create(dir string, s Secret, master ck.Secret) error {
	if len(master) != unit.LenWrappingKey {
		return fmt.Errorf("master key of %d bytes instead of %d: %w", len(master), unit.LenWrappingKey, ck.CKR_ARGUMENTS_BAD)
	}
	f, err := MakeFolder(dir, s)
	if err != nil {
		return err
	}
	state := Registers{Current: master}.marshal()
	defer clear(state)
	return f.Save(state)
}

// Open starts a unit that Create made. Its master key comes from the folder,
// all else from c.
func Open(dir string, s Secret, c Config) (*Unit, error) {
	_, state, err := OpenFolder(dir, s)
	if err != nil {
		return nil, fmt.Errorf("crypto unit %s: %w", c.Name, err)
	}
	defer clear(state)
	r, err := parseRegisters(state)
	if err != nil {
		return nil, fmt.Errorf("crypto unit %s: %w", c.Name, err)
	}
	c.MasterKey = nil
	u, err := New(c)
	if err != nil {
		return nil, err
	}
	return u, u.Install(r)
}
