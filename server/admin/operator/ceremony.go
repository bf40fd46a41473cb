package operator

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// AddAdministrators adds those that a unit does not have yet.
func (g *Group) AddAdministrators(ctx context.Context, certs [][]byte, keys []*Key) error {
	for _, cert := range certs {
		ski, err := CertSKI(cert)
		if err != nil {
			return err
		}
		err = g.each(ctx, func(u *Unit, v *View) (task, error) {
			if v.has(ski) {
				return done("administrator %s is there", CertName(cert))
			}
			by, err := v.quorum(keys)
			return u.one("add administrator "+CertName(cert), command.XCP_ADM_DOM_ADMIN_LOGIN, cert, by), err
		})
		if err != nil {
			return err
		}
		if g.DryRun {
			g.assumed = append(g.assumed, Administrator{ski.String(), CertName(cert)})
		}
	}
	return nil
}

// RemoveAdministrator removes one where it is there.
func (g *Group) RemoveAdministrator(ctx context.Context, ski command.SKI, keys []*Key) error {
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if !v.has(ski) {
			return done("administrator %v is not there", ski)
		}
		by, err := v.signersFor(v.Revocations, keys)
		return u.one(fmt.Sprintf("remove administrator %v", ski), command.XCP_ADM_DOM_ADMIN_LOGOUT, ski[:], by), err
	})
}

// SetThresholds sets both; in imprint mode that makes a unit operational, and as many must sign as
// the new signature threshold says.
func (g *Group) SetThresholds(ctx context.Context, signatures, revocations uint32, keys []*Key) error {
	a := command.Attributes{command.XCP_ADMINT_SIGN_THR: signatures, command.XCP_ADMINT_REVOKE_THR: revocations}
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.Signatures == signatures && v.Revocations == revocations {
			return done("thresholds are %d and %d", signatures, revocations)
		}
		need := v.Signatures
		if v.State != "operational" {
			need = signatures
		}
		by, err := v.signersFor(need, keys)
		return u.one(fmt.Sprintf("set thresholds %d and %d", signatures, revocations), command.XCP_ADM_DOM_SET_ATTR, a.Marshal(), by), err
	})
}

// SetAttribute sets one attribute, by its name.
func (g *Group) SetAttribute(ctx context.Context, name string, value uint32, keys []*Key) error {
	i, ok := command.AttributeByName(name)
	if !ok {
		return fmt.Errorf("unknown attribute %q", name)
	}
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.Attributes[name] == value {
			return done("%s is %#x", name, value)
		}
		by, err := v.quorum(keys)
		return u.one(fmt.Sprintf("set %s to %#x", name, value), command.XCP_ADM_DOM_SET_ATTR, command.Attributes{i: value}.Marshal(), by), err
	})
}

// SetControlPoints sets the policy exactly.
func (g *Group) SetControlPoints(ctx context.Context, s command.ControlPoints, keys []*Key) error {
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.ControlPoints == s.String() {
			return done("control points are %s", command.ProfileOf(s))
		}
		if err := v.operational(); err != nil {
			return task{}, err
		}
		by, err := v.quorum(keys)
		return u.one("set control points to "+command.ProfileOf(s), command.XCP_ADM_DOM_CTRLPOINT_SET, s[:], by), err
	})
}

// Load brings the same key parts into all units. It answers the pattern of
// the key they make.
func (g *Group) Load(ctx context.Context, parts []ck.Secret, kind command.ImporterType, keys []*Key) (Pattern, error) {
	if len(parts) < 2 {
		return "", &command.Refusal{Reason: command.XCP_RSC_IMPR_SINGLE_KEYPART}
	}
	for i, p := range parts {
		for _, q := range parts[:i] {
			if bytes.Equal(p, q) {
				return "", &command.Refusal{Reason: command.XCP_RSC_IMPR_KEYPARTS_CONFLICT}
			}
		}
	}
	key := command.Combine(parts)
	target := patternOf(command.Pattern(key))
	key.Wipe()
	return target, g.each(ctx, func(u *Unit, v *View) (task, error) {
		switch {
		case v.Next == target:
			return done("the new master key is loaded")
		case v.Next != "":
			return task{}, fmt.Errorf("another new master key is loaded, pattern %s, the parts make %s: clear it first", v.Next, target)
		case v.Current == target:
			return done("the master key is active")
		}
		if err := v.operational(); err != nil {
			return task{}, err
		}
		by, err := v.signersFor(1, keys)
		return task{fmt.Sprintf("load %d key parts", len(parts)), func(ctx context.Context) error {
			return u.load(ctx, parts, kind, target, append(by, others(v, keys, by)...))
		}}, err
	})
}

// others are the remaining keys that may sign parts, so that each part can have its own signer.
func others(v *View, keys, but []*Key) []*Key {
	var all []*Key
	for _, k := range keys {
		if ski, err := k.SKI(); err == nil && v.has(ski) && k != but[0] {
			all = append(all, k)
		}
	}
	return all
}

// load is one unit's import: a fresh importer, the parts encrypted to it, each signed.
func (u *Unit) load(ctx context.Context, parts []ck.Secret, kind command.ImporterType, target Pattern, by []*Key) error {
	spki, err := u.importer(ctx, kind, by[0])
	if err != nil {
		return err
	}
	importer, err := command.ParseImporter(spki)
	if err != nil {
		return err
	}
	var sealed [][]byte
	for _, p := range parts {
		whole := append(append(ck.Secret(nil), p...), target.Bytes()...)
		s, err := command.EncryptPart(importer, whole)
		whole.Wipe()
		if err != nil {
			return err
		}
		sealed = append(sealed, s)
	}
	return u.importSealed(ctx, sealed, target, by)
}

// importer makes a unit's key for one import and answers its public half.
func (u *Unit) importer(ctx context.Context, kind command.ImporterType, by *Key) ([]byte, error) {
	return u.Execute(ctx, command.XCP_ADM_GEN_DOM_IMPORTER, binary.BigEndian.AppendUint32(nil, uint32(kind)), by)
}

// importSealed brings in parts that are encrypted to the unit's importer; the keys sign them in turn.
func (u *Unit) importSealed(ctx context.Context, sealed [][]byte, target Pattern, by []*Key) error {
	var payload []byte
	for i, s := range sealed {
		block := u.Prepare(command.XCP_ADM_IMPORT_WK, s)
		signature, err := by[i%len(by)].Sign(block)
		if err != nil {
			return err
		}
		request := command.PartRequest{Domain: u.domain.Index, Block: block, Signatures: signature}
		payload = append(payload, request.Marshal()...)
	}
	got, err := u.Execute(ctx, command.XCP_ADM_IMPORT_WK, payload)
	if err == nil && patternOf(got) != target {
		err = fmt.Errorf("unit %s made pattern %x of the parts, expected %s", u.Name, got, target)
	}
	return err
}

// target is the one new master key of all units; some may have activated it already.
func target(views []*View) (Pattern, error) {
	var t Pattern
	for _, v := range views {
		if v.Next != "" && t != "" && v.Next != t {
			return "", fmt.Errorf("the units have different new master keys: %s", patterns(views, func(v *View) Pattern { return v.Next }))
		}
		if v.Next != "" {
			t = v.Next
		}
	}
	for _, v := range views {
		if t != "" && v.Next == "" && v.Current != t {
			return "", fmt.Errorf("unit %s lacks the new master key of the others, %s: load it there first", v.Unit, t)
		}
	}
	return t, nil
}

// ErrNothing means that no unit has a new master key.
var ErrNothing = errors.New("no unit has a new master key")

// Commit approves the new master key in all units. With expect, only if it is this one.
func (g *Group) Commit(ctx context.Context, expect Pattern, keys []*Key) (Pattern, error) {
	t, err := g.Target(ctx)
	if err != nil {
		return "", err
	}
	if expect != "" && expect != t {
		return "", fmt.Errorf("the new master key is %s, not %s: %w", t, expect, &command.Refusal{Reason: command.XCP_RSC_WK_MISMATCH})
	}
	return t, g.each(ctx, func(u *Unit, v *View) (task, error) {
		switch {
		case v.Next == "" && v.Current == t:
			return done("the new master key is active")
		case v.NextState == "committed":
			return done("the new master key is committed")
		}
		by, err := v.quorum(keys)
		return u.one("commit "+t.Short(), command.XCP_ADM_COMMIT_WK, t.Bytes(), by), err
	})
}

// Target is the new master key that all units have, or have activated already; ErrNothing for none.
func (g *Group) Target(ctx context.Context) (Pattern, error) {
	views, err := g.Look(ctx)
	if err != nil {
		return "", err
	}
	t, err := target(views)
	if err == nil && t == "" {
		err = ErrNothing
	}
	return t, err
}

// Proof counts the stored keys that are not sealed under the key of a pattern, or for ClearNew those that are.
type Proof func(ctx context.Context, t Pattern) (keys uint64, err error)

// Finalize activates the committed key in all units. Where it replaces another one, proof must
// find no stored key left under that; nil skips this and gives the old keys up.
func (g *Group) Finalize(ctx context.Context, proof Proof, keys []*Key) (Pattern, error) {
	views, err := g.Look(ctx)
	if err != nil {
		return "", err
	}
	t, err := target(views)
	if err != nil {
		return "", err
	}
	if t == "" {
		return g.finalized(views)
	}
	for _, v := range views {
		if v.Next == t && v.NextState != "committed" {
			return "", fmt.Errorf("unit %s has not committed the new master key: %w", v.Unit, &command.Refusal{Reason: command.XCP_RSC_COMMITTED_WK_MISSING})
		}
	}
	if err := proven(ctx, views, t, proof); err != nil {
		return "", err
	}
	return t, g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.Next == "" {
			return done("the master key is active")
		}
		by, err := v.single(keys)
		return u.one("activate "+t.Short(), command.XCP_ADM_FINALIZE_WK, t.Bytes(), by), err
	})
}

// finalized answers for a step that was done already.
func (g *Group) finalized(views []*View) (Pattern, error) {
	for _, v := range views {
		if v.Current == "" || v.Current != views[0].Current {
			return "", ErrNothing
		}
	}
	for _, u := range g.Units {
		g.report(u, "nothing to do: the master key is active")
	}
	return views[0].Current, nil
}

func proven(ctx context.Context, views []*View, t Pattern, proof Proof) error {
	for _, v := range views {
		if v.Current == "" || v.Current == t || proof == nil {
			continue
		}
		left, err := proof(ctx, t)
		if err != nil {
			return fmt.Errorf("whether stored keys are left under the old master key: %w", err)
		}
		if left > 0 {
			return fmt.Errorf("%d stored keys are still sealed under the old master key: rewrap them first", left)
		}
		return nil
	}
	return nil
}

// ErrHalfActive means that clearing would strand units that already activated the key.
var ErrHalfActive = errors.New("a unit has activated this master key already: finalize the others instead")

// ClearNew empties the register for a new master key in all units. sealed must find no stored key under
// that key, for it would not open any more; nil skips this.
func (g *Group) ClearNew(ctx context.Context, sealed Proof, keys []*Key) error {
	views, err := g.Look(ctx)
	if err != nil {
		return err
	}
	for _, v := range views {
		if v.NextState != "committed" {
			continue
		}
		if err := clearable(ctx, views, v.Next, sealed); err != nil {
			return err
		}
	}
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.Next == "" {
			return done("the register is empty")
		}
		by, err := v.single(keys)
		return u.one("clear the new master key", command.XCP_ADM_CLEAR_NEXT_WK, nil, by), err
	})
}

// clearable tells why a committed key must stay.
func clearable(ctx context.Context, views []*View, t Pattern, sealed Proof) error {
	for _, w := range views {
		if t == w.Current {
			return fmt.Errorf("unit %s: %w", w.Unit, ErrHalfActive)
		}
	}
	if sealed == nil {
		return nil
	}
	switch n, err := sealed(ctx, t); {
	case err != nil:
		return fmt.Errorf("whether stored keys are sealed under the new master key: %w", err)
	case n > 0:
		return fmt.Errorf("%d stored keys are sealed under the new master key already and open with nothing else: activate it", n)
	}
	return nil
}

// ClearCurrent empties the current register: no key works after it.
func (g *Group) ClearCurrent(ctx context.Context, keys []*Key) error {
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		if v.Current == "" {
			return done("the register is empty")
		}
		if err := v.operational(); err != nil {
			return task{}, err
		}
		by, err := v.single(keys)
		return u.one("clear the current master key", command.XCP_ADM_CLEAR_WK, nil, by), err
	})
}

// Zeroize takes everything from the units but their identity.
func (g *Group) Zeroize(ctx context.Context, keys []*Key) error {
	return g.each(ctx, func(u *Unit, v *View) (task, error) {
		need := min(1, v.Signatures)
		if v.Attributes[command.XCP_ADMINT_PERMS.String()]&command.XCP_ADMP_ZERO_1SIGN == 0 {
			need = v.Signatures
		}
		by, err := v.signersFor(need, keys)
		return u.one("zeroize", command.XCP_ADM_DOM_ZEROIZE, nil, by), err
	})
}
