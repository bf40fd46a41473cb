package consumers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grep11/grep11client"
)

// make install puts everything where its users look. The library is where
// OpenSSH's agent takes libraries from; p11-kit reads the module file.
func TestInstall(t *testing.T) {
	consumer(t, "make", "make")
	consumer(t, "p11-kit", "p11-kit")
	s := start(t)
	s.unprivileged(t)
	root := s.path("root")
	if out, err := exec.Command("make", "-s", "-C", "../..", "install", "DESTDIR="+root).CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	for _, name := range []string{"bin/grep11", "share/doc/grep11/README.md", "share/doc/grep11/examples/server.toml",
		"share/doc/grep11/examples/nginx.conf", "lib/systemd/system/grep11.service", "lib/sysusers.d/grep11.conf"} {
		if _, err := os.Stat(filepath.Join(root, "usr", name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := grep11client.LoadConfig(filepath.Join(root, "usr/share/doc/grep11/examples/client.toml")); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "usr/share/p11-kit/modules/grep11.module"))
	if err != nil {
		t.Fatal(err)
	}
	_, library, _ := strings.Cut(string(text), "\nmodule: ")
	library, _, _ = strings.Cut(library, "\n")
	if _, err := os.Stat(root + library); err != nil || !strings.HasPrefix(library, "/usr/lib/") {
		t.Errorf("the module file names %q: %v", library, err)
	}
	s.registerModule(t, strings.Replace(string(text), library, s.module, 1))
	wants(t, s.run(t, "p11tool", "--list-tokens"), ";token="+s.token)
	if out := s.run(t, "trust", "list"); strings.Contains(out, "GREP11") {
		t.Errorf("a program that the module file does not name sees the token:\n%s", out)
	}
}
