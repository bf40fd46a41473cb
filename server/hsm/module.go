package hsm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// module is a loaded PKCS#11 module. A process initialises it once, for all
// units on it; it stays loaded, as modules have threads of their own.
type module struct {
	*pkcs11.Ctx
	users int // guarded by modules.mu
}

var modules = struct {
	mu   sync.Mutex
	path map[string]*module // guarded by mu
}{path: map[string]*module{}}

// load gives the module of a path, initialised.
func load(path string) (*module, error) {
	modules.mu.Lock()
	defer modules.mu.Unlock()
	m := modules.path[path]
	if m == nil {
		c := pkcs11.New(path)
		if c == nil {
			return nil, fmt.Errorf("%s is no PKCS#11 module, or cannot be loaded: %w", path, ck.CKR_ARGUMENTS_BAD)
		}
		m = &module{Ctx: c}
		modules.path[path] = m
	}
	if err := m.initialize(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.users++
	return m, nil
}

// initialize counts one done before, by another user of the process, as done.
func (m *module) initialize() error {
	if err := rv(m.Initialize()); err != nil && !errors.Is(err, ck.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return err
	}
	return nil
}

// unload ends a unit's use of the module.
func (m *module) unload() error {
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m.users--; m.users > 0 {
		return nil
	}
	return rv(m.Finalize())
}

// again lets the module look for its tokens anew, which some do only when they
// are initialised. With other units on the module it is not done: they would
// lose their sessions.
func (m *module) again() error {
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m.users == 1 {
		_ = m.Finalize() // it may be finalized already
	}
	return m.initialize()
}

// rv brings the module's error to ours.
func rv(err error) error {
	var e pkcs11.Error
	if errors.As(err, &e) {
		return ck.RV(e)
	}
	return err
}
