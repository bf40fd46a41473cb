package balancer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
)

// serviceKey is the one wrapping key of the units. It changes when a master key
// is rotated: the units finalize one after the other, and those that have not yet
// hold the new key as committed and open its blobs.
type serviceKey struct {
	mu      sync.Mutex
	pattern []byte // guarded by mu; nil before any unit had a key
}

// rotating is a unit that can hold the next wrapping key beside the current one.
type rotating interface {
	// CommittedKey is the pattern of the committed next key, nil for none.
	CommittedKey() []byte
}

func committed(m *member) []byte {
	if r, ok := m.Unit.(rotating); ok {
		return r.CommittedKey()
	}
	return nil
}

// fits tells whether a unit with the current key p opens the service's blobs. A new key
// becomes the service's when all units that hold the old one have committed it.
func (k *serviceKey) fits(all []*member, m *member, p []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pattern == nil || bytes.Equal(p, k.pattern) || bytes.Equal(committed(m), k.pattern) {
		k.adopt(p)
		return nil
	}
	for _, o := range all {
		q, err := o.WrappingKey()
		if o != m && err == nil && bytes.Equal(q, k.pattern) && !bytes.Equal(committed(o), p) {
			return fmt.Errorf("units %q and %q hold different wrapping keys, patterns %s and %s: %w",
				o.Name(), m.Name(), hex.EncodeToString(k.pattern), hex.EncodeToString(p), ck.CKR_IBM_WKID_MISMATCH)
		}
	}
	k.pattern = p
	return nil
}

// adopt takes the first key seen as the service's. Caller holds k.mu.
func (k *serviceKey) adopt(p []byte) {
	if k.pattern == nil {
		k.pattern = p
	}
}

// otherKey: the unit lacks the key that a blob is sealed under.
func otherKey(err error) bool { return errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) }
