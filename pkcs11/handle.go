package pkcs11

import "sync"

// table gives handles to things. Handles start at 1 and are never given twice.
type table[H ~uint64, T any] struct {
	mu    sync.RWMutex
	base  H       // added to every handle; immutable
	last  H       // guarded by mu
	items map[H]T // guarded by mu
}

func newTable[H ~uint64, T any](base H) *table[H, T] {
	return &table[H, T]{base: base, items: make(map[H]T)}
}

// add keeps what make gives for the new handle.
func (t *table[H, T]) add(make func(H) T) (H, T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	h := t.base + t.last
	v := make(h)
	t.items[h] = v
	return h, v
}

func (t *table[H, T]) get(h H) (T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.items[h]
	return v, ok
}

// replace keeps v under a handle that is still in use.
func (t *table[H, T]) replace(h H, v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.items[h]; ok {
		t.items[h] = v
	}
}

// remove tells whether the handle was in use.
func (t *table[H, T]) remove(h H) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.items[h]
	delete(t.items, h)
	return ok
}

// removeIf forgets all that match.
func (t *table[H, T]) removeIf(match func(T) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h, v := range t.items {
		if match(v) {
			delete(t.items, h)
		}
	}
}

// all lists those that match, in no order.
func (t *table[H, T]) all(match func(T) bool) []T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []T
	for _, v := range t.items {
		if match(v) {
			out = append(out, v)
		}
	}
	return out
}
