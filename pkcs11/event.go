package pkcs11

import (
	"context"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
)

// eventPause is how often a waiting call looks for tokens that came or went.
const eventPause = 3 * time.Second

// WaitForSlotEvent is C_WaitForSlotEvent: an event is a token that was made,
// emptied or deleted. C_Finalize wakes a call that waits.
//
// PKCS#11 v3.2 §5.5.
func (m *Module) WaitForSlotEvent(ctx context.Context, dontBlock bool) (ck.SlotID, error) {
	tick := time.NewTicker(eventPause)
	defer tick.Stop()
	for {
		m.refresh(ctx)
		if id, ok := m.takeEvent(); ok {
			return id, nil
		}
		if dontBlock {
			return 0, ck.CKR_NO_EVENT
		}
		select {
		case <-tick.C:
		case <-m.ended:
			return 0, fmt.Errorf("waiting for tokens: %w", ck.CKR_CRYPTOKI_NOT_INITIALIZED)
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for tokens: %w", ck.CKR_CRYPTOKI_NOT_INITIALIZED)
		}
	}
}

// takeEvent gives each event to one caller.
func (m *Module) takeEvent() (ck.SlotID, bool) {
	for _, l := range m.allSlots() {
		l.mu.Lock()
		had := l.event
		l.event = false
		l.mu.Unlock()
		if had {
			return l.id, true
		}
	}
	return 0, false
}
