package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
)

func keyRetained(f *clientFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "retained",
		Short: "List and remove the keys that GREP11 clients moved into the service",
		Long: `List and remove the keys that GREP11 clients moved into the service with CKM_IBM_RETAINKEY.
The client certificate must be one that the server's [auth] admins names. A key's ID is the
start of its handle; the rest, without which nobody can use it, is known to its owners alone.`,
		Example: "  grep11 key retained list",
	}
	c.AddCommand(retainedList(f), retainedRemove(f))
	return c
}

// retainedRow is a retained key as the command shows it.
type retainedRow struct {
	ID      string    `json:"id"`
	Class   string    `json:"class,omitempty"`
	Type    string    `json:"type,omitempty"`
	Check   string    `json:"check,omitempty"`
	Credits string    `json:"credits"` // "unlimited", or a number
	Made    time.Time `json:"made"`
	Detail  string    `json:"detail,omitempty"`
}

func retainedList(f *clientFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List retained keys and the uses they have left",
		Example: "  grep11 key retained list --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(cl *grep11client.Client) error {
				keys, err := cl.Retained(background(c))
				if err != nil {
					return err
				}
				rows := make([]retainedRow, 0, len(keys))
				for _, k := range keys {
					rows = append(rows, showRetained(k))
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), rows)
				}
				return printRetained(c.OutOrStdout(), rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func showRetained(k grep11client.RetainedKey) retainedRow {
	r := retainedRow{ID: hex.EncodeToString(k.ID), Check: hex.EncodeToString(k.CheckValue), Made: k.Made.UTC(), Detail: k.Detail,
		Credits: "unlimited"}
	if !k.Unlimited {
		r.Credits = strconv.FormatUint(k.Credits, 10)
	}
	if k.Detail == "" {
		r.Class, r.Type = k.Class.String(), k.Type.String()
	}
	return r
}

func printRetained(w io.Writer, rows []retainedRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCLASS\tTYPE\tCHECK\tCREDITS\tMADE\tDETAIL")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Class, r.Type, r.Check, r.Credits, r.Made.Format(time.RFC3339), r.Detail)
	}
	return t.Flush()
}

func retainedRemove(f *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "remove ID...",
		Short:   "Remove retained keys: their handles stand for nothing from then on",
		Example: "  grep11 key retained remove 3f0c77a19d5b4c2e8a6f10d2b97e4c55",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(cl *grep11client.Client) error {
				for _, arg := range args {
					id, err := hex.DecodeString(arg)
					if err != nil {
						return fmt.Errorf("%q is no id of 32 hex digits", arg)
					}
					if err := cl.RemoveRetained(background(c), id); err != nil {
						return fmt.Errorf("%s: %w", arg, err)
					}
				}
				return nil
			})
		},
	}
}
