package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/balancer"
	"grep11/server/soft"
	"grep11/server/unit"
)

// unitKinds opens each kind of unit. A unit beside an error is one that may come
// up later.
var unitKinds = map[string]func(UnitConfig, *slog.Logger) (unit.Unit, error){"soft": openSoft, "pkcs11": openHSM}

// openUnits opens all. A unit that cannot be opened stays down as long as another
// one is up.
func openUnits(configs []UnitConfig, log *slog.Logger) ([]balancer.Member, error) {
	var members []balancer.Member
	var failures []error
	for i, c := range configs {
		u, err := unitKinds[c.Kind](c, log)
		if err != nil {
			failures = append(failures, &keyError{"unit.name", i + 1, fmt.Errorf("unit %q: %w", c.Name, err)})
		}
		switch {
		case err != nil && u != nil:
			log.Error("crypto unit is down for now", "unit", c.Name, "cause", err)
		case err != nil:
			if u, err = standIn(c.Name, err); err != nil {
				return nil, errors.Join(err, closeUnits(members))
			}
		}
		members = append(members, balancer.Member{Unit: u, Zone: c.Zone, Kind: c.Kind, Concurrency: c.Concurrency, Patience: patience(c.Kind)})
	}
	if len(failures) == len(configs) {
		return nil, errors.Join(append(failures, closeUnits(members))...)
	}
	return members, nil
}

// down stands for a unit that could not be opened: it has no keys, and says why.
type down struct {
	unit.Unit
	cause error
}

func standIn(name string, cause error) (unit.Unit, error) {
	empty, err := soft.New(soft.Config{Name: name})
	if err != nil {
		return nil, err
	}
	if !errors.Is(cause, ck.CKR_IBM_WK_NOT_INITIALIZED) {
		cause = fmt.Errorf("%w: %w", cause, ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	return down{empty, cause}, nil
}

func (d down) WrappingKey() ([]byte, error) { return nil, d.cause }

func (d down) Check(context.Context) error { return d.cause }

// patience with one quick call: an emulated unit does nothing but compute, while
// the module of an HSM may wait for a device that is not there any more.
func patience(kind string) time.Duration {
	if kind == "soft" {
		return 0
	}
	return 2 * time.Second
}

func closeUnits(members []balancer.Member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

func openSoft(c UnitConfig, log *slog.Logger) (unit.Unit, error) {
	secret, err := c.Secret()
	if err != nil {
		return nil, err
	}
	u, err := soft.Open(c.State, secret, soft.Config{Name: c.Name, Log: log})
	if err != nil {
		return nil, err // and no unit in the interface
	}
	return u, nil
}

// Secret reads what seals the unit's state: a file of 32 random bytes, or one
// with a passphrase in its first line.
func (c UnitConfig) Secret() (s soft.Secret, err error) {
	switch {
	case c.KeyFile != "":
		s.Key, err = os.ReadFile(c.KeyFile)
	case c.PassphraseFile != "":
		s.Passphrase, err = os.ReadFile(c.PassphraseFile)
		s.Passphrase, _, _ = bytes.Cut(s.Passphrase, []byte("\n"))
	default:
		err = errors.New("key key_file or passphrase_file is needed")
	}
	return s, err
}
