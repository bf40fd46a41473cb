package consumers

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a program may take before it counts as hung.
const patience = 90 * time.Second

// A call is a program about to be run.
type call struct {
	args  []string
	env   []string
	stdin string
}

// run runs a program in the service's environment and folder, and gives what
// it printed. Anything but exit code 0 fails the test.
func (s *service) run(t *testing.T, args ...string) string {
	t.Helper()
	return s.call(t, call{args: args})
}

func (s *service) call(t *testing.T, c call) string {
	t.Helper()
	out, err := s.try(t, c)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(c.args, " "), err, tail(out, 8000))
	}
	return out
}

// try is call for programs that may fail.
func (s *service) try(t *testing.T, c call) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := append(slices.Clone(s.as), c.args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), s.env...), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.WaitDelay = 5 * time.Second // for grandchildren that keep the pipe
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), err
}

// wants fails the test unless the text holds every part.
func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, tail(text, 8000))
		}
	}
}

// tool runs pkcs11-tool, logged in.
func (s *service) tool(t *testing.T, args ...string) string {
	t.Helper()
	return s.run(t, append([]string{"pkcs11-tool", "--module", s.module,
		"--token-label", s.token, "--login", "--pin", s.pin}, args...)...)
}

// keyPair makes a key pair on the token: kind is pkcs11-tool's, rsa:2048 or
// EC:prime256v1 for instance. The id is in hexadecimal.
func (s *service) keyPair(t *testing.T, kind, label, id string) {
	t.Helper()
	s.tool(t, "--keypairgen", "--key-type", kind, "--label", label, "--id", id)
}
