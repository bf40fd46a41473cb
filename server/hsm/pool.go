package hsm

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// pool is the sessions of one unit. Their objects live as long as the session
// that made them, so sessions stay open until the connection is lost.
type pool struct {
	config Config
	places chan *session              // those not in use
	last   atomic.Pointer[connection] // the present one, or the last there was

	mu      sync.Mutex
	mod     *module     // guarded by mu; nil: not loaded
	conn    *connection // guarded by mu; nil: to be made
	refused error       // guarded by mu: the HSM refused the PIN, which is not tried again, or the pool is closed
	pattern [2][]byte   // guarded by mu: of the first connection's master keys
}

// session is a place of the pool. Its owner is the call that has it.
type session struct {
	conn   *connection // that it belongs to; nil: not open
	handle pkcs11.SessionHandle
}

// connection is a login with what hangs on it. It does not change.
type connection struct {
	*module
	slot     uint
	control  pkcs11.SessionHandle // keeps the login
	current  *master
	next     *master // nil: there is none
	wrapping wrapping
	uses     map[ck.MechanismType]ck.Flags
	kwp      ck.MechanismType // the HSM's number of RFC 5649
	pads     bool             // it fills keys with zeros to 8 bytes before it wraps them
	all      bool             // of the sessions are gone
}

func newPool(c Config) *pool {
	p := &pool{config: c, places: make(chan *session, c.Sessions)}
	for range c.Sessions {
		p.places <- &session{}
	}
	return p
}

// lost are the codes after which a new connection is worth trying, and whether
// they mean that all sessions are gone.
var lost = map[ck.RV]bool{
	ck.CKR_SESSION_HANDLE_INVALID:        false,
	ck.CKR_SESSION_CLOSED:                false,
	ck.CKR_USER_NOT_LOGGED_IN:            false,
	ck.CKR_KEY_HANDLE_INVALID:            false,
	ck.CKR_OBJECT_HANDLE_INVALID:         false,
	ck.CKR_WRAPPING_KEY_HANDLE_INVALID:   false,
	ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID: false,
	ck.CKR_DEVICE_ERROR:                  false,
	ck.CKR_DEVICE_REMOVED:                true,
	ck.CKR_TOKEN_NOT_PRESENT:             true,
	ck.CKR_TOKEN_NOT_RECOGNIZED:          true,
	ck.CKR_SLOT_ID_INVALID:               true,
	ck.CKR_CRYPTOKI_NOT_INITIALIZED:      true,
}

// fault marks an error that is the HSM's and not the request's.
func fault(format string, a ...any) error { return &unit.Fault{Err: fmt.Errorf(format, a...)} }

// call runs f in a session, and once more after a new connection where the
// first was lost. One that takes longer than the timeout keeps its session, and
// is waited for by nobody.
func call[T any](p *pool, timeout time.Duration, f func(*connection, pkcs11.SessionHandle) (T, error)) (T, error) {
	type result struct {
		out T
		err error
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var zero T
	var s *session
	select {
	case s = <-p.places:
	case <-timer.C:
		return zero, fault("all sessions are busy for %v: %w", timeout, ck.CKR_DEVICE_ERROR)
	}
	done := make(chan result, 1)
	go func() {
		defer func() { p.places <- s }()
		var r result
		r.out, r.err = twice(p, s, f)
		done <- r
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-timer.C:
		return zero, fault("no answer for %v: %w", timeout, ck.CKR_DEVICE_ERROR)
	}
}

func twice[T any](p *pool, s *session, f func(*connection, pkcs11.SessionHandle) (T, error)) (out T, err error) {
	for range 2 {
		var c *connection
		if c, err = p.ready(s); err != nil {
			return out, err
		}
		c.inside.RLock()
		out, err = f(c, s.handle)
		c.inside.RUnlock()
		err = rv(err)
		all, known := lost[ck.RVOf(err)]
		if err == nil || !known || errors.Is(err, errGone) {
			return out, err
		}
		p.disconnect(c, all, err)
	}
	return out, fault("%w", err)
}

// errGone is of objects that cannot be made again; they went with their session.
var errGone = errors.New("key was lost with its session")

// ready brings the session to the present connection.
func (p *pool) ready(s *session) (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := p.connected()
	if err != nil || s.conn == c {
		return c, err
	}
	s.close()
	if s.handle, err = c.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		if all, known := lost[ck.RVOf(rv(err))]; known {
			c.all = all
			p.conn = nil
		}
		return nil, fault("open a session: %w", rv(err))
	}
	s.conn = c
	return c, nil
}

// close gives a session of an earlier connection back, if that is still there.
func (s *session) close() {
	if s.conn != nil && !s.conn.all {
		_ = s.conn.CloseSession(s.handle) // it may have gone by itself
	}
	s.conn = nil
}

// disconnect gives a connection up. Others may have done so before.
func (p *pool) disconnect(c *connection, all bool, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != c {
		return
	}
	p.config.Log.Warn("connection to the HSM is lost", "cause", cause)
	c.all = all
	p.conn = nil
	if !all {
		_ = c.CloseSession(c.control)
	}
	for range len(p.places) {
		select {
		case s := <-p.places:
			s.close()
			p.places <- s
		default:
		}
	}
}

// close ends all sessions; calls are over, or nobody waits for them.
func (p *pool) close() error {
	p.mu.Lock()
	p.refused = fault("the unit is closed: %w", ck.CKR_DEVICE_ERROR)
	p.mu.Unlock()
	for range len(p.places) {
		s := <-p.places
		p.mu.Lock()
		s.close()
		p.mu.Unlock()
		p.places <- s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.CloseSession(p.conn.control)
		p.conn = nil
	}
	if p.mod == nil {
		return nil
	}
	m := p.mod
	p.mod = nil
	return m.unload()
}
