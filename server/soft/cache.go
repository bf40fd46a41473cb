package soft

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"grep11/server/unit"
)

// keyCache holds opened keys by their blobs' bytes, with a reference to each. A
// key that falls out is wiped, or destroyed in its device, when the last call
// that uses it has ended.
type keyCache struct{ lru *lru.Cache[string, *key] }

func newKeyCache(n int) *keyCache {
	c, err := lru.NewWithEvict(n, func(_ string, k *key) { k.release() })
	if err != nil {
		panic("soft: " + err.Error()) // n is not positive
	}
	return &keyCache{lru: c}
}

// get gives a key with a reference for the caller.
func (c *keyCache) get(b unit.Blob) (*key, bool) {
	k, ok := c.lru.Get(string(b))
	return k, ok && k.retain()
}

// add takes a key in, unless another call was faster: that one's key is given
// then, in place of this one, with a reference for the caller.
func (c *keyCache) add(b unit.Blob, k *key) *key {
	k.refs.Add(1) // the cache's
	other, there, _ := c.lru.PeekOrAdd(string(b), k)
	if !there {
		return k
	}
	k.refs.Add(-1)
	if !other.retain() {
		return k
	}
	k.release()
	return other
}

func (c *keyCache) purge() { c.lru.Purge() }
