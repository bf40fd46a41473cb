package consumers

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// p11Kit registers the library for the user by a module file, as README says.
// p11-kit looks for those of users only, not of root.
func (s *service) p11Kit(t *testing.T) {
	t.Helper()
	s.unprivileged(t)
	text, err := os.ReadFile(s.snippet(t, "grep11.module"))
	if err != nil {
		t.Fatal(err)
	}
	s.registerModule(t, string(text))
}

// registerModule makes a home with a module file.
func (s *service) registerModule(t *testing.T, text string) {
	t.Helper()
	s.write(t, "home/.config/pkcs11/modules/grep11.module", text)
	err := filepath.WalkDir(s.path("home"), func(path string, d os.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o755))
	})
	if err != nil {
		t.Fatal(err)
	}
	home := s.path("home")
	s.env = append(s.env, "HOME="+home, "XDG_CONFIG_HOME="+home+"/.config", "GNUTLS_PIN="+s.pin, "GNUTLS_SO_PIN="+s.soPIN)
}

func TestGnuTLS(t *testing.T) {
	consumer(t, "p11tool", "gnutls-bin")
	s := start(t)
	s.p11Kit(t)
	token := "pkcs11:token=" + s.token
	wants(t, s.run(t, "p11tool", "--list-tokens"), ";token="+s.token)

	s.run(t, "p11tool", "--login", "--generate-privkey", "rsa", "--bits", "2048", "--label", "gnutls-rsa", token)
	s.run(t, "p11tool", "--login", "--generate-privkey", "ecdsa", "--curve", "secp256r1", "--label", "gnutls-ec", token)
	for _, label := range []string{"gnutls-rsa", "gnutls-ec"} {
		t.Run(label, func(t *testing.T) {
			wants(t, s.run(t, "p11tool", "--login", "--list-all", token), label)
			wants(t, s.run(t, "p11tool", "--login", "--test-sign", s.uri(label, "private")), "Signing using", "Verifying against public key in the token... ok")
			s.gnuTLSCertificate(t, label, token)
		})
	}
}

// gnuTLSCertificate signs a certificate with a key on the token and stores it
// beside it.
func (s *service) gnuTLSCertificate(t *testing.T, label, token string) {
	template := s.write(t, label+".tmpl", "cn = "+label+"\ndns_name = "+label+"\nca\ncert_signing_key\nsigning_key\nexpiration_days = 30\n")
	if err := os.Chmod(template, 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(t, "certtool", "--generate-self-signed", "--template", template, "--load-privkey", s.uri(label, "private"),
		"--outfile", label+".pem")
	wants(t, s.run(t, "certtool", "--verify", "--load-ca-certificate", label+".pem", "--infile", label+".pem"), "Verified. The certificate is trusted.")
	s.run(t, "p11tool", "--login", "--write", "--load-certificate", label+".pem", "--label", label, token)
	wants(t, s.run(t, "p11tool", "--login", "--list-all-certs", token), label)
	wants(t, s.run(t, "p11tool", "--export", s.uri(label, "cert")), "BEGIN CERTIFICATE")
}

// p11tool writes objects made elsewhere, and deletes them.
func TestGnuTLSWritesAndDeletes(t *testing.T) {
	consumer(t, "p11tool", "gnutls-bin")
	s := start(t)
	s.p11Kit(t)
	token := "pkcs11:token=" + s.token
	s.run(t, "certtool", "--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--no-text", "--outfile", "made.key")
	s.run(t, "certtool", "--load-privkey", "made.key", "--pubkey-info", "--no-text", "--outfile", "made.pub")
	s.write(t, "secret", "")
	for what, args := range map[string][]string{
		"private":    {"--load-privkey", "made.key"},
		"public":     {"--load-pubkey", "made.pub"},
		"secret-key": {"--secret-key", "000102030405060708090a0b0c0d0e0f"},
	} {
		t.Run(what, func(t *testing.T) {
			label := "made-" + what
			s.run(t, append(append([]string{"p11tool", "--login", "--write", "--label", label, "--id", "aabb"}, args...), token)...)
			wants(t, s.run(t, "p11tool", "--login", "--list-all", token), label)
			if what == "private" {
				s.run(t, "certtool", "--generate-request", "--load-privkey", s.uri(label, what), "--template", "/dev/null", "--outfile", "made.csr")
				wants(t, s.run(t, "openssl", "req", "-in", "made.csr", "-verify", "-noout"), "verify OK")
			}
			s.run(t, "p11tool", "--login", "--batch", "--delete", s.uri(label, what))
			out, _ := s.try(t, call{args: []string{"p11tool", "--login", "--list-all", token}}) // an empty list counts as a failure
			wants(t, out, "No matching objects found")
		})
	}
}

// GnuTLS's server has its key on the token, and so has its client.
func TestGnuTLSServerAndClient(t *testing.T) {
	consumer(t, "gnutls-serv", "gnutls-bin")
	s := start(t)
	s.p11Kit(t)
	for _, label := range []string{"gnutls-rsa", "gnutls-ec"} {
		kind := map[string]string{"gnutls-rsa": "rsa:2048", "gnutls-ec": "EC:prime256v1"}[label]
		t.Run(label, func(t *testing.T) {
			s.keyPair(t, kind, label, "61")
			s.gnuTLSCertificate(t, label, "pkcs11:token="+s.token)
			port := s.gnuTLSServer(t, label)
			for _, version := range []string{"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"} {
				out := s.call(t, call{stdin: "GET / HTTP/1.0\r\n\r\n", args: []string{"gnutls-cli", "-p", port, "--priority", version,
					"--x509cafile", label + ".pem", "--verify-hostname", label, "--x509certfile", s.uri(label, "cert"),
					"--x509keyfile", s.uri(label, "private"), "127.0.0.1"}})
				wants(t, out, "Handshake was completed", "HTTP/1.0 200 OK")
			}
		})
	}
}

// gnuTLSServer starts a server that wants certificates of its clients.
func (s *service) gnuTLSServer(t *testing.T, label string) (port string) {
	t.Helper()
	_, port, _ = net.SplitHostPort(freeAddress(t))
	args := append(slices.Clone(s.as), "gnutls-serv", "--http", "-p", port, "--require-client-cert", "--verify-client-cert",
		"--x509cafile", s.path(label+".pem"), "--x509certfile", s.uri(label, "cert"), "--x509keyfile", s.uri(label, "private"))
	server := exec.Command(args[0], args[1:]...)
	server.Env = append(os.Environ(), s.env...)
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
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
	eventually(t, "gnutls-serv listens", 10*time.Second, func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err
	})
	return port
}

// p11-kit's proxy is one module made of all registered ones.
func TestP11KitProxy(t *testing.T) {
	consumer(t, "p11-kit", "p11-kit")
	s := start(t)
	s.p11Kit(t)
	proxy := *s
	proxy.module = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so"
	for kind, id := range map[string]string{"rsa:2048": "81", "EC:prime256v1": "82"} {
		proxy.keyPair(t, kind, "by proxy "+id, id)
		wants(t, s.tool(t, "-O"), "by proxy "+id)
	}
	proxy.tool(t, "--test")
	s.write(t, "data", "signed by proxy")
	if err := os.Chmod(s.path("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	proxy.tool(t, "--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "81", "--input-file", "data", "--output-file", "data.sig")
	s.tool(t, "--read-object", "--type", "pubkey", "--id", "81", "--output-file", "proxy.der")
	wants(t, s.run(t, "openssl", "dgst", "-sha256", "-verify", "proxy.der", "-keyform", "DER", "-signature", "data.sig", "data"), "Verified OK")
}

// p11-kit carries the library over a socket to another process.
func TestP11KitRemoting(t *testing.T) {
	consumer(t, "p11-kit", "p11-kit")
	s := start(t)
	s.keyPair(t, "EC:prime256v1", "far", "71")
	s.keyPair(t, "rsa:2048", "far-rsa", "72")
	s.serveP11Kit(t)

	far := *s
	far.module = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"
	wants(t, far.tool(t, "-O"), "far", "far-rsa")
	s.write(t, "data", "signed from afar")
	far.tool(t, "--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "72", "--input-file", "data", "--output-file", "data.sig")
	far.tool(t, "--read-object", "--type", "pubkey", "--id", "72", "--output-file", "far.der")
	wants(t, s.run(t, "openssl", "dgst", "-sha256", "-verify", "far.der", "-keyform", "DER", "-signature", "data.sig", "data"), "Verified OK")
	far.keyPair(t, "EC:secp384r1", "made-afar", "73")
	wants(t, s.tool(t, "-O"), "made-afar")
}

// serveP11Kit starts p11-kit's server in the foreground with our library in it.
func (s *service) serveP11Kit(t *testing.T) {
	t.Helper()
	socket := filepath.Join(shortTemp(t), "p11")
	server := exec.Command("p11-kit", "server", "--foreground", "--name", socket, "--provider", s.module, "pkcs11:token="+s.token)
	server.Env = append(os.Environ(), s.env...)
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
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
	eventually(t, "p11-kit's socket", patience, func() error { _, err := os.Stat(socket); return err })
	s.env = append(s.env, "P11_KIT_SERVER_ADDRESS=unix:path="+socket)
}
