package consumers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sshdProgram = "/usr/sbin/sshd"

// Someone logs in to a real server with keys on the token: by the agent, with
// the library where a package would put it, and by ssh itself.
func TestOpenSSHLogin(t *testing.T) {
	consumer(t, sshdProgram, "openssh-server")
	consumer(t, "ssh", "openssh-client")
	s := start(t)
	s.keyPair(t, "rsa:2048", "ssh-rsa-key", "51")
	s.keyPair(t, "EC:prime256v1", "ssh-ec-key", "52")
	s.keyPair(t, "EC:secp521r1", "ssh-ec521-key", "53")
	keys := s.sshKeys(t)
	login := s.startSSHServer(t, keys)
	s.agentWithInstalled(t)
	for i, key := range keys {
		file := s.write(t, fmt.Sprintf("only%d.pub", i), key+"\n")
		kind, _, _ := strings.Cut(key, " ")
		t.Run("the agent logs in with "+kind, func(t *testing.T) {
			wants(t, s.run(t, append(login, "-o", "IdentityFile="+file, "-o", "IdentitiesOnly=yes", "echo logged in")...), "logged in")
		})
	}
	t.Run("ssh itself logs in", func(t *testing.T) {
		out := s.call(t, call{args: append(login, "-o", "PKCS11Provider="+s.module, "echo logged in"), env: []string{"SSH_AUTH_SOCK="}})
		wants(t, out, "logged in")
	})
}

// sshKeys are the token's keys as lines of authorized_keys.
func (s *service) sshKeys(t *testing.T) (keys []string) {
	t.Helper()
	for _, line := range strings.Split(s.run(t, "ssh-keygen", "-D", s.module), "\n") {
		if fields := strings.Fields(line); len(fields) >= 2 && strings.Contains(fields[0], "-") {
			keys = append(keys, fields[0]+" "+fields[1])
		}
	}
	if len(keys) != 3 {
		t.Fatalf("%d keys listed", len(keys))
	}
	return keys
}

// startSSHServer starts a server on loopback that lets the test's own user in,
// and gives the client's command up to what is to be run.
func (s *service) startSSHServer(t *testing.T, keys []string) []string {
	t.Helper()
	me, err := user.Current()
	if err == nil && os.Geteuid() == 0 {
		err = os.MkdirAll("/run/sshd", 0o755) // where the server's init script would make it
	}
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(freeAddress(t))
	s.run(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", "hostkey")
	conf := s.write(t, "sshd.conf", fmt.Sprintf("ListenAddress %s:%s\nHostKey %s\nPidFile none\nUsePAM no\nStrictModes no\n"+
		"PermitRootLogin yes\nPasswordAuthentication no\nAuthorizedKeysFile %s\n",
		host, port, s.path("hostkey"), s.write(t, "authorized_keys", strings.Join(keys, "\n")+"\n")))
	var log strings.Builder
	server := exec.Command(sshdProgram, "-D", "-e", "-f", conf)
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	eventually(t, "the SSH server listens", 10*time.Second, func() error {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		return err
	})
	return []string{"ssh", "-F", "none", "-p", port, "-l", me.Username, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=" + s.path("known_hosts"), "-o", "PreferredAuthentications=publickey", host}
}

// agentWithInstalled starts an agent as it is by default: it takes libraries
// below the system's library folders only. One who may not write there has the
// agent told of the folder instead.
func (s *service) agentWithInstalled(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(s.module)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("/usr/local/lib", "grep11-test-")
	if errors.Is(err, os.ErrPermission) {
		s.startAgent(t)
		return
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	module := filepath.Join(folder, "libgrep11-pkcs11.so")
	if err = errors.Join(err, os.WriteFile(module, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	s.agent(t, module)
}
