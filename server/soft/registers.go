package soft

import (
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// registers hold the wrapping keys (ep11-admin 4). Until the next one is
// finalized, blobs of both open; new ones are sealed under the current.
type registers struct {
	mu   sync.RWMutex
	cur  *register // guarded by mu; nil: empty
	next *register // guarded by mu; nil: empty
}

type register struct {
	key       *unit.WrappingKey
	master    ck.Secret
	committed bool // of the next register: its blobs open, Rewrap works
}

func newRegister(master ck.Secret) (*register, error) {
	key, err := unit.NewWrappingKey(master)
	if err != nil {
		return nil, err
	}
	return &register{key: key, master: append(ck.Secret(nil), master...)}, nil
}

// install fills the current register at once, as a unit that is set up from a
// ready master key.
func (r *registers) install(master ck.Secret) error {
	reg, err := newRegister(master)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cur = reg
	return nil
}

// clear forgets the keys. The secrets are wiped; the prepared keys, which calls
// still running may hold, go with the garbage.
func (r *registers) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reg := range []*register{r.cur, r.next} {
		if reg != nil {
			reg.master.Wipe()
		}
	}
	r.cur, r.next = nil, nil
}

func (r *registers) current() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cur == nil {
		return nil, errNoWrappingKey
	}
	return r.cur.key, nil
}

var errNoWrappingKey = fmt.Errorf("the crypto unit has no wrapping key: load a master key: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)

// of finds the wrapping key that a blob or a state is sealed under.
func (r *registers) of(id [16]byte) (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.cur == nil {
		return nil, errNoWrappingKey
	}
	if r.next != nil && r.next.committed && r.next.key.WKID() == id {
		return r.next.key, nil
	}
	if r.cur.key.WKID() != id {
		return nil, fmt.Errorf("sealed under wrapping key %x, the unit has %x: %w", id, r.cur.key.WKID(), ck.CKR_IBM_WKID_MISMATCH)
	}
	return r.cur.key, nil
}

// committedNext is the key that blobs are to be rewrapped under.
func (r *registers) committedNext() (*unit.WrappingKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.next == nil || !r.next.committed {
		return nil, fmt.Errorf("no new wrapping key is committed: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	return r.next.key, nil
}
