package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/server/admin/operator"
)

// unitRow is a crypto unit as its server sees it; without a name, a server that
// does not answer.
type unitRow struct {
	Name        string `json:"name"`
	Server      string `json:"server"`
	Zone        string `json:"zone"`
	Kind        string `json:"kind"`
	Healthy     bool   `json:"healthy"`
	Drained     bool   `json:"drained"`
	Load        uint64 `json:"load"`
	Detail      string `json:"detail,omitempty"`
	WrappingKey string `json:"wrapping_key"`
	Next        string `json:"new_wrapping_key,omitempty"`
}

func (r unitRow) state() string {
	switch {
	case r.Name == "":
		return "no answer: " + r.Detail
	case !r.Healthy:
		return "set aside: " + r.Detail
	case r.Drained:
		return "drained"
	}
	return "healthy"
}

// watchEvery is the pause of --watch.
const watchEvery = 2 * time.Second

func unitList(f *unitFlags) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "list", Aliases: []string{"status"},
		Short: "List the crypto units, their health and their master key's pattern",
		Long: `List the crypto units of all configured servers. A unit that is set aside has failed
and is tried again in the background; a drained one was taken out of service. LOAD is
how many calls are inside. The pattern tells master keys apart and gives nothing away;
it is the same on all units of a service. A new master key on its way is shown to
administrators of the service.`,
		Example: "  grep11 unit list\n  grep11 unit status --watch",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.servers(func(clients []*grep11client.Client, names []string) error {
				return f.status(background(c), c.OutOrStdout(), clients, names, watch)
			})
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "again every two seconds")
	return c
}

func (f *unitFlags) status(ctx context.Context, w io.Writer, clients []*grep11client.Client, names []string, watch bool) error {
	for {
		rows := unitRows(ctx, clients, names)
		if err := f.printUnits(w, rows); err != nil {
			return err
		}
		if !watch {
			return answered(rows)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
			fmt.Fprintln(w)
		}
	}
}

// answered is an error where no server did.
func answered(rows []unitRow) error {
	if slices.ContainsFunc(rows, func(r unitRow) bool { return r.Name != "" }) {
		return nil
	}
	return errors.New("no server answers")
}

func unitRows(ctx context.Context, clients []*grep11client.Client, names []string) []unitRow {
	rows := []unitRow{}
	for i, client := range clients {
		service, err := client.Service(ctx)
		if err != nil {
			rows = append(rows, unitRow{Server: names[i], Detail: err.Error()})
			continue
		}
		next := map[string]string{}
		if units, err := client.CryptoUnits(ctx); err == nil { // only administrators may ask
			for _, u := range units {
				next[u.Name] = hex.EncodeToString(u.Next)
			}
		}
		for _, u := range service.Units {
			rows = append(rows, unitRow{u.Name, names[i], u.Zone, u.Kind, u.Healthy, u.Drained, u.Load, u.Detail, hex.EncodeToString(u.WrappingKey), next[u.Name]})
		}
	}
	return rows
}

func (f *unitFlags) printUnits(w io.Writer, rows []unitRow) error {
	if f.json {
		return printJSON(w, rows)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSERVER\tZONE\tKIND\tLOAD\tHEALTH\tWRAPPING KEY\tNEW")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Name, r.Server, r.Zone, r.Kind, r.Load, r.state(),
			operator.Pattern(r.WrappingKey).Short(), operator.Pattern(r.Next).Short())
	}
	return t.Flush()
}
