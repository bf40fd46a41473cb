package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"grep11/pkcs11/ck"
	"grep11/server/hsm"
	"grep11/server/unit"
)

// HSM says how a unit of kind pkcs11 reaches its HSM.
type HSM struct {
	Module  string `toml:"module"`   // its PKCS#11 module
	Token   string `toml:"token"`    // label; or
	Slot    *uint  `toml:"slot"`     // number
	PINFile string `toml:"pin_file"` // first line; or
	PINEnv  string `toml:"pin_env"`  // name of an environment variable
	// MasterKey is the label of the two keys that are the unit's wrapping key.
	MasterKey string `toml:"master_key"`
	// NextMasterKey is the same of those that are about to replace it.
	NextMasterKey string `toml:"next_master_key"`
	// CacheKeys bounds the keys that are session objects of the HSM at a time.
	CacheKeys int `toml:"cache_keys"`
	Sessions  int `toml:"sessions"`
	// Timeout bounds a call to the HSM, but for the making of key pairs.
	Timeout Duration `toml:"timeout"`
	// KeysInMemory lets keys pass the server's memory where the HSM cannot wrap,
	// unwrap or derive by a mechanism itself.
	KeysInMemory bool `toml:"keys_in_memory"`
}

// check refuses what cannot work, and gives the key that is wrong.
func (h HSM) check() (key string, err error) {
	switch {
	case h.Module == "":
		return "module", errors.New("key module is missing")
	case (h.Token == "") == (h.Slot == nil):
		return "token", errors.New("one of the keys token and slot is needed")
	case h.Slot != nil && int64(*h.Slot) < 0: // the decoder takes negative numbers for great ones
		return "slot", fmt.Errorf("key slot: %d is negative", int64(*h.Slot))
	case (h.PINFile == "") == (h.PINEnv == ""):
		return "pin_file", errors.New("one of the keys pin_file and pin_env is needed")
	case h.NextMasterKey != "" && h.NextMasterKey == cmp.Or(h.MasterKey, hsm.DefaultMasterKey):
		return "next_master_key", errors.New("key next_master_key is the label of the present one: make a new one with \"grep11 unit create --master-key LABEL\"")
	case h.CacheKeys < 0:
		return "cache_keys", fmt.Errorf("key cache_keys: %d is negative", h.CacheKeys)
	case h.Sessions < 0:
		return "sessions", fmt.Errorf("key sessions: %d is negative", h.Sessions)
	}
	return "", nil
}

func openHSM(c UnitConfig, log *slog.Logger) (unit.Unit, error) {
	config, err := c.HSM.Config(c.Name)
	if err != nil {
		return nil, err
	}
	config.Log = log
	u, err := hsm.Open(config)
	return u, err
}

// Config reads the PIN and gives what package hsm takes.
func (h HSM) Config(name string) (hsm.Config, error) {
	pin, err := h.pin()
	c := hsm.Config{Name: name, Module: h.Module, Token: h.Token, PIN: pin, MasterKey: h.MasterKey, NextMasterKey: h.NextMasterKey, CacheKeys: h.CacheKeys,
		Sessions: h.Sessions, Timeout: h.Timeout.Duration, KeysInMemory: h.KeysInMemory}
	if h.Slot != nil {
		c.Slot = *h.Slot
	}
	return c, err
}

func (h HSM) pin() (ck.Secret, error) {
	if h.PINEnv != "" {
		pin, ok := os.LookupEnv(h.PINEnv)
		if !ok {
			return nil, fmt.Errorf("key pin_env: %s is not set", h.PINEnv)
		}
		return ck.Secret(pin), nil
	}
	b, err := os.ReadFile(h.PINFile)
	if err != nil {
		return nil, fmt.Errorf("key pin_file: %w", err)
	}
	pin, _, _ := bytes.Cut(b, []byte("\n"))
	return ck.Secret(pin), nil
}
