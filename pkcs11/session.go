package pkcs11

import (
	"context"
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
)

// session is one session with the token in a slot.
type session struct {
	handle ck.SessionHandle // immutable
	slot   *slot            // immutable
	rw     bool             // immutable

	mu     sync.Mutex         // held for a whole call: a session is serial
	closed bool               // guarded by mu
	ops    [numOps]*operation // guarded by mu
	search *search            // guarded by mu
}

// in runs one call in a session.
func (m *Module) in(h ck.SessionHandle, f func(*session) error) error {
	s, ok := m.sessions.get(h)
	if !ok {
		return fmt.Errorf("session %d: %w", h, ck.CKR_SESSION_HANDLE_INVALID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("session %d: %w", h, ck.CKR_SESSION_HANDLE_INVALID)
	}
	return f(s)
}

// OpenSession is C_OpenSession. It is local once the slot's token is known.
func (m *Module) OpenSession(ctx context.Context, id ck.SlotID, flags ck.Flags) (ck.SessionHandle, error) {
	if flags&ck.CKF_SERIAL_SESSION == 0 {
		return 0, fmt.Errorf("without CKF_SERIAL_SESSION: %w", ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED)
	}
	if flags&ck.CKF_ASYNC_SESSION != 0 {
		return 0, ck.CKR_SESSION_ASYNC_NOT_SUPPORTED
	}
	l, err := m.usable(ctx, id)
	if err != nil && m.await(ctx, id) {
		l, err = m.usable(ctx, id)
	}
	if err != nil {
		return 0, err
	}
	rw := flags&ck.CKF_RW_SESSION != 0
	if err := l.enter(rw); err != nil {
		return 0, err
	}
	h, _ := m.sessions.add(func(h ck.SessionHandle) *session {
		return &session{handle: h, slot: l, rw: rw}
	})
	return h, nil
}

// CloseSession is C_CloseSession.
func (m *Module) CloseSession(ctx context.Context, h ck.SessionHandle) error {
	return m.in(h, func(s *session) error {
		m.close(ctx, s)
		return nil
	})
}

// close ends a session, and with the last one of its slot the login. Caller
// holds s.mu.
func (m *Module) close(ctx context.Context, s *session) {
	s.closed = true
	m.sessions.remove(s.handle)
	s.cancelAll()
	s.slot.objects.forgetOwned(s.handle)
	s.slot.leave(ctx, s.rw)
}

// CloseAllSessions is C_CloseAllSessions.
func (m *Module) CloseAllSessions(ctx context.Context, id ck.SlotID) error {
	l, err := m.slot(ctx, id)
	if err != nil {
		return err
	}
	for _, s := range m.sessions.all(func(s *session) bool { return s.slot == l }) {
		s.mu.Lock()
		if !s.closed {
			m.close(ctx, s)
		}
		s.mu.Unlock()
	}
	return nil
}

// GetSessionInfo is C_GetSessionInfo. It is local.
func (m *Module) GetSessionInfo(ctx context.Context, h ck.SessionHandle) (info ck.SessionInfo, err error) {
	err = m.in(h, func(s *session) error {
		info = ck.SessionInfo{SlotID: s.slot.id, State: s.state(), Flags: ck.CKF_SERIAL_SESSION}
		if s.rw {
			info.Flags |= ck.CKF_RW_SESSION
		}
		return nil
	})
	return info, err
}

// state is the session's state, PKCS#11 v3.2 §5.6 and usage guide §2.6.
func (s *session) state() ck.State {
	user, _ := s.slot.who()
	switch {
	case user == loggedSO:
		return ck.CKS_RW_SO_FUNCTIONS
	case user == loggedUser && s.rw:
		return ck.CKS_RW_USER_FUNCTIONS
	case user == loggedUser:
		return ck.CKS_RO_USER_FUNCTIONS
	case s.rw:
		return ck.CKS_RW_PUBLIC_SESSION
	}
	return ck.CKS_RO_PUBLIC_SESSION
}

// SessionCancel is C_SessionCancel.
func (m *Module) SessionCancel(ctx context.Context, h ck.SessionHandle, flags ck.Flags) error {
	return m.in(h, func(s *session) error {
		for k := range s.ops {
			if flags&opKinds[k].cancel != 0 {
				s.end(opKind(k))
			}
		}
		if flags&ck.CKF_FIND_OBJECTS != 0 {
			s.search = nil
		}
		return nil
	})
}

// cancelAll ends every operation. Caller holds s.mu.
func (s *session) cancelAll() {
	for k := range s.ops {
		s.end(opKind(k))
	}
	s.search = nil
}

// GetSessionValidationFlags is C_GetSessionValidationFlags. No validation was
// made of the module: no flag is set.
func (m *Module) GetSessionValidationFlags(ctx context.Context, h ck.SessionHandle, kind uint64) (ck.Flags, error) {
	return 0, m.in(h, func(*session) error {
		if kind != ck.CKS_LAST_VALIDATION_OK {
			return fmt.Errorf("validation flags of type %d: %w", kind, ck.CKR_ARGUMENTS_BAD)
		}
		return nil
	})
}
