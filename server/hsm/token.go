package hsm

import (
	"fmt"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// EnsureToken initialises the first empty token of a module for development,
// unless the module has one of the label.
func EnsureToken(c Config, soPIN ck.Secret) error {
	m, err := load(c.Module)
	if err != nil {
		return err
	}
	defer m.unload()
	conn := &connection{module: m}
	if conn.findSlot(c) == nil {
		return nil
	}
	slot, err := conn.emptySlot()
	if err != nil {
		return fmt.Errorf("%s: token %q: %w", c.Module, c.Token, err)
	}
	if err := conn.InitToken(slot, string(soPIN), c.Token); err != nil {
		return fmt.Errorf("%s: initialise token %q: %w", c.Module, c.Token, rv(err))
	}
	if err := conn.findSlot(c); err != nil { // it may have moved
		return err
	}
	return conn.initPIN(soPIN, c.PIN)
}

func (c *connection) emptySlot() (uint, error) {
	slots, err := c.GetSlotList(true)
	if err != nil {
		return 0, rv(err)
	}
	for _, slot := range slots {
		if info, err := c.GetTokenInfo(slot); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("it is not there, and no token waits to be initialised: %w", ck.CKR_TOKEN_NOT_PRESENT)
}

func (c *connection) initPIN(soPIN, pin ck.Secret) error {
	s, err := c.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return rv(err)
	}
	defer c.CloseSession(s)
	if err := c.Login(s, pkcs11.CKU_SO, string(soPIN)); err != nil {
		return fmt.Errorf("log in as the security officer: %w", rv(err))
	}
	defer c.Logout(s)
	return rv(c.InitPIN(s, string(pin)))
}
