package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"grep11/pkcs11/ck"
	"grep11/server/archive"
	"grep11/server/durable"
	"grep11/server/keystore"
)

// Exports and imports work on the store itself, not through a service: they
// hold all tokens, with the hashes of their PINs.

// storeFlags say which store, and what the file is sealed under.
type storeFlags struct {
	config     string
	passphrase pinFlag
}

func (f *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "server-config", "/etc/grep11/server.toml", "the server's configuration, for its [keystore]")
	f.passphrase = pinFlag{name: "passphrase", env: "GREP11_PASSPHRASE"}
	f.passphrase.add(c, "what the file is sealed under")
}

func (f *storeFlags) get() (store string, passphrase ck.Secret, err error) {
	c, err := loadServer(f.config, "server-config")
	if err != nil {
		return "", nil, err
	}
	passphrase, err = f.passphrase.get()
	if err == nil && passphrase == nil {
		err = errors.New("no passphrase: give --passphrase-file, or GREP11_PASSPHRASE in the environment")
	}
	return c.Keystore.Address(), passphrase, err
}

func keyExport() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all tokens and objects of a key store to a sealed file",
		Long: `Write all tokens, objects and retained keys of a key store to a file, as they are at one
moment, also while the server runs: the backup of a service, or its way to another database. Keys
stay the sealed blobs they are; the file as a whole is sealed under the passphrase.`,
		Example: "  grep11 key export --passphrase-file backup.pass /backup/keys-$(date +%F)",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			store, passphrase, err := f.get()
			if err != nil {
				return err
			}
			n, err := exportTo(background(c), store, args[0], passphrase, progress(c.ErrOrStderr(), "written"))
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%d objects are in %s.\n", n, args[0])
			}
			return err
		},
	}
	f.add(c)
	return c
}

// exportTo writes beside the file and renames at the end: a file of that name
// is whole.
func exportTo(ctx context.Context, store, path string, passphrase ck.Secret, progress func(int)) (objects int, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, fmt.Errorf("%s is there already: name another file", path)
	}
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	err = exportSealed(ctx, store, out, passphrase, func(n int) { objects = n; progress(n) })
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return objects, errors.Join(err, os.Remove(part))
	}
	return objects, durable.Rename(part, path)
}

func exportSealed(ctx context.Context, store string, out io.Writer, passphrase ck.Secret, progress func(int)) error {
	w, err := archive.NewWriter(out, passphrase)
	if err != nil {
		return err
	}
	if err := keystore.Export(ctx, store, w, progress); err != nil {
		return err
	}
	return w.Close()
}

func keyImport() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Add the tokens and objects of an exported file to a key store",
		Long: `Add the tokens, objects and retained keys of an exported file that are not in the key store
yet. Into an empty store this is a restore: tokens keep their numbers and PINs, objects their
handles, retained keys the credits they had.
An import that was interrupted goes on when it is done again. The crypto units need the
master key that the keys were sealed under. A server on SQLite must be stopped first.`,
		Example: "  grep11 key import --passphrase-file backup.pass /backup/keys-2026-11-24",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			store, passphrase, err := f.get()
			if err != nil {
				return err
			}
			done, err := importFrom(background(c), store, args[0], passphrase, progress(c.ErrOrStderr(), "read"))
			if err != nil && done == (keystore.Imported{}) {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d tokens, %d objects and %d retained keys are new, %d were there.\n", done.Tokens, done.Objects, done.Retained, done.Known)
			if err != nil {
				return fmt.Errorf("%w; the import goes on when it is run again", err)
			}
			return nil
		},
	}
	f.add(c)
	return c
}

func importFrom(ctx context.Context, store, path string, passphrase ck.Secret, progress func(int)) (done keystore.Imported, err error) {
	in, err := os.Open(path)
	if err != nil {
		return done, err
	}
	defer in.Close()
	r, err := archive.NewReader(in, passphrase)
	if err != nil {
		return done, fmt.Errorf("%s: %w", path, err)
	}
	s, err := keystore.Open(ctx, store)
	if err != nil {
		return done, err
	}
	done, err = s.Import(ctx, r, func(i keystore.Imported) { progress(i.Objects + i.Known) })
	if err != nil {
		_ = s.Close() // says nothing new
		return done, fmt.Errorf("%s: %w", path, err)
	}
	return done, s.Close()
}

// progress says how far it is, once a second.
func progress(w io.Writer, verb string) func(objects int) {
	last := time.Now()
	return func(n int) {
		if time.Since(last) > time.Second {
			last = time.Now()
			fmt.Fprintf(w, "%d objects %s\n", n, verb)
		}
	}
}
