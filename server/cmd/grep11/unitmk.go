package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
	"grep11/server/admin/operator"
)

func unitMK(f *unitFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "mk",
		Short: "Master keys: parts, load, commit, activate, rotate, copy, clear",
		Long: `Master keys. A new one is loaded from 2 or 3 key parts (register "new": uncommitted),
committed by the quorum (committed), and activated (current).

Where a current master key is replaced, stored keys are first sealed under the new
one ("mk rewrap"; "mk rotate" does all steps). Key blobs that clients keep themselves must be
rewrapped by them, between commit and activation.`,
		Example: "  grep11 unit mk part one.part\n  grep11 unit mk rotate new1.part new2.part --key alice.key --key bob.key",
	}
	c.AddCommand(mkPart(f), mkLoad(f), mkCommit(f), mkActivate(f), mkRewrap(f), mkRotate(f), mkCopy(f),
		mkClearNew(f),
		f.signed("clear-current", "Empty the register of the current master key: no key works after it", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
			if err := s.confirm("No key of the service works without its master key."); err != nil {
				return err
			}
			return s.ClearCurrent(ctx, s.keys)
		}))
	return c
}

func mkPart(f *unitFlags) *cobra.Command {
	var valueFile string
	c := &cobra.Command{
		Use:   "part FILE",
		Short: "Make a key part in a password-protected file",
		Long: `Make a key part, 32 random bytes, in a password-protected file (age format). The
pattern that is shown is for its holder to write down. A given value is read from a file,
64 hex digits.`,
		Example: "  grep11 unit mk part one.part",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.passwords.t = openTerminal()
			password, err := f.passwords.of(args[0], true)
			if err != nil {
				return err
			}
			defer password.Wipe()
			var value ck.Secret
			if valueFile != "" {
				if value, err = firstLine(valueFile); err != nil {
					return err
				}
			}
			pattern, err := operator.MakePart(args[0], string(value), password)
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), hex.EncodeToString(pattern))
			}
			return err
		},
	}
	c.Flags().StringVar(&valueFile, "value-file", "", "file with the part's value in hex")
	return c
}

var importerKinds = map[string]command.ImporterType{
	"p521": command.XCP_IMPRKEY_EC_P521, "p256": command.XCP_IMPRKEY_EC_P256,
	"rsa2048": command.XCP_IMPRKEY_RSA_2048, "rsa3072": command.XCP_IMPRKEY_RSA_3072, "rsa4096": command.XCP_IMPRKEY_RSA_4096,
}

// importing is a signed command that makes importer keys, with a flag for their kind.
func (f *unitFlags) importing(use, short string, args cobra.PositionalArgs, do func(context.Context, *session, []string, command.ImporterType) error) *cobra.Command {
	kind := "p521"
	c := f.signed(use, short, args, func(ctx context.Context, s *session, args []string) error {
		t, ok := importerKinds[kind]
		if !ok {
			return fmt.Errorf("unknown kind of importer key %q", kind)
		}
		return do(ctx, s, args, t)
	})
	c.Flags().StringVar(&kind, "importer", kind, "kind of importer key: p521, p256, rsa2048, rsa3072, rsa4096")
	return c
}

func mkLoad(f *unitFlags) *cobra.Command {
	return f.importing("load PART...", "Load a new master key from 2 or 3 key parts", cobra.RangeArgs(2, 3), func(ctx context.Context, s *session, args []string, kind command.ImporterType) error {
		return s.load(ctx, args, kind)
	})
}

func (s *session) load(ctx context.Context, files []string, kind command.ImporterType) error {
	parts, err := s.openParts(files)
	defer wipeAll(parts)
	if err != nil {
		return err
	}
	pattern, err := s.Load(ctx, parts, kind, s.keys)
	if err == nil {
		s.Report("new master key", string(pattern))
	}
	return err
}

func (s *session) openParts(files []string) ([]ck.Secret, error) {
	var parts []ck.Secret
	for _, name := range files {
		password, err := s.f.passwords.of(name, false)
		if err != nil {
			return parts, err
		}
		part, err := operator.LoadPart(name, password)
		password.Wipe()
		if err != nil {
			return parts, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func mkCommit(f *unitFlags) *cobra.Command {
	var expect string
	c := f.signed("commit", "Approve the new master key; the signature threshold must sign", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		return s.commit(ctx, operator.Pattern(expect))
	})
	c.Flags().StringVar(&expect, "expect", "", "only if its verification pattern is this one, 64 hex digits")
	return c
}

func (s *session) commit(ctx context.Context, expect operator.Pattern) error {
	if expect == "" {
		target, err := s.Target(ctx)
		if err != nil {
			return err
		}
		if err := s.confirm(fmt.Sprintf("The new master key has the pattern %s.", target)); err != nil {
			return err
		}
	}
	_, err := s.Commit(ctx, expect, s.keys)
	return err
}

func mkActivate(f *unitFlags) *cobra.Command {
	var abandon bool
	c := f.signed("activate", "Make the committed master key current (set immediate)", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		if !abandon {
			return s.activate(ctx, s.proof)
		}
		if err := s.confirm("Keys that are sealed under the current master key will be lost."); err != nil {
			return err
		}
		return s.activate(ctx, nil)
	})
	c.Flags().BoolVar(&abandon, "abandon-keys", false, "even if stored keys are still sealed under the old master key: they will be lost")
	return c
}

func (s *session) activate(ctx context.Context, proof operator.Proof) error {
	_, err := s.Finalize(ctx, proof, s.keys)
	return err
}

func mkClearNew(f *unitFlags) *cobra.Command {
	var abandon bool
	c := f.signed("clear-new", "Empty the register for a new master key", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		if !abandon {
			return s.ClearNew(ctx, s.sealedUnder, s.keys)
		}
		if err := s.confirm("Keys that are sealed under the new master key do not work until it is loaded and committed again."); err != nil {
			return err
		}
		return s.ClearNew(ctx, nil, s.keys)
	})
	c.Flags().BoolVar(&abandon, "abandon-keys", false, "even if stored keys are sealed under the new master key: they wait for it to be loaded again")
	return c
}

func mkRewrap(f *unitFlags) *cobra.Command {
	return f.signed("rewrap", "Seal stored keys under the committed new master key", cobra.NoArgs, func(ctx context.Context, s *session, _ []string) error {
		return s.rewrap(ctx)
	})
}

func (s *session) rewrap(ctx context.Context) error {
	target, err := s.Target(ctx)
	if err != nil {
		return err
	}
	if s.DryRun {
		s.Report("stored keys", "would be sealed under "+target.Short())
		return nil
	}
	return s.seal(ctx, target)
}

// seal rewraps all stored keys.
func (s *session) seal(ctx context.Context, t operator.Pattern) error {
	left, err := s.proof(ctx, t)
	if err == nil && left > 0 {
		err = fmt.Errorf("%d stored keys could not be rewrapped: no crypto unit has their master key", left)
	}
	return err
}

// proof rewraps what is left on every server and then counts. It is zero only
// if two counts in a row found nothing, so that calls which were under way had time to end.
func (s *session) proof(ctx context.Context, t operator.Pattern) (uint64, error) {
	var left uint64
	for quiet := 0; quiet < 2; quiet++ {
		done, err := s.pass(ctx, t)
		if err != nil {
			return 0, err
		}
		if done > 0 {
			quiet = -1 // and then two passes that find nothing
		}
		if left, _, err = s.count(ctx, t); err != nil {
			return 0, err
		}
		if left > 0 && done == 0 {
			return left, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	return left, nil
}

// pass goes over all stored keys once and tells how many it rewrapped.
func (s *session) pass(ctx context.Context, t operator.Pattern) (done uint64, err error) {
	var seen uint64
	return done, s.stored(ctx, t, false, func(r grep11client.Rewrapped) {
		seen, done = seen+r.Seen, done+r.Rewrapped
		s.Report("stored keys", fmt.Sprintf("%d looked at, %d rewrapped", seen, done))
	})
}

// count tells how many stored keys are not sealed under the key of a pattern, and how many are.
func (s *session) count(ctx context.Context, t operator.Pattern) (left, sealed uint64, err error) {
	err = s.stored(ctx, t, true, func(r grep11client.Rewrapped) {
		left, sealed = left+r.Left, sealed+r.Seen-r.Left
	})
	return left, sealed, err
}

func (s *session) sealedUnder(ctx context.Context, t operator.Pattern) (uint64, error) {
	_, sealed, err := s.count(ctx, t)
	return sealed, err
}

// stored has the servers look at all stored keys, and counts batch by batch.
func (s *session) stored(ctx context.Context, t operator.Pattern, countOnly bool, add func(grep11client.Rewrapped)) error {
	for _, server := range s.servers {
		err := batches(ctx, server, t.Bytes(), countOnly, func(r grep11client.Rewrapped) (more bool) { add(r); return true })
		if err != nil {
			return err
		}
	}
	return nil
}

// batches has a server look at its stored keys, as long as each wants more.
func batches(ctx context.Context, c *grep11client.Client, pattern []byte, countOnly bool, each func(grep11client.Rewrapped) (more bool)) error {
	for after := uint64(0); ; {
		r, err := c.RewrapStore(ctx, pattern, after, countOnly)
		if err != nil {
			return err
		}
		if after = r.Next; !each(r) || after == 0 {
			return nil
		}
	}
}

func mkRotate(f *unitFlags) *cobra.Command {
	return f.importing("rotate PART...", "Load, commit, rewrap and activate a new master key in one go; run again after an interruption", cobra.RangeArgs(2, 3), func(ctx context.Context, s *session, args []string, kind command.ImporterType) error {
		if err := s.load(ctx, args, kind); err != nil || s.DryRun {
			return err
		}
		return s.commitAndActivate(ctx, "")
	})
}

func mkCopy(f *unitFlags) *cobra.Command {
	c := f.importing("copy UNIT", "Bring the master key of a unit to units without one, encrypted from unit to unit, commit and activate it", cobra.ExactArgs(1), func(ctx context.Context, s *session, args []string, kind command.ImporterType) error {
		pattern, err := s.Copy(ctx, args[0], kind, s.keys)
		if err != nil || s.DryRun {
			return err
		}
		return s.commitAndActivate(ctx, pattern)
	})
	c.PreRun = func(_ *cobra.Command, args []string) { f.source = args[0] }
	return c
}

// commitAndActivate goes on where an earlier run was interrupted.
func (s *session) commitAndActivate(ctx context.Context, expect operator.Pattern) error {
	if err := s.commit(ctx, expect); err != nil && !errors.Is(err, operator.ErrNothing) {
		return err
	}
	return s.activate(ctx, s.proof)
}
