package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/server/admin/operator"
)

func unitRewrap(f *unitFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap",
		Short: "Seal stored keys under the next master key of crypto units on HSMs",
		Long: `Seal stored keys under the next master key of crypto units on HSMs, which takes over
then. Before: make it in the HSM, name it in the server.toml of every server and restart them one after
the other. After: make it the master key there, and restart them once more. Calls go on
all the while, and the command may be run again after an interruption. Key blobs that clients keep
themselves must be rewrapped by them (RewrapKeyBlob) before the last step.

Emulated units are rotated by "grep11 unit mk rotate".`,
		Example: `  grep11 unit create --module /usr/lib/hsm/module.so --token hsm --pin-file hsm.pin --master-key "master key 2"
  grep11 unit rewrap    # once server.toml has: next_master_key = "master key 2"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := background(c)
			return f.servers(func(clients []*grep11client.Client, names []string) error {
				s := &session{servers: clients, c: c, f: f}
				s.Report = func(what, text string) { fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", what, text) }
				next, err := s.nextOnHSMs(ctx, names)
				if err != nil {
					return err
				}
				return again(s.rewrapUnder(ctx, next))
			})
		},
	}
}

// nextOnHSMs is the master key that all units are to change to.
func (s *session) nextOnHSMs(ctx context.Context, names []string) (next operator.Pattern, err error) {
	for i, client := range s.servers {
		units, err := client.CryptoUnits(ctx)
		if err != nil {
			return "", err
		}
		for _, u := range units {
			p := operator.Pattern(hex.EncodeToString(u.Next))
			switch {
			case u.Administered:
				return "", fmt.Errorf("crypto unit %s of %s is emulated: use \"grep11 unit mk rotate\"", u.Name, names[i])
			case p == "":
				return "", fmt.Errorf("crypto unit %s of %s has no next master key: name it as next_master_key in server.toml and restart the server", u.Name, names[i])
			case next != "" && p != next:
				return "", fmt.Errorf("crypto unit %s of %s has the next master key %s, another has %s: give all the same", u.Name, names[i], p.Short(), next.Short())
			}
			next = p
		}
	}
	return next, nil
}

func (s *session) rewrapUnder(ctx context.Context, next operator.Pattern) error {
	if s.f.dryRun {
		s.Report("stored keys", "would be sealed under "+next.Short())
		return nil
	}
	if err := s.seal(ctx, next); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.c.OutOrStdout(), `All stored keys are sealed under %s. Now name it as master_key in each server.toml,
take next_master_key out, and restart the servers one after the other.
`, next.Short())
	return err
}
