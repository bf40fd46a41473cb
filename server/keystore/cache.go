package keystore

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache remembers what the database said until it changes. What was read
// while something was dropped may be old, and is used but not remembered.
type cache[K comparable, V any] struct {
	sure  func() bool      // whether every change is heard of; nil: it is
	spare func(error) bool // whether what is remembered does where a load failed so; of meaning beside sure

	mu    sync.Mutex
	lru   *simplelru.LRU[K, V] // guarded by mu
	drops uint64               // guarded by mu
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	lru, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic("keystore: " + err.Error())
	}
	return &cache[K, V]{lru: lru}
}

// get gives what is remembered, or loads it. keep says whether to remember it.
func (c *cache[K, V]) get(k K, load func() (v V, keep bool, err error)) (V, error) {
	if c.sure != nil && !c.sure() {
		return c.unsure(k, load)
	}
	c.mu.Lock()
	v, ok := c.lru.Get(k)
	drops := c.drops
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, keep, err := load()
	if err != nil || !keep {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops == drops {
		c.lru.Add(k, v)
	}
	return v, nil
}

// unsure asks the database, and remembers nothing.
func (c *cache[K, V]) unsure(k K, load func() (V, bool, error)) (V, error) {
	v, _, err := load()
	if err == nil || !c.spare(err) {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.lru.Get(k); ok {
		return old, nil
	}
	return v, err
}

// drop forgets one entry.
func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	c.lru.Remove(k)
}

// clear forgets all.
func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	c.lru.Purge()
}
