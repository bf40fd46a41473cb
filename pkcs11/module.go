// Package pkcs11 is the module: slots, sessions, objects and operations of
// PKCS#11 over a GREP11 service. It is plain Go; package c puts the C ABI on it.
package pkcs11

import (
	"context"
	"log/slog"
	"time"

	"grep11/pkcs11/ck"
)

// Module is one initialised library. Its methods are the C_ functions of the
// standard without the prefix; any number of goroutines may call them.
type Module struct{}

// New is C_Initialize; reserved is the text at pReserved. It never fails for a
// configuration that is missing or wrong: the slots then say so.
func New(reserved string) (*Module, error) { return &Module{}, nil }

// Finalize is C_Finalize: it ends all calls under way and lets go of everything.
func (m *Module) Finalize(ctx context.Context) error { return nil }

// GetInfo is C_GetInfo.
func (m *Module) GetInfo(ctx context.Context) (ck.Info, error) { return ck.Info{}, nil }

// ConfigFile is the absolute path of the configuration in use, "" where none
// was found. A forked child is given it, for its environment may be gone.
func (m *Module) ConfigFile() string { return "" }

// CallTimeout bounds one call; 0 is no bound.
func (m *Module) CallTimeout() time.Duration { return 0 }

// Log takes a line per failed call, and every call at debug level; nil is no log.
func (m *Module) Log() *slog.Logger { return nil }

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
