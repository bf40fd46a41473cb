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
	out := runBlocks(t, blocks(t, "../../README.md"))
	wants(t, out, "Key pair generated", "CONNECTION ESTABLISHED", "java, PrivateKeyEntry", ";token=dev")
}

// The pages of the applications go on after README's first two steps.
func TestReadmeApplications(t *testing.T) {
	out := runBlocks(t, append(blocks(t, "../../README.md")[:2], blocks(t, "README.md")...))
	wants(t, out, "served with a key in the HSM", "Zone fully signed", "gateways.pem: OK", "private key web")
}

// blocks are the shell commands of a page that are marked to be run.
func blocks(t *testing.T, page string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range strings.Split(string(text), "<!-- run -->\n```sh\n")[1:] {
		block, _, _ := strings.Cut(b, "```")
		commands = append(commands, block)
	}
	return commands
}

// runBlocks types the commands into a shell of a service.
func runBlocks(t *testing.T, commands []string) string {
	t.Helper()
	if *moduleFlag != "grep11" {
		t.Skip("README is about ours")
	}
	s := start(t)
	script := "set -e\nshopt -s expand_aliases\n" + strings.Join(commands, "")
	for _, address := range []string{"127.0.0.1:8443", "127.0.0.1:8080"} {
		free := freeAddress(t)
		script = strings.ReplaceAll(script, address, free)
		script = strings.ReplaceAll(script, strings.Replace(address, "127.0.0.1", "localhost", 1), strings.Replace(free, "127.0.0.1", "localhost", 1))
	}
	return s.call(t, call{args: []string{"bash", "-c", script}, env: []string{"HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir + "/.config"}})
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
