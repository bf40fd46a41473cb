package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
)

// logged is who is logged in to a token: one user for all sessions of the
// process, PKCS#11 v3.2 §5.6.
type logged uint8

const (
	loggedNobody logged = iota
	loggedUser
	loggedSO
)

var users = map[ck.UserType]logged{ck.CKU_USER: loggedUser, ck.CKU_SO: loggedSO}

// Login is C_Login.
func (m *Module) Login(ctx context.Context, h ck.SessionHandle, user ck.UserType, pin ck.Secret) error {
	return m.in(h, func(s *session) error {
		if user == ck.CKU_CONTEXT_SPECIFIC {
			return s.reauthenticate(ctx, pin)
		}
		if users[user] == loggedNobody {
			return fmt.Errorf("user type %d: %w", user, ck.CKR_USER_TYPE_INVALID)
		}
		return s.slot.logIn(ctx, user, pin)
	})
}

// LoginUser is C_LoginUser. Tokens have one user, who has no name.
func (m *Module) LoginUser(ctx context.Context, h ck.SessionHandle, user ck.UserType, pin ck.Secret, name string) error {
	if name == "" {
		return m.Login(ctx, h, user, pin)
	}
	return m.in(h, func(*session) error {
		return fmt.Errorf("the token's users have no names: %w", ck.CKR_ARGUMENTS_BAD)
	})
}

// reauthenticate is the context login: the PIN once more, for one use of a key
// with CKA_ALWAYS_AUTHENTICATE. Where no active operation waits for it the PIN
// is checked all the same, for applications that offer it unasked.
func (s *session) reauthenticate(ctx context.Context, pin ck.Secret) error {
	active := false
	for _, op := range s.ops {
		active = active || op != nil && op.key != nil
	}
	if !active {
		return fmt.Errorf("context login without an operation: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	user, _ := s.slot.who()
	if user != loggedUser {
		return fmt.Errorf("context login before login: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	err := s.slot.token().CheckPIN(ctx, pin)
	if ck.RVOf(err) == ck.CKR_PIN_LOCKED {
		s.slot.logOut(ctx)
	}
	if err != nil {
		return err
	}
	for _, op := range s.ops {
		if op != nil {
			op.locked = false
		}
	}
	return nil
}

// Logout is C_Logout. Operations with private keys end at their next call.
func (m *Module) Logout(ctx context.Context, h ck.SessionHandle) error {
	return m.in(h, func(s *session) error {
		if user, _ := s.slot.who(); user == loggedNobody {
			return ck.CKR_USER_NOT_LOGGED_IN
		}
		s.search = nil
		return s.slot.logOut(ctx)
	})
}

// InitPIN is C_InitPIN.
func (m *Module) InitPIN(ctx context.Context, h ck.SessionHandle, pin ck.Secret) error {
	return m.in(h, func(s *session) error {
		if s.state() != ck.CKS_RW_SO_FUNCTIONS {
			return fmt.Errorf("only the security officer sets the user's PIN: %w", ck.CKR_USER_NOT_LOGGED_IN)
		}
		return s.slot.token().InitPIN(ctx, pin)
	})
}

// SetPIN is C_SetPIN: the PIN of who is logged in, or of the user where nobody is.
func (m *Module) SetPIN(ctx context.Context, h ck.SessionHandle, old, new ck.Secret) error {
	return m.in(h, func(s *session) error {
		if !s.rw {
			return fmt.Errorf("C_SetPIN: %w", ck.CKR_SESSION_READ_ONLY)
		}
		user := ck.CKU_USER
		if who, _ := s.slot.who(); who == loggedSO {
			user = ck.CKU_SO
		}
		return s.slot.token().SetPIN(ctx, user, old, new)
	})
}

// logIn is C_Login for all sessions of the slot. One login at a time: who comes
// second waits for its turn, and learns what the first one made.
func (l *slot) logIn(ctx context.Context, user ck.UserType, pin ck.Secret) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := l.mayLogIn(users[user]); err != nil {
		return err
	}
	if err := l.token().Login(ctx, user, pin); err != nil {
		return fmt.Errorf("login as %v: %w", user, err)
	}
	if err := l.loggedIn(users[user]); err != nil {
		l.token().Logout(ctx)
		return err
	}
	return nil
}

func (l *slot) mayLogIn(user logged) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mayLogInLocked(user)
}

func (l *slot) mayLogInLocked(user logged) error {
	switch {
	case l.user == user:
		return ck.CKR_USER_ALREADY_LOGGED_IN
	case l.user != loggedNobody:
		return ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN
	case user == loggedSO && l.open > l.openRW:
		return fmt.Errorf("%d read-only sessions: %w", l.open-l.openRW, ck.CKR_SESSION_READ_ONLY_EXISTS)
	}
	return nil
}

// loggedIn notes a login, unless a read-only session was opened meanwhile that
// forbids it.
func (l *slot) loggedIn(user logged) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mayLogInLocked(user); err != nil {
		return err
	}
	l.user = user
	l.login++
	return nil
}

// who is logged in, and a number that changes with every login and logout.
func (l *slot) who() (logged, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.user, l.login
}

// logOut is local but for a word to the service, which it does not wait for.
func (l *slot) logOut(ctx context.Context) error {
	l.mu.Lock()
	was := l.user
	l.user = loggedNobody
	l.login++
	l.mu.Unlock()
	l.objects.forgetPrivate()
	if was == loggedNobody {
		return nil
	}
	return l.token().Logout(ctx)
}
