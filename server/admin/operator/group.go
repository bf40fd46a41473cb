package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"grep11/server/admin/command"
)

// Group is the units of one service: a ceremony does the same to all of them.
type Group struct {
	Units []*Unit
	// Others are left as they are; Copy may bring a master key from one of them.
	Others []*Unit
	// DryRun: say what would be done, and do nothing.
	DryRun bool
	// Report takes one line about one unit as it happens.
	Report func(unit, text string)
	// assumed administrators were added in a dry run; later steps count on them.
	assumed []Administrator
}

func (g *Group) report(u *Unit, format string, args ...any) {
	if g.Report != nil {
		g.Report(u.Name, fmt.Sprintf(format, args...))
	}
}

// Look reads the state of all units.
func (g *Group) Look(ctx context.Context) ([]*View, error) {
	var views []*View
	for _, u := range g.Units {
		v, err := u.Look(ctx)
		if err != nil {
			return nil, err
		}
		v.Administrators = append(v.Administrators, g.assumed...)
		views = append(views, v)
	}
	if len(views) == 0 {
		return nil, errors.New("no crypto units")
	}
	return views, nil
}

// task is what is left to do in one unit. nil run: nothing.
type task struct {
	text string
	run  func(context.Context) error
}

func done(format string, args ...any) (task, error) {
	return task{text: fmt.Sprintf(format, args...)}, nil
}

// each plans a step for every unit before it is done in any, so that what is
// refused is refused before something changed.
func (g *Group) each(ctx context.Context, plan func(*Unit, *View) (task, error)) error {
	views, err := g.Look(ctx)
	if err != nil {
		return err
	}
	tasks := make([]task, len(views))
	var errs []error
	for i, u := range g.Units {
		if tasks[i], err = plan(u, views[i]); err != nil {
			errs = append(errs, fmt.Errorf("unit %s: %w", u.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, u := range g.Units {
		if err := g.perform(ctx, u, tasks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) perform(ctx context.Context, u *Unit, t task) error {
	switch {
	case t.run == nil:
		g.report(u, "nothing to do: %s", t.text)
		return nil
	case g.DryRun:
		g.report(u, "would %s", t.text)
		return nil
	}
	if err := t.run(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.text, err)
	}
	g.report(u, "done: %s", t.text)
	return nil
}

// one is a task of a single command.
func (u *Unit) one(text string, fn command.Function, payload []byte, by []*Key) task {
	return task{text, func(ctx context.Context) error {
		_, err := u.Execute(ctx, fn, payload, by...)
		return err
	}}
}

// signersFor picks as many keys as a unit asks for among those it knows.
func (v *View) signersFor(need uint32, keys []*Key) ([]*Key, error) {
	var by []*Key
	for _, k := range keys {
		ski, err := k.SKI()
		if err != nil {
			return nil, err
		}
		if v.has(ski) && uint32(len(by)) < need && !slices.Contains(by, k) {
			by = append(by, k)
		}
	}
	if uint32(len(by)) < need {
		return nil, fmt.Errorf("%d signatures are needed and %d of the given keys are administrators here: %w",
			need, len(by), &command.Refusal{Reason: command.XCP_RSC_SIGS_INSUFFICIENT})
	}
	return by, nil
}

// quorum signs with the threshold; nobody in imprint mode.
func (v *View) quorum(keys []*Key) ([]*Key, error) { return v.signersFor(v.Signatures, keys) }

// single signs with one key; nobody in imprint mode.
func (v *View) single(keys []*Key) ([]*Key, error) {
	return v.signersFor(min(1, v.Signatures), keys)
}

var errImprint = &command.Refusal{Reason: command.XCP_RSC_MODE_IMPRINT}

func (v *View) operational() error {
	if v.State != "operational" {
		return errImprint
	}
	return nil
}

// patterns says which unit has which pattern, for messages.
func patterns(views []*View, of func(*View) Pattern) string {
	var all []string
	for _, v := range views {
		all = append(all, v.Unit+" "+of(v).orEmpty())
	}
	return strings.Join(all, ", ")
}
