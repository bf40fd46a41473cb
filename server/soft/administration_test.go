package soft

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/admin"
	"grep11/server/admin/command"
)

const killedFolder = "GREP11_TEST_KILLED_UNIT"

// TestMain runs, in a process of its own, the unit that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedFolder); dir != "" {
		fmt.Println(workUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// workUntilKilled sends commands that need no signature, each of them a change, and
// says each counter when its answer is there.
func workUntilKilled(dir string) error {
	u, err := Open(dir, keyFile, Config{Name: "killed"})
	if err != nil {
		return err
	}
	for on := uint32(0); ; on ^= 1 {
		c, err := nextCommand(u.Administration())
		if err != nil {
			return err
		}
		c.Payload = command.Attributes{command.XCP_ADMINT_PERMS: 0x81FF0051 | on<<3}.Marshal()
		response, _, err := u.Administration().Execute(context.Background(), c.Marshal(), nil)
		if err != nil {
			return err
		}
		if r, err := command.ParseResponse(response); err != nil || r.Err() != nil {
			return errors.Join(err, r.Err())
		}
		fmt.Println(binary.BigEndian.Uint64(c.Counter[8:]))
	}
}

func nextCommand(d *admin.Domain) (*command.Command, error) {
	q := command.Command{Function: command.XCP_ADMQ_DOM_ATTRS}
	response, _, err := d.Execute(context.Background(), q.Marshal(), nil)
	if err != nil {
		return nil, err
	}
	r, err := command.ParseResponse(response)
	if err != nil {
		return nil, err
	}
	counter := bytes.Clone(r.Counter)
	binary.BigEndian.PutUint64(counter[8:], binary.BigEndian.Uint64(counter[8:])+1)
	return &command.Command{Function: command.XCP_ADM_DOM_SET_ATTR, Domain: r.Domain, Module: r.Module, Counter: counter}, nil
}

// TestAKilledUnitHasTheOldStateOrTheNew kills a unit while commands run: what was
// answered is there, state and audit log fit, and the unit goes on.
func TestAKilledUnitHasTheOldStateOrTheNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unit")
	if err := Create(dir, keyFile, nil); err != nil {
		t.Fatal(err)
	}
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	random := rand.New(rand.NewPCG(5, 11))
	for range rounds {
		last := killOnce(t, dir, time.Duration(1+random.IntN(30))*time.Millisecond)
		u, err := Open(dir, keyFile, Config{Name: "killed"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := nextCommand(u.Administration())
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.BigEndian.Uint64(c.Counter[8:]) - 1; n != last && n != last+1 {
			t.Fatalf("the unit has counter %d, it had answered %d", n, last)
		}
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%d files in the unit's folder: %v", len(left), left)
	}
}

// killOnce lets the unit work for a while after its first answer and gives the last.
func killOnce(t *testing.T, dir string, after time.Duration) (last uint64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), killedFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64)
		if err != nil {
			t.Fatalf("the unit says %q", lines.Text())
		}
		if last == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		last = n
	}
	_ = cmd.Wait() // killed
	return last
}

func TestAUnitIsOpenOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unit")
	if err := Create(dir, keyFile, master); err != nil {
		t.Fatal(err)
	}
	u, err := Open(dir, keyFile, Config{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, keyFile, Config{Name: "a"}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
}

func TestAUnitThatJoinsHasAnIdentityOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	if err := errors.Join(Create(first, keyFile, master), Join(second, first, keyFile)); err != nil {
		t.Fatal(err)
	}
	a, err := Open(first, keyFile, Config{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open(second, keyFile, Config{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	x, y := a.Administration().Status(), b.Administration().Status()
	if x.Module == y.Module || !bytes.Equal(x.Current, y.Current) || ck.Flags(y.Flags)&ck.CK_IBM_DOM_CURR_WK == 0 {
		t.Errorf("%+v, %+v", x, y)
	}
}
