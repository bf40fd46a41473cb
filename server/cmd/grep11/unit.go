package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/admin/operator"
)

func unitCommand() *cobra.Command {
	f := &unitFlags{}
	c := &cobra.Command{
		Use:   "unit",
		Short: "Administer crypto units: owners, policy, master keys",
		Long: `Administer the crypto units of a service. The ceremony of a new service, each step
run again until it succeeded everywhere:

  grep11 unit admin key alice.key                  each administrator makes a signature key
  grep11 unit init --admin alice.key.crt --admin bob.key.crt --admin carol.key.crt \
      --signatures 2 --revocations 2 --key alice.key --key bob.key
  grep11 unit mk part one.part                     each holder makes a key part
  grep11 unit mk load one.part two.part three.part --key alice.key
  grep11 unit mk commit --key alice.key --key bob.key
  grep11 unit mk activate --key alice.key

Later, a new master key: mk rotate. CEREMONY.md explains each step. What units answer is signed by their device
keys, which are pinned at the first contact; compare the serial numbers then.`,
		Example: "  grep11 unit list\n  grep11 unit show --json\n  grep11 unit init --dry-run --admin alice.key.crt --signatures 1 --revocations 1",
	}
	f.clientFlags.add(c)
	p := c.PersistentFlags()
	p.StringArrayVar(&f.units, "unit", nil, "only this crypto unit; may be repeated (default: all)")
	p.StringArrayVar(&f.keys, "key", nil, "signature key: a file, or a pkcs11: URI with token, object and module-path; may be repeated")
	p.StringArrayVar(&f.passwords.files, "password-file", nil, "file with a password in its first line, for all files, or NAME=FILE for one")
	p.StringVar(&f.known, "known-units", "", "folder of the pinned device certificates (default: ~/.config/grep11/units)")
	p.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	p.BoolVar(&f.yes, "yes", false, "do not ask before what cannot be undone")
	p.BoolVar(&f.json, "json", false, "print JSON")
	c.AddCommand(unitList(f), unitDrain(f), unitResume(f), unitShow(f), unitCompare(f), unitAudit(f), unitCreate(f), unitInit(f), unitAdmin(f),
		unitThreshold(f), unitAttribute(f), unitPolicy(f), unitMK(f), unitRewrap(f), unitZeroize(f))
	return c
}

// unitFlags are what all commands on crypto units share.
type unitFlags struct {
	clientFlags
	units, keys []string
	source      string // unit to copy from; it may be none of units
	passwords   passwords
	known       string
	dryRun, yes bool
	json        bool
}

// servers are the clients of the configured endpoints, one each: every server
// has crypto units of its own.
func (f *unitFlags) servers(do func([]*grep11client.Client, []string) error) error {
	file, err := f.file()
	if err != nil {
		return err
	}
	config := file.Slots[f.slot-1]
	endpoints := config.Endpoints
	var clients []*grep11client.Client
	var names []string
	for _, e := range endpoints {
		config.Endpoints = []grep11client.Endpoint{e}
		c, err := grep11client.New(config)
		if err != nil {
			return err
		}
		defer c.Close()
		clients, names = append(clients, c), append(names, e.Address)
	}
	return do(clients, names)
}

// session is a group of units, and the keys to sign with.
type session struct {
	operator.Group
	servers []*grep11client.Client
	keys    []*operator.Key
	c       *cobra.Command
	f       *unitFlags
}

// run connects to the units and runs one command; opens the keys first if it is signed.
func (f *unitFlags) run(c *cobra.Command, signed bool, do func(context.Context, *session) error) error {
	f.passwords.t = openTerminal()
	return f.servers(func(clients []*grep11client.Client, names []string) error {
		s := &session{servers: clients, c: c, f: f}
		s.DryRun = f.dryRun
		s.Report = func(unit, text string) { fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", unit, text) }
		if signed {
			return again(s.signed(background(c), names, do))
		}
		if err := s.connect(background(c), names); err != nil {
			return err
		}
		return do(background(c), s)
	})
}

func (s *session) signed(ctx context.Context, names []string, do func(context.Context, *session) error) error {
	if err := s.connect(ctx, names); err != nil {
		return err
	}
	if err := s.openKeys(); err != nil {
		return err
	}
	defer s.closeKeys()
	return do(ctx, s)
}

// again says what to do where the server was lost on the way: nobody knows whether it did the last step.
func again(err error) error {
	if wire.IsTransient(err) || errors.Is(err, ck.CKR_DEVICE_REMOVED) {
		return fmt.Errorf("%w\nRun the command again when the server answers: what is done already is left as it is", err)
	}
	return err
}

func (s *session) connect(ctx context.Context, names []string) error {
	known := operator.Known{Dir: s.f.known}
	if known.Dir == "" {
		home, err := os.UserConfigDir()
		if err != nil {
			return err
		}
		known.Dir = filepath.Join(home, "grep11", "units")
	}
	for i, client := range s.servers {
		units, err := client.CryptoUnits(ctx)
		if err != nil {
			return err
		}
		for _, u := range units {
			name := u.Name
			if len(s.servers) > 1 {
				name += "@" + names[i]
			}
			wanted := len(s.f.units) == 0 || slices.Contains(s.f.units, name)
			if !u.Administered || !wanted && name != s.f.source {
				continue
			}
			unit, err := s.reach(ctx, client, u.Name, name, known)
			if err != nil {
				return err
			}
			if wanted {
				s.Units = append(s.Units, unit)
			} else {
				s.Others = append(s.Others, unit)
			}
		}
	}
	if len(s.Units) == 0 {
		return errors.New("no crypto unit that takes administration commands was found")
	}
	return nil
}

// reach connects to one unit and pins it if it is new.
func (s *session) reach(ctx context.Context, client *grep11client.Client, unit, name string, known operator.Known) (*operator.Unit, error) {
	pinned, err := known.Get(name)
	if err != nil {
		return nil, err
	}
	send := func(ctx context.Context, block, signatures []byte) ([]byte, []byte, error) {
		return client.ExecuteAdmin(ctx, unit, block, signatures)
	}
	u, cert, err := operator.Connect(ctx, name, send, pinned)
	if err != nil || pinned != nil {
		return u, err
	}
	s.Report(name, "first contact, "+operator.CertName(cert))
	return u, known.Pin(name, cert)
}

// openKeys opens the signature keys that the flags name.
func (s *session) openKeys() error {
	for _, name := range s.f.keys {
		k, err := openKey(name, &s.f.passwords)
		if err != nil {
			return errors.Join(err, s.closeKeys())
		}
		s.keys = append(s.keys, k)
	}
	return nil
}

func openKey(name string, p *passwords) (*operator.Key, error) {
	password, err := p.of(name, false)
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	if !operator.IsTokenURI(name) {
		return operator.LoadKey(name, password)
	}
	uri, err := operator.ParseTokenURI(name)
	if err != nil {
		return nil, err
	}
	return operator.OpenToken(uri, password)
}

func (s *session) closeKeys() error {
	var errs []error
	for _, k := range s.keys {
		errs = append(errs, k.Close())
	}
	return errors.Join(errs...)
}

// confirm asks before what cannot be undone.
func (s *session) confirm(what string) error {
	if s.f.yes || s.f.dryRun {
		return nil
	}
	return s.f.passwords.t.confirm(what)
}

// finish shows what the units say now.
func (s *session) finish(ctx context.Context) error {
	if s.f.dryRun {
		return nil
	}
	views, err := s.Look(ctx)
	if err != nil {
		return err
	}
	if s.f.json {
		return printJSON(s.c.OutOrStdout(), views)
	}
	return printViews(s.c.OutOrStdout(), views)
}

// wipeAll forgets secrets.
func wipeAll(secrets []ck.Secret) {
	for _, s := range secrets {
		s.Wipe()
	}
}
