package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"grep11/grep11client"
)

func unitCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:     "unit",
		Short:   "Look at the service's crypto units",
		Example: "  grep11 unit list --json",
	}
	f.add(c)
	c.AddCommand(unitList(&f))
	return c
}

// unitRow is a crypto unit as the command shows it.
type unitRow struct {
	Name        string `json:"name"`
	Zone        string `json:"zone"`
	Kind        string `json:"kind"`
	Healthy     bool   `json:"healthy"`
	Detail      string `json:"detail,omitempty"`
	WrappingKey string `json:"wrapping_key"`
}

func unitList(f *clientFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the crypto units, their health and their wrapping key's pattern",
		Long: `List the crypto units of the server that answers. The pattern tells wrapping keys
apart and gives nothing away; it is the same on all units of a service.`,
		Example: "  grep11 unit list",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(cl *grep11client.Client) error {
				s, err := cl.Service(background(c))
				if err != nil {
					return err
				}
				rows := make([]unitRow, 0, len(s.Units))
				for _, u := range s.Units {
					rows = append(rows, unitRow{u.Name, u.Zone, u.Kind, u.Healthy, u.Detail, hex.EncodeToString(u.WrappingKey)})
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), rows)
				}
				return printUnits(c.OutOrStdout(), rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printUnits(w io.Writer, rows []unitRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tZONE\tKIND\tHEALTH\tWRAPPING KEY")
	for _, r := range rows {
		health := "healthy"
		if !r.Healthy {
			health = "set aside: " + r.Detail
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.16s\n", r.Name, r.Zone, r.Kind, health, r.WrappingKey)
	}
	return t.Flush()
}
