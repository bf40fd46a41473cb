package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

func keyCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:     "key",
		Short:   "List objects and retained keys; copy keys of other modules; back up, restore and move key stores",
		Example: "  grep11 key list --token web --pin-file user.pin\n  grep11 key export --passphrase-file backup.pass /backup/keys",
	}
	list, retained, copies := keyList(&f), keyRetained(&f), keyCopy(&f)
	for _, sub := range []*cobra.Command{list, retained, copies} {
		f.add(sub)
		c.AddCommand(sub)
	}
	c.AddCommand(keyExport(), keyImport())
	return c
}

// keyRow is an object as the command shows it.
type keyRow struct {
	Handle uint64 `json:"handle"`
	Class  string `json:"class"`
	Type   string `json:"type,omitempty"`
	Label  string `json:"label"`
	ID     string `json:"id"`
}

func keyList(f *clientFlags) *cobra.Command {
	pin := pinFlag{name: "pin", env: "GREP11_PIN"}
	var label string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List a token's objects; private ones with the user's PIN only",
		Example: "  grep11 key list --token web --pin 12345678 --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if label == "" {
				label = os.Getenv("GREP11_TOKEN")
			}
			secret, err := pin.get()
			if err != nil {
				return err
			}
			return f.with(func(cl *grep11client.Client) error {
				rows, err := listKeys(background(c), cl, label, secret)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), rows)
				}
				return printKeys(c.OutOrStdout(), rows)
			})
		},
	}
	c.Flags().StringVar(&label, "token", "", "the token's label (or GREP11_TOKEN in the environment)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	pin.add(c, "PIN of the user")
	return c
}

const pageOfKeys = 1000

func listKeys(ctx context.Context, c *grep11client.Client, label string, pin ck.Secret) ([]keyRow, error) {
	info, err := findToken(ctx, c, label)
	if err != nil {
		return nil, err
	}
	t := c.Token(info.ID)
	if pin != nil {
		if err := t.Login(ctx, ck.CKU_USER, pin); err != nil {
			return nil, err
		}
		defer func() { _ = t.Logout(ctx) }()
	}
	all, err := allObjects(ctx, t)
	if err != nil {
		return nil, err
	}
	rows := []keyRow{}
	for _, o := range all {
		rows = append(rows, showKey(o))
	}
	return rows, nil
}

// allObjects lists a token's objects, as the login shows them.
func allObjects(ctx context.Context, t *grep11client.Token) (all []grep11client.Object, err error) {
	after, more := ck.ObjectHandle(0), true
	for more {
		var page []grep11client.Object
		if page, more, err = t.FindObjects(ctx, nil, after, pageOfKeys); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if more = more && len(page) > 0; more {
			after = page[len(page)-1].Handle
		}
	}
	return all, nil
}

func showKey(o grep11client.Object) keyRow {
	r := keyRow{Handle: uint64(o.Handle), Label: string(o.Attributes.Bytes(ck.CKA_LABEL)), ID: hex.EncodeToString(o.Attributes.Bytes(ck.CKA_ID))}
	if n, ok, err := o.Attributes.Ulong(ck.CKA_CLASS); ok && err == nil {
		r.Class = ck.ObjectClass(n).String()
	}
	if n, ok, err := o.Attributes.Ulong(ck.CKA_KEY_TYPE); ok && err == nil {
		r.Type = ck.KeyType(n).String()
	}
	return r
}

func printKeys(w io.Writer, rows []keyRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HANDLE\tCLASS\tTYPE\tLABEL\tID")
	for _, r := range rows {
		fmt.Fprintf(t, "%d\t%s\t%s\t%q\t%s\n", r.Handle, r.Class, r.Type, r.Label, r.ID)
	}
	return t.Flush()
}
