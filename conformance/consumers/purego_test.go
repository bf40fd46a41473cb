package consumers

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A server that is built without libcrypto goes on with the keys of one that has
// it, and back.
func TestServerWithoutLibcrypto(t *testing.T) {
	consumer(t, "pkcs11-tool", "opensc")
	s := start(t)
	if s.server == nil {
		t.Skip("the server is ours")
	}
	pure := s.pureGo(t)
	s.bothKinds(t, "71", "72")
	for _, restart := range []struct{ binary, rsa, ec string }{{pure, "73", "74"}, {"", "75", "76"}} {
		s.stopServer(t, syscall.SIGTERM)
		s.binary = restart.binary
		s.startServer(t)
		s.signs(t, "71", "SHA256-RSA-PKCS")
		s.signs(t, "72", "ECDSA-SHA256")
		s.bothKinds(t, restart.rsa, restart.ec)
		wants(t, s.tool(t, "--test"), "No errors")
	}
	s.signs(t, "73", "SHA256-RSA-PKCS")
	s.signs(t, "74", "ECDSA-SHA256")
}

// bothKinds makes an RSA and an EC key, which sign.
func (s *service) bothKinds(t *testing.T, rsa, ec string) {
	t.Helper()
	s.keyPair(t, "rsa:2048", "rsa "+rsa, rsa)
	s.keyPair(t, "EC:prime256v1", "ec "+ec, ec)
	s.signs(t, rsa, "SHA256-RSA-PKCS")
	s.signs(t, ec, "ECDSA-SHA256")
}

// signs has a key sign, and OpenSSL verify.
func (s *service) signs(t *testing.T, id, mechanism string) {
	t.Helper()
	s.write(t, "letter", "signed by "+id)
	s.tool(t, "--sign", "--id", id, "--mechanism", mechanism, "--signature-format", "openssl", "--input-file", "letter", "--output-file", "letter.sig")
	s.tool(t, "--read-object", "--type", "pubkey", "--id", id, "--output-file", "letter.der")
	wants(t, s.run(t, "openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", "letter.der", "-signature", "letter.sig", "letter"), "Verified OK")
}

// pureGo builds the server without libcrypto, into a folder of its own, with our
// library beside it.
func (s *service) pureGo(t *testing.T) string {
	t.Helper()
	binary := s.path("pure/grep11")
	s.write(t, "pure/about", "")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, "go", "-C", root, "build", "-tags", "purego", "-o", binary, "./server/cmd/grep11")
	if libraries := s.run(t, "ldd", binary); strings.Contains(libraries, "libcrypto") {
		t.Errorf("it needs libcrypto:\n%s", libraries)
	}
	if err := os.Symlink(built(t, "libgrep11-pkcs11.so"), s.path("pure/libgrep11-pkcs11.so")); err != nil {
		t.Fatal(err)
	}
	return binary
}
