package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"grep11/pkcs11/ck"
	"grep11/server"
	"grep11/server/durable"
	"grep11/server/soft"
	"grep11/server/unit"
)

// makeUnits makes the emulated units of a configuration that are not there yet.
// The first ones get a fresh master key, and one that joins others gets theirs.
func makeUnits(c server.Config) error {
	var present, missing []server.UnitConfig
	for _, u := range c.Units {
		if _, err := os.Stat(u.State); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, u)
		} else {
			present = append(present, u)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(present) > 0 {
		for _, u := range missing {
			secret, err := u.Secret()
			if err == nil {
				err = soft.Join(u.State, present[0].State, secret)
			}
			if err != nil {
				return fmt.Errorf("unit %q: %w", u.Name, err)
			}
		}
		return nil
	}
	return newUnits(missing)
}

func newUnits(units []server.UnitConfig) error {
	if err := makeKeyFile(units[0].KeyFile); err != nil {
		return err
	}
	master := make(ck.Secret, unit.LenWrappingKey)
	rand.Read(master)
	defer master.Wipe()
	for _, u := range units {
		secret, err := u.Secret()
		if err != nil {
			return err
		}
		if err := soft.Create(u.State, secret, master); err != nil {
			return fmt.Errorf("unit %q: %w", u.Name, err)
		}
	}
	return nil
}

func makeKeyFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key := make(ck.Secret, 32)
	rand.Read(key)
	defer key.Wipe()
	return durable.Replace(path, key, 0o600)
}
