package consumers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/grep11client"
)

// README's first steps are run as a newcomer types them, one after the other
// in one shell. Blocks to run are marked.
func TestReadmeFirstSteps(t *testing.T) {
	if *moduleFlag != "grep11" {
		t.Skip("README is about ours")
	}
	s := start(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "set -e\nshopt -s expand_aliases\n"
	blocks := strings.Split(string(text), "<!-- run -->\n```sh\n")
	for _, b := range blocks[1:] {
		commands, _, _ := strings.Cut(b, "```")
		script += commands
	}
	script = strings.ReplaceAll(script, "127.0.0.1:8443", freeAddress(t))
	out := s.call(t, call{args: []string{"bash", "-c", script}, env: []string{"HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir + "/.config"}})
	wants(t, out, "Key pair generated", "CONNECTION ESTABLISHED", "java, PrivateKeyEntry", ";token=dev")
}

// The configurations that README shows are read by those they are for.
func TestReadmeConfigurations(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, client, _ := strings.Cut(string(text), "```toml\n[[slot]]")
	client, _, _ = strings.Cut("[[slot]]"+client, "```")
	path := filepath.Join(t.TempDir(), "client.toml")
	if err := os.WriteFile(path, []byte(client), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := grep11client.LoadConfig(path); err != nil {
		t.Error(err)
	}
	example, err := os.ReadFile("../../server/example.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```toml\n"+string(example)+"```") {
		t.Error("README does not show server/example.toml as it is")
	}
}
