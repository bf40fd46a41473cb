package soft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"grep11/pkcs11/ck"
	"grep11/server/admin"
	"grep11/server/admin/command"
	"grep11/server/unit"
)

// auditFile is beside the state in a unit's folder.
const auditFile = "audit.log"

// Create makes the state folder of a new unit: without a master key in imprint
// mode, with one as a development unit that nobody owns yet (package admin).
// Units of one service get the same.
func Create(dir string, s Secret, master ck.Secret) error {
	if master != nil && len(master) != unit.LenWrappingKey {
		return fmt.Errorf("master key of %d bytes instead of %d: %w", len(master), unit.LenWrappingKey, ck.CKR_ARGUMENTS_BAD)
	}
	f, err := MakeFolder(dir, s)
	if err != nil {
		return err
	}
	log, err := admin.OpenLog(filepath.Join(dir, auditFile))
	if err != nil {
		return err
	}
	nowhere := admin.Host{Save: f.Save, Install: func(r admin.Registers, _ command.ControlPoints) { r.Current.Wipe() }}
	_, err = admin.Create(nowhere, log, master)
	return errors.Join(err, log.Close())
}

// Join makes the folder of a unit beside another one of a development service:
// with the same master key and an identity of its own. Where the other unit has
// owners, the new one starts in imprint mode, for them to bring the key.
func Join(dir, beside string, s Secret) error {
	_, state, err := OpenFolder(beside, s)
	if err != nil {
		return err
	}
	defer clear(state)
	master, err := admin.DevelopmentKey(state)
	if err != nil {
		return err
	}
	defer master.Wipe()
	return Create(dir, s, master)
}

// Open starts a unit that Create made. Its master keys come from the folder,
// all else from c.
func Open(dir string, s Secret, c Config) (*Unit, error) {
	c.MasterKey = nil
	u, err := New(c)
	if err == nil {
		err = u.administer(dir, s, c.Log)
	}
	if err != nil {
		return nil, fmt.Errorf("crypto unit %s: %w", c.Name, err)
	}
	return u, nil
}

func (u *Unit) administer(dir string, s Secret, log *slog.Logger) error {
	f, state, err := OpenFolder(dir, s)
	if err != nil {
		return err
	}
	defer clear(state)
	if u.auditLog, err = admin.OpenLog(filepath.Join(dir, auditFile)); err != nil {
		return down("%v", err)
	}
	f.tidy()
	if u.domain, err = admin.Open(u.host(f, log), u.auditLog, state); err != nil {
		return errors.Join(down("%v", err), u.auditLog.Close())
	}
	return nil
}

// host is what the unit's administration needs of it.
func (u *Unit) host(f *Folder, log *slog.Logger) admin.Host {
	if log != nil {
		log = log.With("unit", u.name)
	}
	return admin.Host{
		Save: f.Save,
		Install: func(r admin.Registers, p command.ControlPoints) {
			u.policy.Store(newPolicy(p))
			if err := u.Install(Registers(r)); err != nil {
				panic("soft: registers of the wrong length: " + err.Error()) // package admin checks them
			}
		},
		Rewrap: func(ctx context.Context, blob []byte) ([]byte, error) { return u.Rewrap(ctx, blob) },
		Log:    log,
	}
}

// Administration is the unit's domain, nil for a unit in memory.
func (u *Unit) Administration() *admin.Domain { return u.domain }
