package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"grep11/server/admin/command"
	"grep11/server/admin/operator"
	"grep11/server/hsm"
	"grep11/server/soft"
)

func unitCreate(f *unitFlags) *cobra.Command {
	var dir, keyFile, passphraseFile, pinFile string
	var onHSM hsm.Config
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a new crypto unit: the folder of an emulated one, or the master key in an HSM",
		Long: `Make the state folder of a new emulated crypto unit on this machine, for a [[unit]]
of server.toml. It has no master key and no owners: "grep11 unit init" comes next.
A key file that is not there yet is made, with 32 random bytes.

With --module, make the master key in a real HSM, for units of kind "pkcs11": an AES
key and a secret for MACs, both of the label, that cannot leave it. HSMs that are to
be units of one service need the same two keys: copy them as your HSM does that.`,
		Example: `  grep11 unit create --state /var/lib/grep11/unit1 --key-file /etc/grep11/unit1.key
  grep11 unit create --module /usr/lib/softhsm/libsofthsm2.so --token hsm --pin-file hsm.pin`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if onHSM.Module != "" {
				return createOnHSM(onHSM, pinFile)
			}
			secret, err := unitSecret(keyFile, passphraseFile)
			if err != nil {
				return err
			}
			return soft.Create(dir, secret, nil)
		},
	}
	c.Flags().StringVar(&dir, "state", "", "the folder to make")
	c.Flags().StringVar(&keyFile, "key-file", "", "file of 32 random bytes that seals the state")
	c.Flags().StringVar(&passphraseFile, "passphrase-file", "", "file with a passphrase that seals the state, in its first line")
	c.Flags().StringVar(&onHSM.Module, "module", "", "PKCS#11 module of a real HSM")
	c.Flags().StringVar(&onHSM.Token, "token", "", "label of the HSM's token (default: that in slot --slot)")
	c.Flags().UintVar(&onHSM.Slot, "slot", 0, "number of the slot of the HSM's token")
	c.Flags().StringVar(&pinFile, "pin-file", "", "file with the PIN of the HSM's user in its first line")
	c.Flags().StringVar(&onHSM.MasterKey, "master-key", hsm.DefaultMasterKey, "label of the master key in the HSM")
	c.MarkFlagsOneRequired("state", "module")
	c.MarkFlagsMutuallyExclusive("state", "module")
	c.MarkFlagsOneRequired("key-file", "passphrase-file", "pin-file")
	c.MarkFlagsMutuallyExclusive("key-file", "passphrase-file")
	return c
}

func createOnHSM(c hsm.Config, pinFile string) (err error) {
	if c.PIN, err = firstLine(pinFile); err != nil {
		return err
	}
	return hsm.Create(c)
}

func unitSecret(keyFile, passphraseFile string) (s soft.Secret, err error) {
	if keyFile == "" {
		s.Passphrase, err = firstLine(passphraseFile)
		return s, err
	}
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		if err := makeKeyFile(keyFile); err != nil {
			return s, err
		}
	}
	s.Key, err = os.ReadFile(keyFile)
	return s, err
}

func unitInit(f *unitFlags) *cobra.Command {
	var admins []string
	var signatures, revocations uint32
	c := &cobra.Command{
		Use:   "init",
		Short: "Give crypto units their owners: administrators and thresholds",
		Long: `Add administrators to all crypto units and set both thresholds, which makes the units
operational: from then on changes need signatures. As many of the administrators must
sign as the signature threshold says. What is missing in the flags is asked for.`,
		Example: `  grep11 unit init --admin alice.key.crt --admin bob.key.crt --admin carol.key.crt \
      --signatures 2 --revocations 2 --key alice.key --key bob.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			t := openTerminal()
			if err := askList(t, "Certificate of an administrator", &admins); err != nil {
				return err
			}
			if err := errors.Join(askNumber(t, "Signature threshold", &signatures), askNumber(t, "Revocation threshold", &revocations)); err != nil {
				return err
			}
			if err := askList(t, "Signature key (file or pkcs11: URI)", &f.keys); err != nil {
				return err
			}
			certs, err := certificates(admins)
			if err != nil {
				return err
			}
			return f.run(c, true, func(ctx context.Context, s *session) error {
				if err := s.AddAdministrators(ctx, certs, s.keys); err != nil {
					return err
				}
				if err := s.SetThresholds(ctx, signatures, revocations, s.keys); err != nil {
					return err
				}
				return s.finish(ctx)
			})
		},
	}
	c.Flags().StringArrayVar(&admins, "admin", nil, "certificate file of an administrator; may be repeated")
	c.Flags().Uint32Var(&signatures, "signatures", 0, "signature threshold, 1 to 8")
	c.Flags().Uint32Var(&revocations, "revocations", 0, "revocation threshold, 1 to 8")
	return c
}

// askList asks for what the flags did not say, until an empty line.
func askList(t *terminal, what string, into *[]string) error {
	for asked := len(*into) == 0; asked; {
		s, err := t.line(what + ", or an empty line")
		if err != nil {
			return err
		}
		if asked = s != ""; asked {
			*into = append(*into, s)
		}
	}
	return nil
}

func askNumber(t *terminal, what string, into *uint32) error {
	if *into != 0 {
		return nil
	}
	s, err := t.line(what)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 10, 32)
	*into = uint32(n)
	return err
}

func certificates(files []string) ([][]byte, error) {
	var certs [][]byte
	for _, f := range files {
		cert, err := operator.LoadCertificate(f)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func unitAdmin(f *unitFlags) *cobra.Command {
	c := &cobra.Command{
		Use:     "admin",
		Short:   "Make signature keys; add and remove administrators",
		Example: "  grep11 unit admin key alice.key\n  grep11 unit admin add dave.key.crt --key alice.key --key bob.key",
	}
	c.AddCommand(adminKey(f), adminExport(f),
		f.signed("add CERTIFICATE...", "Add administrators", cobra.MinimumNArgs(1), func(ctx context.Context, s *session, args []string) error {
			certs, err := certificates(args)
			if err != nil {
				return err
			}
			return s.AddAdministrators(ctx, certs, s.keys)
		}),
		f.signed("remove CERTIFICATE|SKI", "Remove an administrator; the revocation threshold must sign", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
			ski, err := parseSKI(args[0])
			if err != nil {
				return err
			}
			return s.RemoveAdministrator(ctx, ski, s.keys)
		}))
	return c
}

// signedExamples are those of the signed commands, after "grep11 unit".
var signedExamples = map[string]string{
	"add":           "admin add dave.key.crt --key alice.key --key bob.key",
	"remove":        "admin remove carol.key.crt --key alice.key --key bob.key",
	"threshold":     "threshold 2 2 --key alice.key --key bob.key",
	"attribute":     "attribute permissions 0x81ff0051 --key alice.key --key bob.key",
	"policy":        "policy strict --key alice.key --key bob.key",
	"zeroize":       "zeroize --unit unit1 --key alice.key --key bob.key",
	"load":          "mk load one.part two.part three.part --key alice.key",
	"commit":        "mk commit --key alice.key --key bob.key",
	"activate":      "mk activate --key alice.key",
	"rewrap":        "mk rewrap",
	"rotate":        "mk rotate four.part five.part --key alice.key --key bob.key",
	"copy":          "mk copy unit1 --key alice.key --key bob.key",
	"clear-new":     "mk clear-new --key alice.key",
	"clear-current": "mk clear-current --unit unit1 --key alice.key --key bob.key",
}

// signed makes a command that is signed and ends with the units' new state.
func (f *unitFlags) signed(use, short string, args cobra.PositionalArgs, do func(context.Context, *session, []string) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		Example: "  grep11 unit " + signedExamples[name],
		RunE: func(c *cobra.Command, args []string) error {
			return f.run(c, true, func(ctx context.Context, s *session) error {
				if err := do(ctx, s, args); err != nil {
					return err
				}
				return s.finish(ctx)
			})
		},
	}
}

func parseSKI(s string) (command.SKI, error) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(command.SKI{}) {
		return command.SKI(b), nil
	}
	cert, err := operator.LoadCertificate(s)
	if err != nil {
		return command.SKI{}, fmt.Errorf("%s is neither a key identifier of 64 hex digits nor a certificate: %w", s, err)
	}
	return operator.CertSKI(cert)
}

func adminKey(f *unitFlags) *cobra.Command {
	kind, name := operator.KeyKinds[0], ""
	c := &cobra.Command{
		Use:   "key FILE",
		Short: "Make a signature key in a password-protected file",
		Long: `Make a signature key in a password-protected file, and its certificate beside it
(FILE.crt) for others to add as an administrator. The file is in the age format
under a passphrase: "age -d FILE" shows the key and certificate in PEM.`,
		Example: "  grep11 unit admin key alice.key --name alice --kind p521",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.passwords.t = openTerminal()
			password, err := f.passwords.of(args[0], true)
			if err != nil {
				return err
			}
			defer password.Wipe()
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), ".key")
			}
			k, err := operator.MakeKey(args[0], name, kind, password)
			if err != nil {
				return err
			}
			ski, err := k.SKI()
			fmt.Fprintf(c.OutOrStdout(), "%s  %s\n", ski, operator.CertFile(args[0]))
			return err
		},
	}
	c.Flags().StringVar(&kind, "kind", kind, "kind of key: "+strings.Join(operator.KeyKinds, ", "))
	c.Flags().StringVar(&name, "name", "", "the administrator's name (default: the file's)")
	return c
}

func adminExport(f *unitFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "certificate PKCS11-URI FILE",
		Short:   "Write the certificate of a signature key on a PKCS#11 token, for others to add",
		Example: `  grep11 unit admin certificate 'pkcs11:token=alice;object=sign?module-path=/usr/lib/softhsm/libsofthsm2.so' alice.crt`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.passwords.t = openTerminal()
			k, err := openKey(args[0], &f.passwords)
			if err != nil {
				return err
			}
			return errors.Join(writePEM(args[1], "CERTIFICATE", k.Cert, 0o644), k.Close())
		},
	}
}

func unitThreshold(f *unitFlags) *cobra.Command {
	return f.signed("threshold SIGNATURES REVOCATIONS", "Set both thresholds", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
		signatures, errA := number(args[0])
		revocations, errB := number(args[1])
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		return s.SetThresholds(ctx, signatures, revocations, s.keys)
	})
}

func unitAttribute(f *unitFlags) *cobra.Command {
	return f.signed("attribute NAME VALUE", "Set an attribute, such as permissions 0x81ff0051", cobra.ExactArgs(2), func(ctx context.Context, s *session, args []string) error {
		v, err := number(args[1])
		if err != nil {
			return err
		}
		return s.SetAttribute(ctx, args[0], v, s.keys)
	})
}

// number reads a decimal or, after 0x, hexadecimal number.
func number(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of 32 bits", s)
	}
	return uint32(v), nil
}

func unitPolicy(f *unitFlags) *cobra.Command {
	return f.signed("policy compatible|strict|CONTROL-POINTS", "Set the control points to a profile or to 32 hex digits", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string) error {
		points, ok := command.Profiles[args[0]]
		if !ok {
			b, err := hex.DecodeString(args[0])
			if err != nil {
				return fmt.Errorf("%q is neither a profile nor hex digits", args[0])
			}
			if points, err = command.ParseControlPoints(b); err != nil {
				return err
			}
		}
		return s.SetControlPoints(ctx, points, s.keys)
	})
}

func unitZeroize(f *unitFlags) *cobra.Command {
	return f.signed("zeroize", "Take master keys, administrators and policy from crypto units", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		err := s.confirm(fmt.Sprintf("Zeroizing makes every key of %d crypto units unusable until the same master key is loaded again.", len(s.Units)))
		if err != nil {
			return err
		}
		return s.Zeroize(ctx, s.keys)
	})
}
