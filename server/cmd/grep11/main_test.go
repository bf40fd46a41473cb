package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"grep11/grep11client"
	"grep11/server/admin/operator"
)

// The tests run the command as a process of its own: this binary, told so by
// the environment.
const asCommand = "GREP11_TEST_AS_COMMAND"

// Under the race detector most commands run without it, from a second build: a
// ceremony is some fifty processes, and a race-built one takes a second to start.
// Tests that are about threads in the server choose this binary itself.
var (
	raced       bool
	self, quick string
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		operator.WorkFactor = 8 // passwords of tests need no second each
		os.Exit(run(root(), os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "grep11")
	if err == nil {
		self, err = os.Executable()
	}
	if quick = self; raced && err == nil {
		quick = filepath.Join(dir, "grep11")
		err = withoutRace(quick)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func withoutRace(path string) error {
	out, err := exec.Command("go", "test", "-c", "-o", path, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return err
}

func grep11(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), quick, args...)
	c.Env = append(os.Environ(), asCommand+"=1", "GREP11_PKCS11_CONFIG=", "GREP11_SO_PIN=", "GREP11_PIN=", "XDG_CONFIG_HOME="+t.TempDir(), "SELF="+quick)
	return c
}

// output runs a command to its end.
func output(t *testing.T, want int, args ...string) string {
	t.Helper()
	c := grep11(t, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if code != want {
		t.Fatalf("grep11 %q: status %d instead of %d\n%s%s", args, code, want, out, stderr.String())
	}
	return string(out) + stderr.String()
}

func TestTheCommandGetsTheServiceAndGivesItsStatus(t *testing.T) {
	for _, row := range []struct {
		name, script string
		status       int
		want         string
	}{
		{"its output and status", "echo hello; exit 7", 7, "hello"},
		{"the environment", `test -n "$PKCS11_MODULE" && test -f "$GREP11_PKCS11_CONFIG" && test -d "$GREP11_DIR" && echo $GREP11_TOKEN $GREP11_SO_PIN $GREP11_PIN $GREP11_ADDRESS`, 0, "dev 87654321 12345678 127.0.0.1:"},
		{"a signal that ended it", "kill -9 $$", 128 + 9, ""},
		{"a service that is well", "$SELF doctor", 0, "All is well."},
		{"the token", "$SELF token list", 0, "dev"},
		{"a reachable service by token commands", `$SELF token init --label "my own" --so-pin 1234 --pin 5678 && $SELF token list && $SELF token delete --label "my own" && $SELF token list --json`, 0, "my own"},
		{"the units", "$SELF unit list && $SELF unit list --json", 0, "unit2"},
		{"a unit taken out of service", "$SELF unit drain unit1 && $SELF doctor", 0, "grep11 unit resume unit1"},
		{"and put back", "$SELF unit drain unit1 >/dev/null && $SELF unit resume unit1 --json", 0, `"drained": false`},
		{"a unit that is not there", "$SELF unit drain unit7", 1, "there are unit1@127.0.0.1:"},
		{"the last unit only if one is sure", "$SELF unit drain unit1 unit2 </dev/null", 1, "all calls will fail"},
		{"the units again and again", "timeout 3 $SELF unit status --watch | grep -c NAME", 0, "2"},
		{"the token's objects", "$SELF key list && $SELF key list --json", 0, "[]"},
		{"a wrong PIN", "$SELF key list --pin 9999", 1, "CKR_PIN_INCORRECT"},
		{"that a new token has a user PIN", "$SELF token init --label new --so-pin 1234 --pin 5678 --json", 0, `"user_pin": "good"`},
		{"a token that was left without a user PIN", "env -u GREP11_PIN $SELF token init --label half --so-pin 1234 && $SELF token init --label half --so-pin 1234 --pin 5678 --json", 0, `"user_pin": "good"`},
		{"that it is for its security officer alone", "env -u GREP11_PIN $SELF token init --label half2 --so-pin 1234; $SELF token init --label half2 --so-pin 4321 --pin 5678 2>&1", 1, "has no PIN of its user yet"},
		{"no token with a PIN that is too short", "$SELF token init --label short --so-pin 1234 --pin 1 2>&1; $SELF token list | grep -c short", 1, "--pin: a PIN of 1 bytes; 4 to 255 are allowed: CKR_PIN_LEN_RANGE\n0\n"},
		{"no figures of an import that failed", `echo secret >$GREP11_DIR/p && $SELF key import --passphrase-file $GREP11_DIR/p --server-config $GREP11_DIR/server.toml /nonexistent 2>&1 | grep -c "objects"`, 1, "0\n"},
		{"a token's label only once", "$SELF token init --label dev", 1, "already"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := output(t, row.status, "dev", "--", "sh", "-c", row.script); !strings.Contains(got, row.want) {
				t.Errorf("output %q lacks %q", got, row.want)
			}
		})
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	output(t, 127, "dev", "--", "/nonexistent/command")
}

// service is a running `grep11 dev` without a command.
type service struct {
	cmd  *exec.Cmd
	vars map[string]string
}

func start(t *testing.T, args ...string) *service {
	t.Helper()
	return startAs(t, quick, args...)
}

// startAs starts it from one of the two binaries.
func startAs(t *testing.T, binary string, args ...string) *service {
	t.Helper()
	s := &service{cmd: grep11(t, append([]string{"dev"}, args...)...), vars: map[string]string{}}
	s.cmd.Path = binary
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return s
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if !ok || !strings.HasPrefix(lines.Text(), "export ") {
			t.Fatalf("line %q", lines.Text())
		}
		s.vars[name] = strings.Trim(value, "'")
	}
	t.Fatal("it ended before it was ready")
	return nil
}

func (s *service) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestWithoutACommandItServesUntilASignal(t *testing.T) {
	s := start(t)
	for _, name := range []string{"PKCS11_MODULE", "GREP11_PKCS11_CONFIG", "GREP11_TOKEN", "GREP11_SO_PIN", "GREP11_PIN", "GREP11_ADDRESS", "GREP11_DIR"} {
		if s.vars[name] == "" {
			t.Errorf("%s is not exported", name)
		}
	}
	output(t, 0, "doctor", "--config", s.vars["GREP11_PKCS11_CONFIG"])
	s.stop(t)
	if _, err := os.Stat(s.vars["GREP11_DIR"]); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	output(t, 1, "doctor", "--config", s.vars["GREP11_PKCS11_CONFIG"])
}

func TestAFolderIsUsedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "service folder")
	s := start(t, "--dir", dir, "--plaintext", "127.0.0.1:0", "--zones", "a,b")
	config := []string{"--config", s.vars["GREP11_PKCS11_CONFIG"]}
	output(t, 0, append([]string{"token", "init", "--label", "kept", "--so-pin", "1234"}, config...)...)
	if s.vars["GREP11_PLAINTEXT_ADDRESS"] == "" {
		t.Error("no plaintext address")
	}
	output(t, 1, "dev", "--dir", dir, "--", "true") // in use
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	again := start(t, "--dir", dir, "--units", "3")
	if again.vars["GREP11_ADDRESS"] != s.vars["GREP11_ADDRESS"] {
		t.Errorf("address %s became %s", s.vars["GREP11_ADDRESS"], again.vars["GREP11_ADDRESS"])
	}
	if now, _ := os.ReadFile(filepath.Join(dir, "ca.pem")); !bytes.Equal(now, ca) {
		t.Error("the CA is another one")
	}
	var tokens []tokenRow
	if err := json.Unmarshal([]byte(output(t, 0, append([]string{"token", "list", "--json"}, config...)...)), &tokens); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 || tokens[0].Label != "dev" || tokens[1].Label != "kept" || tokens[1].UserPIN != "not set" {
		t.Errorf("tokens %+v", tokens)
	}
	if got := output(t, 0, append([]string{"doctor"}, config...)...); !strings.Contains(got, "unit3") {
		t.Errorf("the third unit is not there:\n%s", got)
	}
	again.stop(t)
	for _, name := range []string{"ca.key", "server.key", "unit.key", "server.toml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestSignalsGoToTheCommandAndNothingIsLeft(t *testing.T) {
	for _, row := range []struct {
		name   string
		signal syscall.Signal
		status int
	}{
		{"SIGTERM reaches it", syscall.SIGTERM, 3},
		{"SIGHUP reaches it", syscall.SIGHUP, 4},
		{"SIGKILL of the service kills it", syscall.SIGKILL, -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			script := `trap "exit 3" TERM; trap "exit 4" HUP; echo $$ >` + pidFile + `.new; mv ` + pidFile + `.new ` + pidFile + `; while :; do sleep 0.05; done`
			c := grep11(t, "dev", "--", "sh", "-c", script)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			pid := waitForFile(t, pidFile)
			_ = c.Process.Signal(row.signal)
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != row.status {
				t.Errorf("status %d, want %d", got, row.status)
			}
			for end := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the command lives on")
				}
			}
		})
	}
}

func waitForFile(t *testing.T, path string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	t.Fatal("the command did not start")
	return ""
}

// alive is false for a process that has ended, reaped or not.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestWrongUsesAreExplained(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"no configuration", []string{"token", "list"}, "GREP11_PKCS11_CONFIG"},
		{"no label", []string{"token", "init", "--so-pin", "1234"}, "label"},
		{"no PIN", []string{"token", "init", "--label", "x"}, "so-pin"},
		{"a server configuration that is not there", []string{"serve", "--config", "/nonexistent.toml"}, "/nonexistent.toml"},
		{"plaintext on all addresses", []string{"dev", "--plaintext", "0.0.0.0:0", "--", "true"}, "loopback"},
		{"an HSM", []string{"dev", "--hsm", "x.so", "--", "true"}, "x.so"},
		{"no unit", []string{"dev", "--units", "0", "--", "true"}, "unit"},
		{"an unknown command", []string{"dance"}, "dance"},
		{"an argument too many", []string{"token", "list", "x"}, "arguments are wrong (1): grep11 token list"},
		{"no file to export to", []string{"key", "export"}, "grep11 key export FILE"},
		{"one key part", []string{"unit", "mk", "load", "x"}, "grep11 unit mk load PART"},
		{"no configuration of the server", []string{"serve", "--config", "/nowhere/server.toml"}, "grep11 serve --example"},
		{"no configuration of the server to export", []string{"key", "export", "x", "--server-config", "/nowhere/server.toml"}, "--server-config"},
		{"an unknown command of a group", []string{"token", "lst"}, "did you mean list?"},
		{"an unknown command of a group's group", []string{"unit", "mk", "dance"}, "grep11 unit mk --help"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := output(t, 1, row.args...); !strings.Contains(got, row.want) {
				t.Errorf("%q does not name %q", got, row.want)
			}
		})
	}
}

func TestExamplesCallTheirCommand(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasSubCommands() || c.Name() == "help" || c.Parent().Name() == "completion" {
			return
		}
		if !strings.Contains(c.Example, c.CommandPath()+" ") && !strings.HasSuffix(c.Example, c.CommandPath()) && !strings.Contains(c.Example, c.CommandPath()+"\n") {
			t.Errorf("%s: the example is %q", c.CommandPath(), c.Example)
		}
		if strings.Contains(c.Example, "--help") {
			t.Errorf("%s: the example is a way to see it", c.CommandPath())
		}
	}
	walk(root())
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range root().Commands() {
		for _, c := range append(c.Commands(), c) {
			if c.Example == "" || c.Short == "" {
				t.Errorf("%s has no example", c.CommandPath())
			}
		}
	}
	output(t, 0, "version")
	var v versionInfo
	if err := json.Unmarshal([]byte(output(t, 0, "version", "--json")), &v); err != nil || v.Version == "" {
		t.Errorf("version: %+v, %v", v, err)
	}
}

// clientOf is a client of the first slot of a configuration, for as long as the test runs.
func clientOf(t *testing.T, config string) *grep11client.Client {
	t.Helper()
	f, err := grep11client.LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := grep11client.New(f.Slots[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
