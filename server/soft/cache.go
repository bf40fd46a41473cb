package soft

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"grep11/server/unit"
)

// keyCache holds opened keys by their blobs' bytes. A key that falls out is
// wiped when the last call that uses it has ended (key.wipeLater).
type keyCache struct{ lru *lru.Cache[string, *key] }

func newKeyCache(n int) *keyCache {
	c, err := lru.New[string, *key](n)
	if err != nil {
		panic("soft: " + err.Error()) // n is not positive
	}
	return &keyCache{lru: c}
}

func (c *keyCache) get(b unit.Blob) (*key, bool) { return c.lru.Get(string(b)) }
func (c *keyCache) add(b unit.Blob, k *key)      { c.lru.Add(string(b), k) }
func (c *keyCache) purge()                       { c.lru.Purge() }
