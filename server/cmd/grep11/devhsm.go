package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/server"
	"grep11/server/durable"
	"grep11/server/hsm"
)

// devHSMToken is the token that `grep11 dev --hsm` makes on an HSM that has an
// empty one.
const devHSMToken = "grep11-dev"

// hsmPIN is of the HSM's user: given, or that of the token made here.
func (o devOptions) hsmPIN() ck.Secret {
	if pin, ok := os.LookupEnv("GREP11_HSM_PIN"); ok {
		return ck.Secret(pin)
	}
	return ck.Secret(devPIN)
}

// ownSoftHSM gives SoftHSM2 a folder of its own in the service's, unless the
// environment says where its tokens are.
func (d *folder) ownSoftHSM(modules []string) error {
	if _, ok := os.LookupEnv("SOFTHSM2_CONF"); ok || len(modules) == 0 || !strings.Contains(filepath.Base(modules[0]), "softhsm") {
		return nil
	}
	tokens := d.path("softhsm")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := durable.Replace(d.path("softhsm2.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	return os.Setenv("SOFTHSM2_CONF", d.path("softhsm2.conf"))
}

// hsmUnits makes token and master key of the HSMs where they are missing.
func (d *folder) hsmUnits(units []server.UnitConfig) error {
	for _, u := range units {
		c, err := u.HSM.Config(u.Name)
		if err == nil && c.Token == devHSMToken {
			err = hsm.EnsureToken(c, ck.Secret(devSOPIN))
		}
		if err == nil {
			err = hsm.Create(c)
		}
		if err != nil {
			return fmt.Errorf("unit %q: %w", u.Name, err)
		}
	}
	return nil
}

// absolute makes a module's path good in every folder; a bare name is the linker's to find.
func absolute(module string) string {
	if path, err := filepath.Abs(module); err == nil && strings.Contains(module, "/") {
		return path
	}
	return module
}

// prepareHSM does what comes before the configuration is read.
func (d *folder) prepareHSM(v devValues) error {
	modules := v.modules()
	if len(modules) == 0 {
		return nil
	}
	_, err := os.Stat(d.path("hsm.pin"))
	if _, given := os.LookupEnv("GREP11_HSM_PIN"); err != nil || given {
		err = durable.Replace(d.path("hsm.pin"), append(d.o.hsmPIN(), '\n'), 0o600)
	}
	return errors.Join(err, d.ownSoftHSM(modules))
}

func (v devValues) modules() (all []string) {
	for _, u := range v.Units {
		if u.Module != "" {
			all = append(all, u.Module)
		}
	}
	return all
}
