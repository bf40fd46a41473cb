package operator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin"
	"grep11/server/admin/command"
	"grep11/server/admin/operator"
	"grep11/server/soft"
	"grep11/server/unit"
)

var ctx = context.Background()

var secret = soft.Secret{Key: bytes.Repeat([]byte{7}, 32)}

// service is some emulated units in folders, and the people who own them.
type service struct {
	t     *testing.T
	dirs  []string
	units []*soft.Unit
	known operator.Known
	keys  []*operator.Key
	parts []ck.Secret
	// fail is asked before each block is sent and after each answer.
	fail func(after bool) error
}

func newService(t *testing.T, n int) *service {
	t.Helper()
	s := &service{t: t, known: operator.Known{Dir: filepath.Join(t.TempDir(), "known")}}
	for i := range n {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("unit%d", i+1))
		if err := soft.Create(dir, secret, nil); err != nil {
			t.Fatal(err)
		}
		s.dirs = append(s.dirs, dir)
		s.units = append(s.units, nil)
		s.restart(i)
	}
	t.Cleanup(func() {
		for _, u := range s.units {
			u.Close()
		}
	})
	return s
}

// restart ends a unit without a word and starts it from its folder.
func (s *service) restart(i int) {
	s.t.Helper()
	if s.units[i] != nil {
		s.units[i].Close()
	}
	u, err := soft.Open(s.dirs[i], secret, soft.Config{Name: fmt.Sprintf("unit%d", i+1)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.units[i] = u
}

// people makes signature keys and key parts, in files, as their owners would.
func (s *service) people(kinds []string, parts int) {
	s.t.Helper()
	dir := s.t.TempDir()
	for i, kind := range kinds {
		path, password := filepath.Join(dir, fmt.Sprintf("admin%d.key", i)), ck.Secret(fmt.Sprint("password ", i))
		if _, err := operator.MakeKey(path, fmt.Sprint("administrator ", i), kind, password); err != nil {
			s.t.Fatal(err)
		}
		k, err := operator.LoadKey(path, password)
		if err != nil {
			s.t.Fatal(err)
		}
		s.keys = append(s.keys, k)
	}
	s.parts = s.holders(parts)
}

func (s *service) holders(n int) (parts []ck.Secret) {
	s.t.Helper()
	dir := s.t.TempDir()
	for i := range n {
		path, password := filepath.Join(dir, fmt.Sprint(i, ".part")), ck.Secret(fmt.Sprint("holder ", i))
		pattern, err := operator.MakePart(path, "", password)
		if err != nil {
			s.t.Fatal(err)
		}
		p, err := operator.LoadPart(path, password)
		if err != nil || !bytes.Equal(command.Pattern(p), pattern) {
			s.t.Fatal("the part is not what its holder wrote down", err)
		}
		parts = append(parts, p)
	}
	return parts
}

func (s *service) certs() (all [][]byte) {
	for _, k := range s.keys {
		all = append(all, k.Cert)
	}
	return all
}

// group connects to the units, as each run of the command does.
func (s *service) group() (*operator.Group, error) {
	g := &operator.Group{}
	for i := range s.units {
		name := fmt.Sprintf("unit%d", i+1)
		send := func(ctx context.Context, block, signatures []byte) ([]byte, []byte, error) {
			if err := s.failing(false); err != nil {
				return nil, nil, err
			}
			response, signature, err := s.units[i].Administration().Execute(ctx, block, signatures)
			return response, signature, errors.Join(err, s.failing(true))
		}
		pinned, err := s.known.Get(name)
		if err != nil {
			return nil, err
		}
		u, cert, err := operator.Connect(ctx, name, send, pinned)
		if err != nil {
			return nil, err
		}
		if pinned == nil {
			if err := s.known.Pin(name, cert); err != nil {
				return nil, err
			}
		}
		g.Units = append(g.Units, u)
	}
	return g, nil
}

func (s *service) failing(after bool) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(after)
}

func (s *service) must(g *operator.Group, err error) *operator.Group {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// ceremony is all of it, from imprint mode to an active master key.
func (s *service) ceremony() error {
	g, err := s.group()
	if err != nil {
		return err
	}
	if err := g.AddAdministrators(ctx, s.certs(), s.keys); err != nil {
		return err
	}
	if err := g.SetThresholds(ctx, 2, 2, s.keys[:2]); err != nil {
		return err
	}
	return s.newKey(g, s.parts, nil)
}

// newKey loads, commits and activates.
func (s *service) newKey(g *operator.Group, parts []ck.Secret, proof operator.Proof) error {
	target, err := g.Load(ctx, parts, command.XCP_IMPRKEY_EC_P256, s.keys[:1])
	if err != nil {
		return err
	}
	if _, err := g.Commit(ctx, target, s.keys[1:]); err != nil && !errors.Is(err, operator.ErrNothing) {
		return err
	}
	_, err = g.Finalize(ctx, proof, s.keys[2:])
	return err
}

func (s *service) pattern() []byte {
	s.t.Helper()
	var all [][]byte
	for _, u := range s.units {
		p, err := u.WrappingKey()
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, p)
		if !bytes.Equal(p, all[0]) {
			s.t.Fatalf("patterns %x", all)
		}
	}
	return all[0]
}

func (s *service) makeKeys(n int) (blobs []unit.Blob) {
	s.t.Helper()
	for i := range n {
		k, err := s.units[i%len(s.units)].GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
		if err != nil {
			s.t.Fatal(err)
		}
		blobs = append(blobs, k.Blob)
	}
	return blobs
}

// use encrypts with a key on every unit: the same everywhere, or an error everywhere.
func (s *service) use(b unit.Blob) ([]byte, error) {
	s.t.Helper()
	var first []byte
	for i, u := range s.units {
		m := mech.Mechanism{Type: ck.CKM_AES_ECB}
		out, err := u.Single(ctx, mech.OpEncrypt, m, b, unit.Input{Data: make([]byte, 16)})
		if err != nil {
			return nil, err
		}
		if i > 0 && !bytes.Equal(out, first) {
			s.t.Fatal("units disagree")
		}
		first = out
	}
	return first, nil
}

func TestTheFullCeremonyAndARotation(t *testing.T) {
	s := newService(t, 3)
	s.people([]string{"p521", "p256", "ed25519"}, 3)
	if err := s.ceremony(); err != nil {
		t.Fatal(err)
	}
	if want := command.Pattern(command.Combine(s.parts)); !bytes.Equal(s.pattern(), want) {
		t.Fatalf("pattern %x, want %x", s.pattern(), want)
	}
	g := s.must(s.group())
	views, err := g.Look(ctx)
	if err != nil || len(operator.Compare(views)) != 0 || views[0].State != "operational" || len(views[0].Administrators) != 3 {
		t.Fatalf("%+v, %v", views[0], err)
	}

	store := s.makeKeys(20)
	before := make([][]byte, len(store))
	for i, b := range store {
		if before[i], err = s.use(b); err != nil {
			t.Fatal(err)
		}
	}
	old := append([]unit.Blob(nil), store...)
	parts := s.holders(2)
	rewrap := func(_ context.Context, target operator.Pattern) (uint64, error) {
		for _, u := range s.units {
			if err := u.SealAhead(target.Bytes()); err != nil {
				return 0, err
			}
		}
		store = append(store, s.makeKeys(1)...) // made meanwhile: it needs no rewrapping
		for i, b := range store[:len(old)] {
			for _, u := range s.units { // between commit and finalize both generations work
				if again, err := u.Rewrap(ctx, b); err != nil {
					return 0, err
				} else if i%3 == 0 {
					store[i] = again
				}
			}
			store[i], err = s.units[i%3].Rewrap(ctx, b)
			if err != nil {
				return 0, err
			}
			for _, both := range []unit.Blob{b, store[i]} {
				if out, err := s.use(both); err != nil || !bytes.Equal(out, before[i]) {
					t.Fatalf("key %d between commit and finalize: %v", i, err)
				}
			}
		}
		return 0, nil
	}
	if err := s.newKey(g, parts, rewrap); err != nil {
		t.Fatal(err)
	}
	if want := command.Pattern(command.Combine(parts)); !bytes.Equal(s.pattern(), want) {
		t.Fatal("another key than the new parts make")
	}
	for i, b := range store {
		out, err := s.use(b)
		if err != nil || i < len(old) && !bytes.Equal(out, before[i]) {
			t.Fatalf("key %d after the rotation: %v", i, err)
		}
	}
	for _, b := range old {
		if _, err := s.use(b); !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
			t.Fatalf("an old blob after the rotation: %v", err)
		}
	}
	for _, u := range g.Units {
		var all []string
		if err := u.Audit(ctx, 1, func(r *admin.Record) { all = append(all, r.What()) }); err != nil || len(all) != 13 {
			t.Fatalf("audit of %s: %q, %v", u.Name, all, err)
		}
	}
}

func TestFinalizeWaitsForStoredKeys(t *testing.T) {
	s := newService(t, 2)
	s.people([]string{"p256", "p256", "p256"}, 2)
	if err := s.ceremony(); err != nil {
		t.Fatal(err)
	}
	g := s.must(s.group())
	first := s.pattern()
	left := uint64(3)
	err := s.newKey(g, s.holders(2), func(context.Context, operator.Pattern) (uint64, error) { return left, nil })
	if err == nil || !strings.Contains(err.Error(), "3 stored keys") || !bytes.Equal(s.pattern(), first) {
		t.Fatalf("got %v", err)
	}
	left = 0
	if _, err := g.Finalize(ctx, func(context.Context, operator.Pattern) (uint64, error) { return left, nil }, s.keys); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(s.pattern(), first) {
		t.Fatal("the new key is not active")
	}
}

// TestACeremonyThatIsInterruptedIsResumed loses the connection before or after
// each block that is sent, restarts a unit, and begins again from the start.
func TestACeremonyThatIsInterruptedIsResumed(t *testing.T) {
	stride := 5
	if testing.Short() {
		stride = 41
	}
	lost := errors.New("connection lost")
	for n := 0; ; n += stride {
		s := newService(t, 2)
		s.people([]string{"p256", "p256", "ed25519"}, 2)
		count, hit := 0, false
		s.fail = func(after bool) error {
			if after == (n%2 == 1) {
				if count++; count > n && !hit {
					hit = true
					return lost
				}
			}
			return nil
		}
		err := s.ceremony()
		if !hit {
			if err != nil {
				t.Fatal(err)
			}
			return // n is more than a ceremony has
		}
		if !errors.Is(err, lost) {
			t.Fatalf("interrupted at %d: %v", n, err)
		}
		s.restart(n % 2)
		if err := s.ceremony(); err != nil {
			t.Fatalf("resumed after %d: %v", n, err)
		}
		if want := command.Pattern(command.Combine(s.parts)); !bytes.Equal(s.pattern(), want) {
			t.Fatalf("after %d: another key", n)
		}
		if err := s.ceremony(); err != nil { // a third time there is nothing to do
			t.Fatalf("again after %d: %v", n, err)
		}
		for _, k := range s.keys {
			k.Close()
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	s := newService(t, 2)
	s.people([]string{"p256", "p256"}, 2)
	g := s.must(s.group())
	g.DryRun = true
	var said []string
	g.Report = func(unit, text string) { said = append(said, unit+" "+text) }
	if err := g.AddAdministrators(ctx, s.certs(), nil); err != nil {
		t.Fatal(err)
	}
	if err := g.SetThresholds(ctx, 2, 1, s.keys); err != nil {
		t.Fatal(err)
	}
	want := "unit1 would add administrator administrator 0"
	if len(said) != 6 || said[0] != want || said[5] != "unit2 would set thresholds 2 and 1" {
		t.Errorf("said %q", said)
	}
	views, err := s.must(s.group()).Look(ctx)
	if err != nil || views[0].State != "imprint" || len(views[0].Administrators) != 0 {
		t.Errorf("%+v, %v", views[0], err)
	}
}

func TestWhatACeremonyRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(*service, *operator.Group) error
		want string
	}{
		{"too few signatures", func(s *service, g *operator.Group) error {
			_, err := g.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys)
			if err == nil {
				_, err = g.Commit(ctx, "", s.keys[:1])
			}
			return err
		}, "2 signatures are needed and 1"},
		{"a key given twice", func(s *service, g *operator.Group) error {
			return g.SetThresholds(ctx, 3, 3, []*operator.Key{s.keys[0], s.keys[0]})
		}, "2 signatures are needed and 1"},
		{"a stranger's key", func(s *service, g *operator.Group) error {
			s.people([]string{"p256"}, 0)
			_, err := g.Load(ctx, s.holders(2), command.XCP_IMPRKEY_EC_P256, s.keys[3:])
			return err
		}, "too few signatures"},
		{"a single part", func(s *service, g *operator.Group) error {
			_, err := g.Load(ctx, s.parts[:1], command.XCP_IMPRKEY_EC_P256, s.keys)
			return err
		}, "single part"},
		{"a part twice", func(s *service, g *operator.Group) error {
			_, err := g.Load(ctx, []ck.Secret{s.parts[0], s.parts[0]}, command.XCP_IMPRKEY_EC_P256, s.keys)
			return err
		}, "there twice"},
		{"parts of another ceremony into half loaded units", func(s *service, g *operator.Group) error {
			half := &operator.Group{Units: g.Units[:1]}
			if _, err := half.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
				return err
			}
			_, err := g.Load(ctx, s.holders(2), command.XCP_IMPRKEY_EC_P256, s.keys)
			return err
		}, "another new master key is loaded, pattern"},
		{"a commit where one unit is not loaded", func(s *service, g *operator.Group) error {
			half := &operator.Group{Units: g.Units[:1]}
			if _, err := half.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
				return err
			}
			_, err := g.Commit(ctx, "", s.keys)
			return err
		}, "load it there first"},
		{"a commit of different keys", func(s *service, g *operator.Group) error {
			for i := range g.Units {
				one := &operator.Group{Units: g.Units[i : i+1]}
				if _, err := one.Load(ctx, s.holders(2), command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
					return err
				}
			}
			_, err := g.Commit(ctx, "", s.keys)
			return err
		}, "different new master keys: unit1 "},
		{"a commit of another pattern than expected", func(s *service, g *operator.Group) error {
			if _, err := g.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
				return err
			}
			_, err := g.Commit(ctx, operator.Pattern(strings.Repeat("00", 32)), s.keys)
			return err
		}, "pattern is malformed, or not that"},
		{"activation before the commit", func(s *service, g *operator.Group) error {
			if _, err := g.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys); err != nil {
				return err
			}
			_, err := g.Finalize(ctx, nil, s.keys)
			return err
		}, "no committed new master key"},
		{"activation of nothing", func(s *service, g *operator.Group) error {
			_, err := g.Finalize(ctx, nil, s.keys)
			return err
		}, "no unit has a new master key"},
		{"clearing after one unit was finalized", func(s *service, g *operator.Group) error {
			target, err := g.Load(ctx, s.parts, command.XCP_IMPRKEY_EC_P256, s.keys)
			if err == nil {
				_, err = g.Commit(ctx, target, s.keys)
			}
			half := &operator.Group{Units: g.Units[:1]}
			if err == nil {
				_, err = half.Finalize(ctx, nil, s.keys)
			}
			if err == nil {
				err = g.ClearNew(ctx, nil, s.keys)
			}
			return err
		}, "finalize the others instead"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newService(t, 2)
			s.people([]string{"p256", "p256", "p256"}, 2)
			g := s.must(s.group())
			if err := errors.Join(g.AddAdministrators(ctx, s.certs(), nil), g.SetThresholds(ctx, 2, 2, s.keys)); err != nil {
				t.Fatal(err)
			}
			if err := row.run(s, g); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestAnotherUnitUnderAKnownNameIsRefused(t *testing.T) {
	s := newService(t, 2)
	s.must(s.group())
	s.units[0], s.units[1] = s.units[1], s.units[0]
	if _, err := s.group(); !errors.Is(err, operator.ErrDevice) {
		t.Fatalf("got %v", err)
	}
}
