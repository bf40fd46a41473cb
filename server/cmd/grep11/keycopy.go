package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/miekg/pkcs11"
	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
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
				ctx := background(cmd)
				info, err := findToken(ctx, cl, token)
				if err != nil {
					return err
				}
				c.to = cl.Token(info.ID)
				if err := c.to.Login(ctx, ck.CKU_USER, userPIN); err != nil {
					return err
				}
				defer func() { _ = c.to.Logout(ctx) }()
				if err := c.run(ctx); err != nil {
					return err
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

// copier copies from a module to a token of the service.
type copier struct {
	from   *source
	to     *grep11client.Token
	dryRun bool
	keys   *transport // nil: not needed yet
	there  []grep11client.Object
	rows   []copyRow
	left   int
}

// copyRow is what became of an object.
type copyRow struct {
	keyRow
	Result string `json:"result"`
}

const (
	isCopied = "copied"
	isThere  = "is there already"
	wouldBe  = "would be copied"
)

func (c *copier) run(ctx context.Context) (err error) {
	if c.there, err = allObjects(ctx, c.to); err != nil {
		return err
	}
	objects, err := c.from.objects()
	if err != nil {
		return err
	}
	defer func() { c.keys.close() }()
	for _, o := range objects {
		what := c.from.read(o, ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_CERTIFICATE_TYPE, ck.CKA_LABEL, ck.CKA_ID)
		row := copyRow{keyRow: showKey(grep11client.Object{Attributes: what}), Result: isCopied}
		row.Handle = uint64(o)
		switch known, err := c.copy(ctx, o, what); {
		case errors.Is(err, errNotOurs):
			continue
		case err != nil:
			row.Result = err.Error()
			c.left++
		case known:
			row.Result = isThere
		case c.dryRun:
			row.Result = wouldBe
		}
		c.rows = append(c.rows, row)
	}
	return nil
}

var (
	errNotOurs = errors.New("an object of a class that is not copied")
	errStays   = errors.New("stays: the module does not let it go (CKA_EXTRACTABLE is false)")
)

// copied are the attributes that go along, by class: those of all keys, and those
// that say what the object is.
var copied = map[ck.ObjectClass][]ck.AttributeType{
	ck.CKO_PRIVATE_KEY: {ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_DECRYPT,
		ck.CKA_UNWRAP, ck.CKA_DERIVE, ck.CKA_WRAP_WITH_TRUSTED, ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_SECRET_KEY: {ck.CKA_ID, ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_VALUE_LEN, ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY,
		ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_DERIVE, ck.CKA_WRAP_WITH_TRUSTED, ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_PUBLIC_KEY: {ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_PRIVATE, ck.CKA_ENCRYPT, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER, ck.CKA_WRAP, ck.CKA_DERIVE,
		ck.CKA_START_DATE, ck.CKA_END_DATE, ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_EC_PARAMS, ck.CKA_EC_POINT, ck.CKA_PRIME, ck.CKA_SUBPRIME, ck.CKA_BASE, ck.CKA_VALUE},
	ck.CKO_CERTIFICATE: {ck.CKA_ID, ck.CKA_PRIVATE, ck.CKA_CERTIFICATE_TYPE, ck.CKA_CERTIFICATE_CATEGORY, ck.CKA_SUBJECT, ck.CKA_ISSUER, ck.CKA_SERIAL_NUMBER, ck.CKA_VALUE,
		ck.CKA_START_DATE, ck.CKA_END_DATE},
	ck.CKO_DATA: {ck.CKA_PRIVATE, ck.CKA_APPLICATION, ck.CKA_OBJECT_ID, ck.CKA_VALUE},
}

// copy copies one object, unless it is there.
func (c *copier) copy(ctx context.Context, o pkcs11.ObjectHandle, what ck.Template) (known bool, err error) {
	n, _, err := what.Ulong(ck.CKA_CLASS)
	if err != nil {
		return false, err
	}
	class := ck.ObjectClass(n)
	types, ours := copied[class]
	if !ours {
		return false, errNotOurs
	}
	t := slices.DeleteFunc(c.from.read(o, append(types, ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_LABEL)...),
		func(a ck.Attribute) bool { return len(a.Value) == 0 })
	if c.known(class, t) {
		return true, nil
	}
	secret := class == ck.CKO_PRIVATE_KEY || class == ck.CKO_SECRET_KEY
	if leaves, err := t.Bool(ck.CKA_EXTRACTABLE, false); secret && (err != nil || !leaves) {
		return false, errors.Join(errStays, err)
	}
	if c.dryRun {
		return false, nil
	}
	t = t.Set(ck.Bool(ck.CKA_TOKEN, true))
	switch {
	case secret:
		return false, c.carry(ctx, o, t)
	case class == ck.CKO_PUBLIC_KEY:
		_, err = c.to.ImportKey(ctx, t)
	default:
		_, err = c.to.CreateObject(ctx, t)
	}
	return false, err
}

// carry copies a key that is wrapped for the way, and compares what both sides say of it.
func (c *copier) carry(ctx context.Context, o pkcs11.ObjectHandle, t ck.Template) (err error) {
	if c.keys == nil {
		if c.keys, err = newTransport(ctx, c.from, c.to); err != nil {
			return err
		}
	}
	made, err := c.keys.carry(ctx, o, t)
	if err != nil {
		return err
	}
	for _, was := range c.from.read(o, ck.CKA_MODULUS, ck.CKA_CHECK_VALUE, ck.CKA_VALUE_LEN) {
		if is, ok := made.Attributes.Get(was.Type); ok && len(was.Value) > 0 && !bytes.Equal(is.Value, was.Value) {
			return errors.Join(fmt.Errorf("the copy has another %v: it is removed", was.Type), c.to.DestroyObject(ctx, made))
		}
	}
	return nil
}

// known tells whether an object of the same class, type, label, id and content is there.
func (c *copier) known(class ck.ObjectClass, t ck.Template) bool {
	same := []ck.AttributeType{ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_LABEL, ck.CKA_ID}
	if class == ck.CKO_CERTIFICATE || class == ck.CKO_DATA {
		same = append(same, ck.CKA_VALUE)
	}
	return slices.ContainsFunc(c.there, func(o grep11client.Object) bool {
		return !slices.ContainsFunc(same, func(at ck.AttributeType) bool { return !bytes.Equal(o.Attributes.Bytes(at), t.Bytes(at)) })
	})
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
