package pkcs11

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// service is one [[slot]] of the configuration: a GREP11 service, with one
// token of it or with all.
type service struct {
	client *grep11client.Client // immutable
	label  string               // immutable; of the one token, "" for all
	base   ck.SlotID            // immutable; id of the first slot

	localPublicOps bool          // immutable; work that needs no HSM is done here
	wrapPoints     bool          // immutable; Edwards points in an OCTET STRING
	synthetic      bool          // immutable; keys without a certificate are shown with one
	patience       time.Duration // immutable; how long the service may be away unnoticed

	mu     sync.Mutex
	slots  []*slot   // guarded by mu; in the order of ids; never empty
	failed time.Time // guarded by mu; when the last listing failed
	reason error     // guarded by mu; why

	mechanisms atomic.Pointer[mechanisms] // nil until asked
}

// mechanisms is what a service offers, cut to what the module can pass on.
type mechanisms struct {
	list  []ck.MechanismType
	info  map[ck.MechanismType]ck.MechanismInfo
	asked time.Time
}

const (
	listTimeout   = 3 * time.Second // a silent service costs a slot list no more
	listPause     = time.Second     // between attempts at a service that fails
	mechanismsAge = 5 * time.Minute // a service learns mechanisms seldom
)

func newService(client *grep11client.Client, label string, base ck.SlotID) *service {
	v := &service{client: client, label: label, base: base}
	v.slots = []*slot{newSlot(base, v)}
	return v
}

func (v *service) String() string {
	if v.label == "" {
		return fmt.Sprintf("slots from %d", v.base)
	}
	return fmt.Sprintf("slot %d, token %q", v.base, v.label)
}

func (v *service) all() []*slot {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.slots)
}

// find gives a slot by its id, and looks at the service if it may be new there.
func (v *service) find(ctx context.Context, id ck.SlotID) *slot {
	for _, l := range v.all() {
		if l.id == id {
			return l
		}
	}
	if v.label != "" || id < v.base || id-v.base >= slotsApart || v.refresh(ctx) != nil {
		return nil
	}
	for _, l := range v.all() {
		if l.id == id {
			return l
		}
	}
	return nil
}

// covers tells whether a slot's id is of this service.
func (v *service) covers(id ck.SlotID) bool {
	return id == v.base || v.label == "" && id >= v.base && id-v.base < slotsApart
}

// changed makes the next listing real.
func (v *service) changed() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed = time.Time{}
}

// refresh asks the service for its tokens and puts them into the slots.
func (v *service) refresh(ctx context.Context) error {
	v.mu.Lock()
	if time.Since(v.failed) < listPause {
		defer v.mu.Unlock()
		return v.reason
	}
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	tokens, next, err := v.client.Tokens(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.failed, v.reason = time.Now(), err
		return err
	}
	if v.label != "" {
		v.holdOne(tokens)
	} else {
		v.holdAll(tokens, next)
	}
	return nil
}

// holdOne keeps the slot's token for as long as the service has it, even under
// another label: C_InitToken may give one. Caller holds v.mu.
func (v *service) holdOne(tokens []grep11client.TokenInfo) {
	l := v.slots[0]
	_, now := l.known()
	for _, same := range []func(grep11client.TokenInfo) bool{
		func(t grep11client.TokenInfo) bool { return len(now.ID) > 0 && string(t.ID) == string(now.ID) },
		func(t grep11client.TokenInfo) bool { return t.Label == v.label },
	} {
		if i := slices.IndexFunc(tokens, same); i >= 0 {
			l.hold(tokens[i])
			return
		}
	}
	l.remove()
}

// holdAll gives each token the slot of its number, and the next number to the
// token that is still to be made. Caller holds v.mu.
func (v *service) holdAll(tokens []grep11client.TokenInfo, next uint64) {
	tokens = append(slices.Clone(tokens), grep11client.TokenInfo{Number: next})
	for _, l := range v.slots {
		if !slices.ContainsFunc(tokens, func(t grep11client.TokenInfo) bool { return v.id(t.Number) == l.id }) {
			l.remove()
		}
	}
	for _, t := range tokens {
		v.slotAt(v.id(t.Number)).hold(t)
	}
	v.slots = slices.DeleteFunc(v.slots, (*slot).gone)
}

func (v *service) id(number uint64) ck.SlotID { return v.base + ck.SlotID(number%slotsApart) }

// Caller holds v.mu.
func (v *service) slotAt(id ck.SlotID) *slot {
	i, found := slices.BinarySearchFunc(v.slots, id, func(l *slot, id ck.SlotID) int { return int(l.id) - int(id) })
	if !found {
		v.slots = slices.Insert(v.slots, i, newSlot(id, v))
	}
	return v.slots[i]
}

// gone tells whether the slot is of no more use.
func (l *slot) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.present && l.open == 0
}

// offered is the service's mechanism list, asked for again when it is old.
func (v *service) offered(ctx context.Context) (*mechanisms, error) {
	have := v.mechanisms.Load()
	if have != nil && time.Since(have.asked) < mechanismsAge {
		return have, nil
	}
	said, err := v.client.Service(ctx)
	if err != nil && have != nil {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	now := &mechanisms{info: make(map[ck.MechanismType]ck.MechanismInfo), asked: time.Now()}
	for _, d := range said.Mechanisms {
		if _, err := mech.Lookup(d.Type); err == nil {
			now.list = append(now.list, d.Type)
			now.info[d.Type] = d.Info
		}
	}
	v.mechanisms.Store(now)
	return now, nil
}

func (v *service) mechanismList(ctx context.Context) ([]ck.MechanismType, error) {
	m, err := v.offered(ctx)
	if err != nil {
		return nil, err
	}
	return m.list, nil
}

func (v *service) mechanismInfo(ctx context.Context, t ck.MechanismType) (ck.MechanismInfo, error) {
	m, err := v.offered(ctx)
	if err != nil {
		return ck.MechanismInfo{}, err
	}
	info, ok := m.info[t]
	if !ok {
		return info, fmt.Errorf("%v: %w", t, ck.CKR_MECHANISM_INVALID)
	}
	return shownInfo(t, info), nil
}

// offers tells whether the service has a mechanism for a use. It asks nobody:
// before the list is known the module's own table must do.
func (v *service) offers(r *mech.Row, use ck.Flags) bool {
	if m := v.mechanisms.Load(); m != nil {
		return m.info[r.Type].Flags&use != 0
	}
	return r.Use&use != 0
}
