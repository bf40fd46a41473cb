package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"grep11/server/admin"
	"grep11/server/admin/operator"
)

func unitShow(f *unitFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the state of the crypto units, from their signed answers",
		Example: "  grep11 unit show --unit unit1 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c, false, func(ctx context.Context, s *session) error { return s.finish(ctx) })
		},
	}
}

func printViews(w io.Writer, views []*operator.View) error {
	for _, v := range views {
		fmt.Fprintf(w, "%s (%s, life %d): %s\n", v.Unit, v.Module, v.Instance, v.State)
		fmt.Fprintf(w, "  thresholds     %d to sign, %d to revoke\n", v.Signatures, v.Revocations)
		for _, a := range v.Administrators {
			fmt.Fprintf(w, "  administrator  %s  %s\n", a.SKI, a.Name)
		}
		fmt.Fprintf(w, "  policy         %s %s\n", v.Profile, v.ControlPoints)
		fmt.Fprintf(w, "  master key     %s\n", shown(v.Current))
		if _, err := fmt.Fprintf(w, "  new            %s %s\n", v.NextState, v.Next); err != nil {
			return err
		}
	}
	for _, d := range operator.Compare(views) {
		fmt.Fprintf(w, "The units differ: %v\n", d)
	}
	_, err := fmt.Fprintln(w, operator.NextStep(views))
	return err
}

func shown(p operator.Pattern) string {
	if p == "" {
		return "empty"
	}
	return string(p)
}

func unitCompare(f *unitFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "compare",
		Short:   "Compare all crypto units; the exit status is 1 if they differ",
		Example: "  grep11 unit compare --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c, false, func(ctx context.Context, s *session) error {
				views, err := s.Look(ctx)
				if err != nil {
					return err
				}
				return f.compare(c.OutOrStdout(), views)
			})
		},
	}
}

func (f *unitFlags) compare(w io.Writer, views []*operator.View) error {
	all := operator.Compare(views)
	if f.json {
		if all == nil {
			all = []operator.Difference{}
		}
		if err := printJSON(w, all); err != nil {
			return err
		}
	} else if len(all) == 0 {
		fmt.Fprintf(w, "%d crypto units, all alike\n", len(views))
	}
	if len(all) == 0 {
		return nil
	}
	for _, d := range all {
		if !f.json {
			fmt.Fprintln(w, d)
		}
	}
	return exitStatus(1)
}

type auditRow struct {
	Unit     string    `json:"unit"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Event    string    `json:"event"`
	Signers  []string  `json:"signers,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Current  string    `json:"current,omitempty"`
	New      string    `json:"new,omitempty"`
}

func unitAudit(f *unitFlags) *cobra.Command {
	var from uint64
	c := &cobra.Command{
		Use:     "audit",
		Short:   "Read the audit logs of the crypto units and verify their chains",
		Example: "  grep11 unit audit --unit unit1 --from 100 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.run(c, false, func(ctx context.Context, s *session) error {
				var rows []auditRow
				for _, u := range s.Units {
					err := u.Audit(ctx, from, func(r *admin.Record) { rows = append(rows, auditOf(u.Name, r)) })
					if err != nil {
						return errors.Join(printAudit(c.OutOrStdout(), f.json, rows), err)
					}
				}
				return printAudit(c.OutOrStdout(), f.json, rows)
			})
		},
	}
	c.Flags().Uint64Var(&from, "from", 1, "begin with this record")
	return c
}

func auditOf(unit string, r *admin.Record) auditRow {
	row := auditRow{Unit: unit, Sequence: r.Sequence, Time: r.Time, Event: r.What(), Current: hex.EncodeToString(r.Current), New: hex.EncodeToString(r.Next)}
	for _, s := range r.Signers {
		row.Signers = append(row.Signers, hex.EncodeToString(s))
	}
	if r.Reason != 0 {
		row.Reason = r.Reason.Meaning()
	}
	return row
}

func printAudit(w io.Writer, asJSON bool, rows []auditRow) error {
	if asJSON {
		return printJSON(w, rows)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%s %d %s %s", r.Unit, r.Sequence, r.Time.Format(time.RFC3339), r.Event)
		for _, s := range r.Signers {
			fmt.Fprintf(w, ", signed %.16s", s)
		}
		if r.Reason != "" {
			fmt.Fprintf(w, ", refused: %s", r.Reason)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "%d records, all chains are whole\n", len(rows))
	return err
}
