package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
)

func unitDrain(f *unitFlags) *cobra.Command {
	wait := time.Minute
	c := &cobra.Command{
		Use:   "drain UNIT...",
		Short: "Take crypto units out of service and wait for the calls inside them",
		Long: `Take crypto units out of service, for work on them: they get no new calls, and the
command waits until those inside have ended. "grep11 unit resume" puts them back; so does
a restart of their server. Units are named as in "grep11 unit list"; where there are
several servers, NAME@SERVER.`,
		Example: "  grep11 unit drain unit1\n  grep11 unit drain unit1@hsm1.example.com:9876 --wait 5m",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.each(c, args, func(ctx context.Context, u placedUnit, rows []unitRow) error {
				return f.drain(ctx, u, rows, wait)
			})
		},
	}
	c.Flags().DurationVar(&wait, "wait", wait, "how long to wait for calls inside; 0: not at all")
	return c
}

func unitResume(f *unitFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "resume UNIT...",
		Short:   "Put drained crypto units back in service",
		Example: "  grep11 unit resume unit1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.each(c, args, func(ctx context.Context, u placedUnit, _ []unitRow) error {
				_, err := u.client.DrainUnit(ctx, u.Name, false)
				return err
			})
		},
	}
}

// placedUnit is a unit with the client of its server.
type placedUnit struct {
	unitRow
	client *grep11client.Client
}

// each does something with each unit named, and shows all in the end. It does
// nothing where a name is wrong.
func (f *unitFlags) each(c *cobra.Command, names []string, do func(context.Context, placedUnit, []unitRow) error) error {
	f.passwords.t = openTerminal()
	ctx := background(c)
	return f.servers(func(clients []*grep11client.Client, addresses []string) error {
		rows := unitRows(ctx, clients, addresses)
		var units []placedUnit
		for _, name := range names {
			r, err := named(rows, name)
			if err != nil {
				return err
			}
			units = append(units, placedUnit{r, clients[slices.Index(addresses, r.Server)]})
		}
		for _, u := range units {
			if err := do(ctx, u, unitRows(ctx, clients, addresses)); err != nil {
				return fmt.Errorf("%s@%s: %w", u.Name, u.Server, err)
			}
		}
		return f.printUnits(c.OutOrStdout(), unitRows(ctx, clients, addresses))
	})
}

// named finds a unit by NAME or NAME@SERVER.
func named(rows []unitRow, name string) (found unitRow, err error) {
	var there []string
	n := 0
	for _, r := range rows {
		full := r.Name + "@" + r.Server
		there = append(there, full)
		if r.Name != "" && (name == full || name == r.Name) {
			found = r
			n++
		}
	}
	switch n {
	case 0:
		return found, fmt.Errorf("no crypto unit is called %q; there are %s", name, strings.Join(there, ", "))
	case 1:
		return found, nil
	}
	return found, fmt.Errorf("%d crypto units are called %q: add @ and the server", n, name)
}

func (f *unitFlags) drain(ctx context.Context, u placedUnit, rows []unitRow, wait time.Duration) error {
	if f.dryRun {
		return nil
	}
	others := func(r unitRow) bool {
		return r.Healthy && !r.Drained && (r.Name != u.Name || r.Server != u.Server)
	}
	if !slices.ContainsFunc(rows, others) && !f.yes {
		if err := f.passwords.t.confirm("No other crypto unit is in service: all calls will fail."); err != nil {
			return err
		}
	}
	until := time.Now().Add(wait)
	for {
		load, err := u.client.DrainUnit(ctx, u.Name, true)
		if err != nil || load == 0 || wait == 0 {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("it is drained, but %d calls are still inside after %v", load, wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
