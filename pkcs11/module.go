package pkcs11

import (
	"cmp"
	"context"
	"crypto/cipher"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

// Module is one initialised library. Its methods are the C_ functions of the
// standard without the prefix; any number of goroutines may call them.
type Module struct {
	file     string        // immutable
	timeout  time.Duration // immutable; of one call
	log      *slog.Logger  // immutable
	trace    bool          // immutable; wants a line per call
	logTo    io.Closer     // immutable
	services []*service    // immutable
	faulty   *slot         // immutable; the one slot of a wrong configuration
	sessions *table[ck.SessionHandle, *session]
	seal     cipher.AEAD // immutable; of saved operations
	end      sync.Once
	ended    chan struct{} // closed by Finalize
}

// New is C_Initialize; reserved is the text at pReserved, getenv reads the
// process's environment. It sends nothing, and never fails for a configuration
// that is missing or wrong: the slots then say so. Where the process may open no file
// it is CKR_HOST_MEMORY, for that passes.
func New(reserved string, getenv func(string) string) (*Module, error) {
	c, err := loadSettings(reserved, getenv)
	if errors.Is(err, ck.CKR_HOST_MEMORY) {
		return nil, err
	}
	m := &Module{
		file: c.file, sessions: newTable[ck.SessionHandle, *session](0), ended: make(chan struct{}), seal: newStateSeal(),
	}
	m.log, m.logTo = newLog(c.log)
	m.trace = c.log.trace
	if err == nil {
		err = m.connect(c)
	}
	if err != nil {
		m.log.Error("configuration", "error", err)
		m.services, m.faulty = nil, newSlot(0, nil)
	}
	return m, nil
}

// Crowded marks a call's context where the application's threads are many.
func Crowded(ctx context.Context) context.Context { return grep11client.Crowded(ctx) }

// slotsApart is how far the slots of two services lie apart.
const slotsApart = 1 << 16

// connect makes the services. One token of a service has the number of its
// [[slot]] as slot id; where a [[slot]] stands for a whole service the tokens'
// numbers are added to its own, which then count in steps of slotsApart.
func (m *Module) connect(c settings) error {
	apart := 1
	for _, conf := range c.slots {
		if conf.Token == "" {
			apart = slotsApart
		}
		m.timeout = max(m.timeout, conf.Timeouts.Call, conf.Timeouts.Generate)
	}
	for i, conf := range c.slots {
		client, err := grep11client.New(conf)
		if err != nil {
			m.closeClients()
			return err
		}
		v := newService(client, conf.Token, ck.SlotID(i*apart))
		v.localPublicOps, v.wrapPoints, v.synthetic = conf.LocalPublicOps, c.wrapPoints, c.synthetic
		v.patience = cmp.Or(conf.Timeouts.Unreachable, grep11client.DefaultTimeouts.Unreachable)
		m.services = append(m.services, v)
	}
	return nil
}

func (m *Module) closeClients() {
	for _, v := range m.services {
		v.client.Close()
	}
}

// Finalize is C_Finalize: it ends all calls under way and lets go of
// everything. It does not wait for the network.
func (m *Module) Finalize(ctx context.Context) error {
	err := error(ck.CKR_CRYPTOKI_NOT_INITIALIZED)
	m.end.Do(func() {
		close(m.ended)
		m.closeClients()
		err = m.logTo.Close()
	})
	return err
}

// GetInfo is C_GetInfo.
func (m *Module) GetInfo(ctx context.Context) (ck.Info, error) {
	return ck.Info{
		CryptokiVersion: ck.Version{Major: 3, Minor: 2}, ManufacturerID: manufacturer,
		LibraryDescription: "PKCS#11 for GREP11 services", LibraryVersion: libraryVersion,
	}, nil
}

// ConfigFile is the absolute path of the configuration in use, "" where none
// was found. A forked child is given it, for its environment may be gone.
func (m *Module) ConfigFile() string { return m.file }

// CallTimeout bounds one call; 0 is no bound.
func (m *Module) CallTimeout() time.Duration { return m.timeout }

// Lines is how many callers at a time have connections of their own.
func (m *Module) Lines() (n int) {
	for _, v := range m.services {
		n = max(n, v.client.Lines())
	}
	return n
}

// Log takes a line per failed call, and every call at debug level.
func (m *Module) Log() *slog.Logger { return m.log }

// Trace tells whether the log wants a line per call, whatever its level.
func (m *Module) Trace() bool { return m.trace }

// AttributeOutput is one attribute of C_GetAttributeValue's template: the type
// wanted, the caller's buffer (nil asks for the length) and its ulValueLen,
// set to CK_UNAVAILABLE_INFORMATION where the value cannot be given. Sub is the
// caller's nested template for array attributes of templates.
type AttributeOutput struct {
	Type ck.AttributeType
	Buf  []byte
	Len  *uint64
	Sub  []AttributeOutput
}
