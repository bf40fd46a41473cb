package operator_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"grep11/server/admin/command"
	"grep11/server/admin/operator"
)

// emptied are units 1 and 2 in operation, and unit 3 with owners and without a master key.
func emptied(t *testing.T) (s *service, all, third *operator.Group) {
	t.Helper()
	s = newService(t, 3)
	s.people([]string{"p521", "p256", "ed25519"}, 2)
	if err := s.ceremony(); err != nil {
		t.Fatal(err)
	}
	all = s.must(s.group())
	third = &operator.Group{Units: all.Units[2:]}
	if err := third.ClearCurrent(ctx, s.keys); err != nil {
		t.Fatal(err)
	}
	return s, all, third
}

const exporting = command.XCP_ADMP_WK_EXPORT

func permissions(t *testing.T, g *operator.Group) uint32 {
	t.Helper()
	views, err := g.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return views[0].Attributes[command.XCP_ADMINT_PERMS.String()]
}

func permit(t *testing.T, s *service, g *operator.Group, value uint32) {
	t.Helper()
	if err := g.SetAttribute(ctx, command.XCP_ADMINT_PERMS.String(), value, s.keys); err != nil {
		t.Fatal(err)
	}
}

func TestAUnitJoinsByACopyOfAnothersMasterKey(t *testing.T) {
	s, all, _ := emptied(t)
	first := &operator.Group{Units: all.Units[:1]}
	before := permissions(t, first)
	permit(t, s, first, before|exporting)
	if _, err := all.Copy(ctx, "unit1", command.XCP_IMPRKEY_EC_P521, s.keys[:1]); !refusedFor(err, command.XCP_RSC_SIGS_INSUFFICIENT) {
		t.Fatalf("one of two signatures: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		target, err := all.Copy(ctx, "unit1", command.XCP_IMPRKEY_EC_P521, s.keys[1:])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.Commit(ctx, target, s.keys); err != nil && !errors.Is(err, operator.ErrNothing) {
			t.Fatal(err)
		}
		if _, err := all.Finalize(ctx, nil, s.keys); err != nil {
			t.Fatal(err)
		}
	}
	permit(t, s, first, before)
	if want := command.Pattern(command.Combine(s.parts)); !bytes.Equal(s.pattern(), want) {
		t.Fatalf("pattern %x, want %x", s.pattern(), want)
	}
	for _, b := range s.makeKeys(6) { // made on all three
		if _, err := s.use(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACopyThatIsInterruptedIsResumed(t *testing.T) {
	s, all, _ := emptied(t)
	permit(t, s, all, permissions(t, all)|exporting)
	killed := errors.New("killed")
	for at := 1; ; at += 23 { // queries, for the most part: not each one
		left := at
		s.fail = func(bool) error {
			if left--; left == 0 {
				return killed
			}
			return nil
		}
		err := s.copyAll()
		s.fail = nil
		if err == nil {
			t.Logf("interrupted up to point %d", at-23)
			break
		}
		if !errors.Is(err, killed) {
			t.Fatalf("at point %d: %v", at, err)
		}
		s.restart(2)
		if err := s.copyAll(); err != nil {
			t.Fatalf("resumed after point %d: %v", at, err)
		}
		s.pattern()
		if err := (&operator.Group{Units: s.must(s.group()).Units[2:]}).ClearCurrent(ctx, s.keys); err != nil {
			t.Fatal(err)
		}
	}
}

// copyAll does what the command does.
func (s *service) copyAll() error {
	g, err := s.group()
	if err != nil {
		return err
	}
	target, err := g.Copy(ctx, "unit1", command.XCP_IMPRKEY_EC_P256, s.keys)
	if err != nil {
		return err
	}
	if _, err := g.Commit(ctx, target, s.keys); err != nil && !errors.Is(err, operator.ErrNothing) {
		return err
	}
	_, err = g.Finalize(ctx, nil, s.keys)
	return err
}

func TestWhatACopyRefuses(t *testing.T) {
	s, all, third := emptied(t)
	try := func(from string) error {
		_, err := all.Copy(ctx, from, command.XCP_IMPRKEY_EC_P256, s.keys)
		return err
	}
	if err := try("unit1"); !refusedFor(err, command.XCP_RSC_EXPORT_WK_PROHIBITED) || !strings.Contains(err.Error(), "unit attribute permissions 0x") {
		t.Errorf("not permitted: %v", err)
	}
	permit(t, s, all, permissions(t, all)|exporting)
	if err := try("unit3"); !refusedFor(err, command.XCP_RSC_WK_MISSING) {
		t.Errorf("from the empty unit: %v", err)
	}
	if err := try("unit9"); err == nil || !strings.Contains(err.Error(), "unit9") {
		t.Errorf("from an unknown unit: %v", err)
	}
	if _, err := third.Load(ctx, s.holders(2), command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
		t.Fatal(err)
	}
	if err := try("unit1"); err == nil || !strings.Contains(err.Error(), "clear it first") {
		t.Errorf("into a register in use: %v", err)
	}
	if _, err := third.Commit(ctx, "", s.keys); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Finalize(ctx, nil, s.keys); err != nil {
		t.Fatal(err)
	}
	if err := try("unit1"); err == nil || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("into a unit of another service: %v", err)
	}
}

func refusedFor(err error, why command.Reason) bool {
	var r *command.Refusal
	return errors.As(err, &r) && r.Reason == why
}
