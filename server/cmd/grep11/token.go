package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
)

func tokenCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "token",
		Short: "Make, list and delete tokens",
		Example: `  grep11 token init --label web --so-pin-file so.pin --pin-file user.pin
  grep11 token list --json
  grep11 token delete --label "old web"`,
	}
	f.add(c)
	c.AddCommand(tokenInit(&f), tokenList(&f), tokenDelete(&f))
	return c
}

func tokenInit(f *clientFlags) *cobra.Command {
	soPIN := pinFlag{name: "so-pin", env: "GREP11_SO_PIN"}
	userPIN := pinFlag{name: "pin", env: "GREP11_PIN"}
	var label string
	var reset, asJSON bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a token, or with --reset empty one",
		Long: `Make a token with a security officer's PIN and, where one is given, a user PIN.
PINs are 4 to 255 bytes. With --reset an existing token loses all its objects; the
security officer's PIN must then be the one it has. A token that has no user PIN yet,
since the command was interrupted, gets it when the command is given again.`,
		Example: "  grep11 token init --label web --so-pin 87654321 --pin 12345678",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			so, err := soPIN.get()
			if err == nil && so == nil {
				err = errors.New("--so-pin, --so-pin-file or GREP11_SO_PIN is needed")
			}
			if err != nil {
				return err
			}
			user, err := userPIN.get()
			if err == nil {
				err = errors.Join(soPIN.fits(so), userPIN.fits(user))
			}
			if err != nil {
				return err
			}
			return f.with(func(cl *grep11client.Client) error {
				t, err := initToken(background(c), cl, label, reset, so, user)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), show(t))
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "token %q: number %d, serial %s\n", t.Label, t.Number, t.Serial)
				return err
			})
		},
	}
	c.Flags().StringVar(&label, "label", "", "the token's label, at most 32 bytes")
	c.Flags().BoolVar(&reset, "reset", false, "empty the token of that label")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagRequired("label")
	soPIN.add(c, "PIN of the security officer")
	userPIN.add(c, "PIN of the user")
	return c
}

// initToken makes a token, or goes on with one that an interrupted call left without
// its user's PIN.
func initToken(ctx context.Context, c *grep11client.Client, label string, reset bool, so, user ck.Secret) (grep11client.TokenInfo, error) {
	t, err := findToken(ctx, c, label)
	if err != nil && (reset || !errors.Is(err, errNoToken)) {
		return t, err
	}
	unfinished := err == nil && user != nil && t.Flags&ck.CKF_USER_PIN_INITIALIZED == 0
	switch {
	case unfinished && !reset:
	case err == nil && !reset:
		return t, fmt.Errorf("a token is called %q already; --reset would empty it", label)
	default:
		if t, err = c.InitToken(ctx, t.ID, label, so); err != nil || user == nil {
			return t, err
		}
	}
	tok := c.Token(t.ID)
	if err := tok.Login(ctx, ck.CKU_SO, so); err != nil {
		return t, fmt.Errorf("token %q has no PIN of its user yet: %w", label, err)
	}
	if err := errors.Join(tok.InitPIN(ctx, user), tok.Logout(ctx)); err != nil {
		return t, err
	}
	return findToken(ctx, c, label) // as it is now, with a user PIN
}

var errNoToken = errors.New("no such token")

func findToken(ctx context.Context, c *grep11client.Client, label string) (grep11client.TokenInfo, error) {
	tokens, _, err := c.Tokens(ctx)
	if err != nil {
		return grep11client.TokenInfo{}, err
	}
	for _, t := range tokens {
		if t.Label == label {
			return t, nil
		}
	}
	return grep11client.TokenInfo{}, fmt.Errorf("token %q: %w", label, errNoToken)
}

func tokenDelete(f *clientFlags) *cobra.Command {
	var label string
	c := &cobra.Command{
		Use:   "delete",
		Short: "Delete a token with all its objects",
		Long: `Delete a token with all its objects. The client certificate must be one that the
server's [auth] admins names.`,
		Example: `  grep11 token delete --label "old web"`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(cl *grep11client.Client) error {
				t, err := findToken(background(c), cl, label)
				if err != nil {
					return err
				}
				return cl.DeleteToken(background(c), t.ID)
			})
		},
	}
	c.Flags().StringVar(&label, "label", "", "the token's label")
	_ = c.MarkFlagRequired("label")
	return c
}

func tokenList(f *clientFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens in order of creation",
		Example: "  grep11 token list --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(cl *grep11client.Client) error {
				tokens, _, err := cl.Tokens(background(c))
				if err != nil {
					return err
				}
				rows := make([]tokenRow, 0, len(tokens))
				for _, t := range tokens {
					rows = append(rows, show(t))
				}
				if asJSON {
					return printJSON(c.OutOrStdout(), rows)
				}
				return printTokens(c.OutOrStdout(), rows)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// tokenRow is a token as the command shows it.
type tokenRow struct {
	Number  uint64 `json:"number"`
	Label   string `json:"label"`
	Serial  string `json:"serial"`
	ID      string `json:"id"`
	UserPIN string `json:"user_pin"`
	SOPIN   string `json:"so_pin"`
}

func show(t grep11client.TokenInfo) tokenRow {
	r := tokenRow{Number: t.Number, Label: t.Label, Serial: t.Serial, ID: hex.EncodeToString(t.ID)}
	r.SOPIN = pinState(t.Flags, ck.CKF_SO_PIN_LOCKED, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_COUNT_LOW)
	r.UserPIN = "not set"
	if t.Flags&ck.CKF_USER_PIN_INITIALIZED != 0 {
		r.UserPIN = pinState(t.Flags, ck.CKF_USER_PIN_LOCKED, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_COUNT_LOW)
	}
	return r
}

func pinState(f, locked, last, low ck.Flags) string {
	switch {
	case f&locked != 0:
		return "locked"
	case f&last != 0:
		return "one try left"
	case f&low != 0:
		return "wrong tries"
	}
	return "good"
}

func printTokens(w io.Writer, rows []tokenRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tLABEL\tSERIAL\tUSER PIN\tSO PIN")
	for _, r := range rows {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", r.Number, r.Label, r.Serial, r.UserPIN, r.SOPIN)
	}
	return t.Flush()
}
