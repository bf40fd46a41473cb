package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// keystore is what the module knows of a token's objects.
//
// Stored objects belong to the service; their attributes are kept here so that
// C_GetAttributeValue after C_FindObjects costs no round trip. What a search
// or a read brought counts as true for attributeAge; after that an object is
// read again when its attributes are asked for, or when they would make the
// module refuse a call. So a change made elsewhere shows in the next search at
// once, and everywhere after attributeAge. What the module allows by an old
// attribute the service still refuses.
//
// Session objects live here alone, keys as blobs.
type keystore struct {
	stored  *lru.Cache[ck.ObjectHandle, *object]
	session *table[ck.ObjectHandle, *object]
	hidden  sync.Map // synthetic certificates that were destroyed
}

const (
	attributeAge   = 2 * time.Second
	maxKnown       = 10000   // stored objects, about 2 kB each
	maxSessionObjs = 1 << 20 // session objects of a token
)

func newKeystore() *keystore {
	cache, err := lru.New[ck.ObjectHandle, *object](maxKnown)
	if err != nil {
		panic("pkcs11: " + err.Error()) // the size is a constant
	}
	return &keystore{stored: cache, session: newTable[ck.ObjectHandle, *object](sessionObjectBit)}
}

// clear forgets everything: another token is in the slot.
func (k *keystore) clear() {
	k.stored.Purge()
	k.session.removeIf(func(*object) bool { return true })
	k.hidden.Clear()
}

// forgetOwned ends a session's objects.
func (k *keystore) forgetOwned(h ck.SessionHandle) {
	k.session.removeIf(func(o *object) bool { return o.owner == h })
}

// forgetPrivate is what a logout does to objects, PKCS#11 v3.2 §5.6.
func (k *keystore) forgetPrivate() {
	k.stored.Purge()
	k.session.removeIf(func(o *object) bool { return o.is(ck.CKA_PRIVATE) })
}

// know keeps what the service said of a stored object.
func (k *keystore) know(o grep11client.Object) *object {
	n := newObject(o)
	k.stored.Add(n.Handle, n)
	return n
}

// own makes a session object.
func (k *keystore) own(s *session, o grep11client.Object) *object {
	_, n := k.session.add(func(h ck.ObjectHandle) *object {
		o.Handle, o.ID = h, nil
		n := newObject(o)
		n.owner = s.handle
		return n
	})
	return n
}

// keep makes a session object or a stored one of what the service answered.
func (s *session) keep(o grep11client.Object) *object {
	if o.Handle == 0 {
		return s.slot.objects.own(s, o)
	}
	return s.slot.objects.know(o)
}

// object finds an object that the session may see. fresh: with attributes that
// are not older than attributeAge.
func (s *session) object(ctx context.Context, h ck.ObjectHandle, fresh bool) (*object, error) {
	o, err := s.lookup(ctx, h, fresh)
	if err != nil {
		return nil, err
	}
	if user, _ := s.slot.who(); user != loggedUser && o.is(ck.CKA_PRIVATE) {
		return nil, fmt.Errorf("handle %#x: %w", uint64(h), ck.CKR_OBJECT_HANDLE_INVALID)
	}
	return o, nil
}

func (s *session) lookup(ctx context.Context, h ck.ObjectHandle, fresh bool) (*object, error) {
	store := s.slot.objects
	if h&syntheticBit != 0 {
		return s.synthetic(ctx, h)
	}
	if h&sessionObjectBit != 0 {
		if o, ok := store.session.get(h); ok {
			return o, nil
		}
		return nil, fmt.Errorf("handle %#x: %w", uint64(h), ck.CKR_OBJECT_HANDLE_INVALID)
	}
	if o, ok := store.stored.Get(h); ok && (!fresh || time.Since(o.read) < attributeAge) {
		return o, nil
	}
	if o := profileAt(h); o != nil {
		return o, nil
	}
	return s.read(ctx, h)
}

// read asks the service for one stored object.
func (s *session) read(ctx context.Context, h ck.ObjectHandle) (*object, error) {
	if h == ck.CK_INVALID_HANDLE || h > sessionObjectBit {
		return nil, fmt.Errorf("handle %#x: %w", uint64(h), ck.CKR_OBJECT_HANDLE_INVALID)
	}
	o, err := s.slot.token().GetObject(ctx, h)
	if isGone(err) {
		s.slot.objects.stored.Remove(h)
		return nil, fmt.Errorf("handle %#x: %w", uint64(h), ck.CKR_OBJECT_HANDLE_INVALID)
	}
	if err != nil {
		return nil, err
	}
	return s.slot.objects.know(o), nil
}

// isGone tells whether the service knows no such object, or hides it.
func isGone(err error) bool {
	return errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) || errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) ||
		errors.Is(err, ck.CKR_IBM_GREP11_MISSING)
}
