package consumers

import (
	"os"
	"testing"
)

// openSSL prepares the engine: every openssl command of the service then has it.
func (s *service) openSSL(t *testing.T) {
	t.Helper()
	consumer(t, "openssl", "libengine-pkcs11-openssl")
	s.env = append(s.env, "OPENSSL_CONF="+s.snippet(t, "openssl.cnf"))
}

// selfSign has OpenSSL sign a certificate with a key on the token.
func (s *service) selfSign(t *testing.T, label, file string) {
	t.Helper()
	s.run(t, "openssl", "req", "-new", "-x509", "-days", "30", "-sha256", "-engine", "pkcs11", "-keyform", "engine",
		"-key", s.uri(label, "private"), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", file)
}

var openSSLKeys = []struct{ name, kind, label, id string }{
	{"an RSA key", "rsa:2048", "web-rsa", "a1"},
	{"a P-256 key", "EC:prime256v1", "web-ec", "a2"},
	{"a P-384 key", "EC:secp384r1", "web-ec384", "a3"},
}

func TestOpenSSLEngine(t *testing.T) {
	s := start(t)
	s.openSSL(t)
	message := s.write(t, "message", "to be signed\n")
	for _, k := range openSSLKeys {
		t.Run(k.name, func(t *testing.T) {
			s.keyPair(t, k.kind, k.label, k.id)
			s.requestAndCertificate(t, k.label)
			s.digestSignature(t, k.label, message)
			s.cmsSignature(t, k.label, message)
		})
	}
	t.Run("an RSA key signs PSS", func(t *testing.T) {
		pss := []string{"-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"}
		s.run(t, append(append([]string{"openssl", "dgst", "-engine", "pkcs11", "-keyform", "engine",
			"-sign", s.uri("web-rsa", "private"), "-out", "pss.sig"}, pss...), message)...)
		wants(t, s.run(t, append(append([]string{"openssl", "dgst", "-verify", "web-rsa.pub", "-signature", "pss.sig"}, pss...), message)...), "Verified OK")
	})
	t.Run("an RSA key decrypts a CMS message", func(t *testing.T) {
		s.run(t, "openssl", "cms", "-encrypt", "-aes256", "-in", message, "-out", "secret.cms", "web-rsa.pem")
		s.run(t, "openssl", "cms", "-decrypt", "-engine", "pkcs11", "-keyform", "engine",
			"-inkey", s.uri("web-rsa", "private"), "-recip", "web-rsa.pem", "-in", "secret.cms", "-out", "plain")
		if plain, _ := os.ReadFile(s.path("plain")); string(plain) != "to be signed\r\n" && string(plain) != "to be signed\n" {
			t.Errorf("decrypted %q", plain)
		}
	})
}

func (s *service) requestAndCertificate(t *testing.T, label string) {
	s.run(t, "openssl", "req", "-new", "-sha256", "-engine", "pkcs11", "-keyform", "engine",
		"-key", s.uri(label, "private"), "-subj", "/CN="+label, "-out", label+".csr")
	wants(t, s.run(t, "openssl", "req", "-in", label+".csr", "-verify", "-noout"), "verify OK")
	s.selfSign(t, label, label+".pem")
	wants(t, s.run(t, "openssl", "verify", "-check_ss_sig", "-CAfile", label+".pem", label+".pem"), ": OK")
}

func (s *service) digestSignature(t *testing.T, label, message string) {
	s.run(t, "openssl", "x509", "-in", label+".pem", "-pubkey", "-noout", "-out", label+".pub")
	for _, hash := range []string{"-sha1", "-sha256", "-sha384", "-sha512"} {
		s.run(t, "openssl", "dgst", hash, "-engine", "pkcs11", "-keyform", "engine", "-sign", s.uri(label, "private"), "-out", "sig", message)
		wants(t, s.run(t, "openssl", "dgst", hash, "-verify", label+".pub", "-signature", "sig", message), "Verified OK")
	}
}

func (s *service) cmsSignature(t *testing.T, label, message string) {
	s.run(t, "openssl", "cms", "-sign", "-binary", "-nodetach", "-engine", "pkcs11", "-keyform", "engine",
		"-inkey", s.uri(label, "private"), "-signer", label+".pem", "-in", message, "-out", label+".cms")
	wants(t, s.run(t, "openssl", "cms", "-verify", "-purpose", "any", "-CAfile", label+".pem", "-in", label+".cms"), "to be signed", "successful")
}
