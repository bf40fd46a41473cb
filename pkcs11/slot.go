package pkcs11

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// slot is one slot with the token in it. It stays for the life of the module.
type slot struct {
	id      ck.SlotID     // immutable
	service *service      // immutable; nil where the configuration is wrong
	objects *keystore     // immutable
	turn    chan struct{} // holds the one that logs in

	mu           sync.Mutex
	present      bool                   // guarded by mu
	info         grep11client.TokenInfo // guarded by mu; no ID: not initialised
	tok          *grep11client.Token    // guarded by mu; nil until a token is known
	open, openRW int                    // guarded by mu; sessions
	event, seen  bool                   // guarded by mu; a token came or went since one was first seen
	user         logged                 // guarded by mu
	login        int                    // guarded by mu; changes with user
}

func newSlot(id ck.SlotID, v *service) *slot {
	return &slot{id: id, service: v, objects: newKeystore(), turn: make(chan struct{}, 1)}
}

// token is the service's token. It is there for every slot with a session.
func (l *slot) token() *grep11client.Token {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tok
}

// hold puts a token into the slot, as the service lists it. A slot with
// sessions never loses l.tok: where the service replaced the token by one that
// is not initialised, the sessions' calls fail and the slot waits for their end.
func (l *slot) hold(info grep11client.TokenInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(info.ID) == 0 && l.open > 0 {
		l.present = false
		return
	}
	if !l.seen || string(l.info.ID) != string(info.ID) {
		l.tok, l.user = nil, loggedNobody
		if len(info.ID) > 0 {
			l.tok = l.service.client.Token(info.ID)
		}
		l.objects.clear()
		l.event, l.seen = l.seen, true
	}
	l.present, l.info = true, info
}

// remove takes the token out: the service does not list it any more.
func (l *slot) remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.event = l.event || l.present
	l.present = false
}

// enter counts a session in, if the token allows one.
func (l *slot) enter(rw bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.present:
		return fmt.Errorf("slot %d: %w", l.id, ck.CKR_TOKEN_NOT_PRESENT)
	case l.tok == nil:
		return fmt.Errorf("slot %d: the token is not initialised: %w", l.id, ck.CKR_TOKEN_NOT_RECOGNIZED)
	case l.user == loggedSO && !rw:
		return fmt.Errorf("slot %d: the security officer is logged in: %w", l.id, ck.CKR_SESSION_READ_WRITE_SO_EXISTS)
	}
	l.open++
	if rw {
		l.openRW++
	}
	return nil
}

// leave counts a session out. The login ends with the last one.
func (l *slot) leave(ctx context.Context, rw bool) {
	l.mu.Lock()
	l.open--
	if rw {
		l.openRW--
	}
	last := l.open == 0 && l.user != loggedNobody
	l.mu.Unlock()
	if last {
		l.logOut(ctx)
	}
}

// slot finds a slot by its id.
func (m *Module) slot(ctx context.Context, id ck.SlotID) (*slot, error) {
	for _, v := range m.services {
		if l := v.find(ctx, id); l != nil {
			return l, nil
		}
	}
	if m.faulty != nil && id == m.faulty.id {
		return m.faulty, nil
	}
	return nil, fmt.Errorf("slot %d: %w", id, ck.CKR_SLOT_ID_INVALID)
}

// usable finds a slot and makes sure its token was looked for.
func (m *Module) usable(ctx context.Context, id ck.SlotID) (*slot, error) {
	l, err := m.slot(ctx, id)
	if err != nil {
		return nil, err
	}
	if known, _ := l.known(); !known && l.service != nil {
		if err := l.service.refresh(ctx); err != nil {
			return nil, fmt.Errorf("slot %d: %v: %w", id, err, ck.CKR_TOKEN_NOT_PRESENT)
		}
	}
	return l, nil
}

// await waits for a service that does not answer, for as long as a service may
// be away unnoticed: it may be restarting. The first session of a process is
// worth it, for some applications never ask again. libp11 0.4.12, which is what
// nginx uses, lets the thread that was refused it wait for ever.
func (m *Module) await(ctx context.Context, id ck.SlotID) bool {
	for _, v := range m.services {
		if !v.covers(id) {
			continue
		}
		for until := time.Now().Add(v.patience); ; {
			if err := v.refresh(ctx); err == nil {
				return true
			}
			select {
			case <-ctx.Done():
				return false
			case <-time.After(awaitPause):
			}
			if time.Now().After(until) {
				return false
			}
		}
	}
	return false
}

const awaitPause = 100 * time.Millisecond

// known tells whether a token is in the slot, and which.
func (l *slot) known() (bool, grep11client.TokenInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.present, l.info
}

// GetSlotList is C_GetSlotList, in the order of ids. A service that does not
// answer keeps the slots it had.
func (m *Module) GetSlotList(ctx context.Context, tokenPresent bool) ([]ck.SlotID, error) {
	m.refresh(ctx)
	ids := []ck.SlotID{}
	for _, l := range m.allSlots() {
		if present, _ := l.known(); present || !tokenPresent {
			ids = append(ids, l.id)
		}
	}
	return ids, nil
}

func (m *Module) allSlots() []*slot {
	if m.faulty != nil {
		return []*slot{m.faulty}
	}
	var all []*slot
	for _, v := range m.services {
		all = append(all, v.all()...)
	}
	return all
}

// refresh asks all services for their tokens at the same time, and waits.
func (m *Module) refresh(ctx context.Context) {
	var wait sync.WaitGroup
	for _, v := range m.services {
		wait.Go(func() {
			if err := v.refresh(ctx); err != nil {
				m.log.Warn("token list", "service", v.String(), "error", err)
			}
		})
	}
	wait.Wait()
}

// What the module says of itself. URIs match the token's model and
// manufacturer: they stay as they are.
const (
	manufacturer = "grep11"
	description  = "GREP11 network HSM"
	model        = "GREP11"
)

var libraryVersion = ck.Version{Major: 0, Minor: 1}

// GetSlotInfo is C_GetSlotInfo.
func (m *Module) GetSlotInfo(ctx context.Context, id ck.SlotID) (ck.SlotInfo, error) {
	l, err := m.slot(ctx, id)
	if err != nil {
		return ck.SlotInfo{}, err
	}
	info := ck.SlotInfo{
		SlotDescription: fmt.Sprintf("%s slot %d", description, id), ManufacturerID: manufacturer,
		HardwareVersion: libraryVersion, FirmwareVersion: libraryVersion,
	}
	if present, _ := l.known(); present {
		info.Flags |= ck.CKF_TOKEN_PRESENT
	} else if _, err := m.usable(ctx, id); err == nil {
		if present, _ := l.known(); present {
			info.Flags |= ck.CKF_TOKEN_PRESENT
		}
	}
	return info, nil
}

// GetTokenInfo is C_GetTokenInfo. The flags of PINs are fresh where the service
// answers, and those last seen where it does not.
func (m *Module) GetTokenInfo(ctx context.Context, id ck.SlotID) (ck.TokenInfo, error) {
	l, err := m.slot(ctx, id)
	if err != nil {
		return ck.TokenInfo{}, err
	}
	if l.service != nil {
		if err := l.service.refresh(ctx); err != nil {
			m.log.Warn("token list", "service", l.service.String(), "error", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.present {
		return ck.TokenInfo{}, fmt.Errorf("slot %d: %w", id, ck.CKR_TOKEN_NOT_PRESENT)
	}
	return l.tokenInfo(), nil
}

// Caller holds l.mu.
func (l *slot) tokenInfo() ck.TokenInfo {
	info := ck.TokenInfo{
		Label: l.info.Label, ManufacturerID: manufacturer, Model: model, SerialNumber: l.info.Serial,
		Flags:           ck.CKF_RNG | ck.CKF_LOGIN_REQUIRED | ck.CKF_DUAL_CRYPTO_OPERATIONS | ck.CKF_RESTORE_KEY_NOT_NEEDED | l.info.Flags,
		MaxSessionCount: ck.CK_EFFECTIVELY_INFINITE, SessionCount: uint64(l.open),
		MaxRwSessionCount: ck.CK_EFFECTIVELY_INFINITE, RwSessionCount: uint64(l.openRW),
		MinPinLen: minPIN, MaxPinLen: maxPIN,
		TotalPublicMemory: ck.CK_UNAVAILABLE_INFORMATION, FreePublicMemory: ck.CK_UNAVAILABLE_INFORMATION,
		TotalPrivateMemory: ck.CK_UNAVAILABLE_INFORMATION, FreePrivateMemory: ck.CK_UNAVAILABLE_INFORMATION,
		HardwareVersion: libraryVersion, FirmwareVersion: libraryVersion,
	}
	if len(l.info.ID) > 0 {
		info.Flags |= ck.CKF_TOKEN_INITIALIZED
	}
	return info
}

// The service's bounds of PINs, in bytes.
const minPIN, maxPIN = 4, 255

// GetMechanismList is C_GetMechanismList.
func (m *Module) GetMechanismList(ctx context.Context, id ck.SlotID) ([]ck.MechanismType, error) {
	l, err := m.withToken(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.service.mechanismList(ctx)
}

// GetMechanismInfo is C_GetMechanismInfo.
func (m *Module) GetMechanismInfo(ctx context.Context, id ck.SlotID, mechanism ck.MechanismType) (ck.MechanismInfo, error) {
	l, err := m.withToken(ctx, id)
	if err != nil {
		return ck.MechanismInfo{}, err
	}
	return l.service.mechanismInfo(ctx, mechanism)
}

// withToken finds a slot that has a token.
func (m *Module) withToken(ctx context.Context, id ck.SlotID) (*slot, error) {
	l, err := m.usable(ctx, id)
	if err != nil {
		return nil, err
	}
	if present, _ := l.known(); !present {
		return nil, fmt.Errorf("slot %d: %w", id, ck.CKR_TOKEN_NOT_PRESENT)
	}
	return l, nil
}

// InitToken is C_InitToken: it makes the token of an uninitialised slot, or
// empties the one that is there.
func (m *Module) InitToken(ctx context.Context, id ck.SlotID, pin ck.Secret, label string) error {
	l, err := m.withToken(ctx, id)
	if err != nil {
		return err
	}
	l.mu.Lock()
	open, tokenID := l.open, l.info.ID
	l.mu.Unlock()
	if open > 0 {
		return fmt.Errorf("slot %d has %d sessions: %w", id, open, ck.CKR_SESSION_EXISTS)
	}
	info, err := l.service.client.InitToken(ctx, tokenID, strings.TrimRight(label, " "), pin)
	if err != nil {
		return err
	}
	l.hold(info)
	l.objects.clear()
	l.service.changed()
	return nil
}
