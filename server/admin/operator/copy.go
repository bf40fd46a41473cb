package operator

import (
	"context"
	"fmt"
	"slices"

	"grep11/server/admin/command"
)

// Copy brings the current master key of one unit, by its name, into the register for a new one
// of the units that have none. It goes from unit to unit, in two parts encrypted to
// the importer of the unit that takes it: no part is needed, and no person sees one. The quorum
// signs. The unit it comes from must permit export of its master key.
func (g *Group) Copy(ctx context.Context, from string, kind command.ImporterType, keys []*Key) (Pattern, error) {
	source, v, err := g.source(ctx, from)
	if err != nil {
		return "", err
	}
	quorum, err := v.quorum(keys)
	if err != nil {
		return "", fmt.Errorf("unit %s: %w", from, err)
	}
	return v.Current, g.each(ctx, func(u *Unit, w *View) (task, error) {
		switch {
		case w.Current == v.Current:
			return done("the master key is active")
		case w.Next == v.Current:
			return done("the master key is loaded")
		case w.Current != "":
			return task{}, fmt.Errorf("it has another master key, %s, than unit %s, %s: a copy is for units without one", w.Current, from, v.Current)
		case w.Next != "":
			return task{}, fmt.Errorf("another new master key is loaded, pattern %s: clear it first", w.Next)
		}
		if err := w.operational(); err != nil {
			return task{}, err
		}
		by, err := w.signersFor(1, keys)
		return task{"copy the master key of unit " + from, func(ctx context.Context) error {
			return u.copyFrom(ctx, source, v.Current, kind, quorum, append(by, others(w, keys, by)...))
		}}, err
	})
}

// source is the unit to copy from, if it can give its key away.
func (g *Group) source(ctx context.Context, name string) (*Unit, *View, error) {
	for _, u := range slices.Concat(g.Units, g.Others) {
		if u.Name != name {
			continue
		}
		v, err := u.Look(ctx)
		switch {
		case err != nil:
			return nil, nil, err
		case v.Current == "":
			return nil, nil, fmt.Errorf("unit %s: %w", name, &command.Refusal{Reason: command.XCP_RSC_WK_MISSING})
		}
		index := command.XCP_ADMINT_PERMS.String()
		if p := v.Attributes[index]; p&command.XCP_ADMP_WK_EXPORT == 0 {
			return nil, nil, fmt.Errorf("unit %s: %w; the quorum permits it with: grep11 unit attribute %s %#x --unit %s, and takes that back with %#x",
				name, &command.Refusal{Reason: command.XCP_RSC_EXPORT_WK_PROHIBITED}, index, p|command.XCP_ADMP_WK_EXPORT, name, p)
		}
		return u, v, nil
	}
	return nil, nil, fmt.Errorf("there is no unit %q to copy from", name)
}

// copyFrom is one unit's copy: what the other one exports is read by nobody but this one.
func (u *Unit) copyFrom(ctx context.Context, source *Unit, target Pattern, kind command.ImporterType, quorum, by []*Key) error {
	spki, err := u.importer(ctx, kind, by[0])
	if err != nil {
		return err
	}
	request := command.ExportRequest{Holders: [][]byte{spki, spki}}
	answer, err := source.Execute(ctx, command.XCP_ADM_EXPORT_WK, request.Marshal(), quorum...)
	if err != nil {
		return err
	}
	parts, err := command.ParseExport(answer)
	if err != nil {
		return fmt.Errorf("unit %s: %w", source.Name, err)
	}
	return u.importSealed(ctx, parts.Holders, target, by)
}
