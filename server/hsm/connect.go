package hsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
)

// connected gives the connection, a new one where there is none. Caller holds p.mu.
func (p *pool) connected() (*connection, error) {
	if p.conn != nil {
		return p.conn, nil
	}
	if p.refused != nil {
		return nil, p.refused
	}
	c, err := p.connect()
	if err != nil {
		return nil, fault("%w", err)
	}
	p.conn = c
	p.last.Store(c)
	return c, nil
}

// connect logs in and finds the master key. Caller holds p.mu.
func (p *pool) connect() (*connection, error) {
	c, err := p.login()
	if err != nil {
		return nil, err
	}
	if err := p.prepare(c); err != nil {
		_ = c.CloseSession(c.control)
		return nil, err
	}
	return c, nil
}

// prepare makes the login usable. Caller holds p.mu.
func (p *pool) prepare(c *connection) (err error) {
	if c.uses, err = c.mechanisms(); err != nil {
		return err
	}
	c.probe()
	if err := c.chooseWrapping(); err != nil {
		return err
	}
	if c.current, err = c.masterKey(p.config.MasterKey); err != nil {
		return err
	}
	if p.config.NextMasterKey != "" {
		if c.next, err = c.masterKey(p.config.NextMasterKey); err != nil {
			return err
		}
	}
	for i, m := range []*master{c.current, c.next} {
		if m == nil {
			continue
		}
		if p.pattern[i] != nil && !bytes.Equal(p.pattern[i], m.wk.Pattern()) {
			return fmt.Errorf("the HSM holds another master key than before, patterns %s and %s: %w",
				hex.EncodeToString(m.wk.Pattern()), hex.EncodeToString(p.pattern[i]), ck.CKR_DEVICE_ERROR)
		}
		p.pattern[i] = m.wk.Pattern()
	}
	return nil
}

// login opens the session that keeps the login. Caller holds p.mu.
func (p *pool) login() (*connection, error) {
	if p.mod == nil {
		m, err := load(p.config.Module)
		if err != nil {
			return nil, err
		}
		p.mod = m
	}
	c := &connection{module: p.mod}
	err := c.findSlot(p.config)
	if err != nil {
		err = p.lookAgain(c)
	}
	if err != nil {
		return nil, err
	}
	if c.control, err = c.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return nil, fmt.Errorf("open a session: %w", rv(err))
	}
	err = rv(c.Login(c.control, pkcs11.CKU_USER, string(p.config.PIN)))
	if err == nil || errors.Is(err, ck.CKR_USER_ALREADY_LOGGED_IN) {
		return c, nil
	}
	_ = c.CloseSession(c.control)
	err = fmt.Errorf("log in to the HSM: %w", err)
	if wrongPIN[ck.RVOf(err)] {
		// Trying again would lock the HSM.
		p.refused = fault("%w: give the right PIN and start the server again", err)
		return nil, p.refused
	}
	return nil, err
}

var wrongPIN = map[ck.RV]bool{
	ck.CKR_PIN_INCORRECT: true, ck.CKR_PIN_LOCKED: true, ck.CKR_PIN_EXPIRED: true,
	ck.CKR_PIN_LEN_RANGE: true, ck.CKR_PIN_INVALID: true, ck.CKR_USER_PIN_NOT_INITIALIZED: true,
}

// lookAgain is for a token that was put back: some modules look only when they
// are initialised. All earlier sessions are gone then. Caller holds p.mu.
func (p *pool) lookAgain(c *connection) error {
	if l := p.last.Load(); l != nil {
		l.all = true
	}
	if err := c.again(); err != nil {
		return err
	}
	return c.findSlot(p.config)
}

func (c *connection) findSlot(config Config) error {
	slots, err := c.GetSlotList(true)
	if err != nil {
		return fmt.Errorf("list slots: %w", rv(err))
	}
	var labels []string
	for _, slot := range slots {
		info, err := c.GetTokenInfo(slot)
		if err != nil {
			continue // it went this moment, or is broken
		}
		label := strings.TrimRight(info.Label, " ")
		if config.Token != "" && config.Token == label || config.Token == "" && config.Slot == slot {
			c.slot = slot
			return nil
		}
		labels = append(labels, fmt.Sprintf("%d %q", slot, label))
	}
	want := fmt.Sprintf("no token %q", config.Token)
	if config.Token == "" {
		want = fmt.Sprintf("no token in slot %d", config.Slot)
	}
	return fmt.Errorf("%s: %s; there are: %s: %w", config.Module, want, strings.Join(labels, ", "), ck.CKR_TOKEN_NOT_PRESENT)
}

// mechanisms lists what the HSM has, with the flags of each.
func (c *connection) mechanisms() (map[ck.MechanismType]ck.Flags, error) {
	list, err := c.GetMechanismList(c.slot)
	if err != nil {
		return nil, fmt.Errorf("list mechanisms: %w", rv(err))
	}
	uses := make(map[ck.MechanismType]ck.Flags, len(list))
	for _, m := range list {
		if info, err := c.GetMechanismInfo(c.slot, []*pkcs11.Mechanism{m}); err == nil {
			uses[ck.MechanismType(m.Mechanism)] = ck.Flags(info.Flags)
		}
	}
	return uses, nil
}
