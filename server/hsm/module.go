package hsm

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// module is a loaded PKCS#11 module. A process initialises it once, for all
// units on it; it stays loaded, as modules have threads of their own.
type module struct {
	*pkcs11.Ctx
	users  int          // guarded by modules.mu
	inside sync.RWMutex // held for reading by each call: none may be inside C_Finalize's (PKCS#11 v3.2 §5.4.2)
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
	if m.users--; m.users > 0 || !m.quiet() {
		return nil
	}
	defer m.inside.Unlock()
	return rv(m.Finalize())
}

// quietWithin is how long calls that nobody waits for any more may go on before the
// module is left as it is.
const quietWithin = 2 * time.Second

// quiet waits until no call is inside, and keeps others out until inside is unlocked.
func (m *module) quiet() bool {
	for end := time.Now().Add(quietWithin); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if m.inside.TryLock() {
			return true
		}
	}
	return false
}

// again lets the module look for its tokens anew, which some do only when they
// are initialised. With other units on the module it is not done: they would
// lose their sessions; nor while a call hangs inside.
func (m *module) again() error {
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m.users == 1 && m.quiet() {
		defer m.inside.Unlock()
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
