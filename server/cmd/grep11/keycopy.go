package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"grep11/grep11client"
)

func keyCopy(f *clientFlags) *cobra.Command {
	from := pinFlag{name: "from-pin", env: "GREP11_FROM_PIN"}
	pin := pinFlag{name: "pin", env: "GREP11_PIN"}
	c := copier{}
	var module, fromToken, token string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy the objects of a token of another PKCS#11 module, such as SoftHSM2",
		Long: `Copy keys, certificates and data of a token of another PKCS#11 module into a token of
the service. Keys travel wrapped under a key that both sides hold for that time; what
the module does not let go (CKA_EXTRACTABLE false) stays, and is named. Labels, ids and
rights stay as they are. Objects that are there already are left alone, so that the
command may be run again.`,
		Example: `  grep11 key copy --from-module /usr/lib/softhsm/libsofthsm2.so --from-token old --from-pin-file old.pin \
      --token web --pin-file web.pin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if token == "" {
				token = os.Getenv("GREP11_TOKEN")
			}
			fromPIN, err := from.get()
			if err != nil {
				return err
			}
			userPIN, err := pin.get()
			if err == nil && userPIN == nil {
				err = errors.New("--pin, --pin-file or GREP11_PIN is needed: the PIN of the token's user")
			}
			if err != nil {
				return err
			}
			if c.from, err = openSource(module, fromToken, fromPIN); err != nil {
				return err
			}
			defer c.from.close()
			return f.with(func(cl *grep11client.Client) error {
				if err := c.into(background(cmd), cl, token, userPIN); err != nil {
					return again(err)
				}
				return c.report(cmd.OutOrStdout(), asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&module, "from-module", "", "the other PKCS#11 module")
	cmd.Flags().StringVar(&fromToken, "from-token", "", "label of its token (default: the only one)")
	cmd.Flags().StringVar(&token, "token", "", "the service's token, by its label (or GREP11_TOKEN in the environment)")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("from-module")
	from.add(cmd, "PIN of the other token's user")
	pin.add(cmd, "PIN of the user")
	return cmd
}

func (c *copier) report(w io.Writer, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, c.rows); err != nil {
			return err
		}
	} else if err := c.print(w); err != nil {
		return err
	}
	if c.left > 0 {
		return fmt.Errorf("%d of %d objects were not copied", c.left, len(c.rows))
	}
	return nil
}

func (c *copier) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CLASS\tTYPE\tLABEL\tID\tRESULT")
	for _, r := range c.rows {
		fmt.Fprintf(t, "%s\t%s\t%q\t%s\t%s\n", r.Class, r.Type, r.Label, r.ID, r.Result)
	}
	return t.Flush()
}
