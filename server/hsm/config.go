package hsm

import (
	"log/slog"
	"time"

	"grep11/pkcs11/ck"
)

// Config describes a unit. Zero numbers are the defaults.
type Config struct {
	Name   string
	Module string // path of the HSM's PKCS#11 module
	// Token is the label of the HSM's token; empty: Slot counts.
	Token string
	Slot  uint
	PIN   ck.Secret
	// MasterKey is the label of the two keys that are the wrapping key.
	MasterKey string
	// NextMasterKey is the same of those that replace it, while they do; or empty.
	NextMasterKey string
	// CacheKeys bounds the session objects that are kept for later calls.
	CacheKeys int
	// Sessions bounds those of the HSM; one more is open for its login.
	Sessions int
	// Timeout bounds a call to the HSM, Generate one that makes a key pair.
	Timeout, Generate time.Duration
	// KeysInMemory lets keys pass the server's memory in the clear when they
	// are wrapped, unwrapped or derived by a mechanism that the HSM lacks.
	KeysInMemory bool
	Log          *slog.Logger
}

// DefaultMasterKey is the label of a master key that the configuration does not name.
const DefaultMasterKey = "grep11 master key"

func (c Config) withDefaults() Config {
	if c.MasterKey == "" {
		c.MasterKey = DefaultMasterKey
	}
	if c.CacheKeys <= 0 {
		c.CacheKeys = 1000
	}
	if c.Sessions <= 0 {
		c.Sessions = 16
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Generate <= 0 {
		c.Generate = 2 * time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = c.Log.With("unit", c.Name)
	return c
}
