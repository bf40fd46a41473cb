package consumers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpenSSH(t *testing.T) {
	consumer(t, "ssh-keygen", "openssh-client")
	s := start(t)
	s.keyPair(t, "rsa:2048", "ssh-rsa-key", "51")
	s.keyPair(t, "EC:prime256v1", "ssh-ec-key", "52")
	s.keyPair(t, "EC:secp384r1", "ssh-ec384-key", "53")

	listed := s.run(t, "ssh-keygen", "-D", s.module)
	wants(t, listed, "ssh-rsa ", "ecdsa-sha2-nistp256 ", "ecdsa-sha2-nistp384 ", "ssh-ec-key")

	s.startAgent(t)
	wants(t, s.run(t, "ssh-add", "-l"), "2048", "256", "384")
	for i, line := range strings.Split(strings.TrimSpace(listed), "\n") {
		if fields := strings.Fields(line); len(fields) >= 2 && strings.Contains(fields[0], "-") {
			t.Run("the agent signs with "+fields[0], func(t *testing.T) {
				s.agentSigns(t, fmt.Sprintf("key%d.pub", i), fields[0]+" "+fields[1])
			})
		}
	}
	s.run(t, "ssh-add", "-e", s.module)
}

// startAgent starts an agent that may load the module, which OpenSSH wants by
// its real path.
func (s *service) startAgent(t *testing.T) {
	t.Helper()
	real, err := filepath.EvalSymlinks(s.module)
	if err != nil {
		t.Fatal(err)
	}
	s.agent(t, real, "-P", real)
}

// agent starts an agent and gives it the module, and the PIN the way a desktop
// would.
func (s *service) agent(t *testing.T, module string, args ...string) {
	t.Helper()
	socket := filepath.Join(shortTemp(t), "agent")
	agent := exec.Command("ssh-agent", append([]string{"-D", "-a", socket}, args...)...)
	agent.Env = append(os.Environ(), s.env...)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
	eventually(t, "the agent's socket", 10*time.Second, func() error { _, err := os.Stat(socket); return err })
	ask := s.write(t, "askpass", "#!/bin/sh\necho "+s.pin+"\n")
	if err := os.Chmod(ask, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force")
	s.run(t, "ssh-add", "-s", module)
}

func (s *service) agentSigns(t *testing.T, file, key string) {
	s.write(t, file, key+"\n")
	s.write(t, "letter", "sincerely\n")
	s.write(t, "signers", "me@example.org "+key+"\n")
	os.Remove(s.path("letter.sig"))
	s.run(t, "ssh-keygen", "-Y", "sign", "-f", file, "-n", "file", "letter")
	wants(t, s.call(t, call{stdin: "sincerely\n",
		args: []string{"ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "me@example.org", "-n", "file", "-s", "letter.sig"}}),
		"Good \"file\" signature")
}

// shortTemp is a folder whose path fits into a socket's address.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
