package consumers

import (
	"testing"
)

// strongSwan's pki makes a certificate authority of a key on the token, and
// has it sign a request that another key on the token has signed.
func TestStrongSwan(t *testing.T) {
	consumer(t, "pki", "strongswan-pki")
	consumer(t, "pki", "libstrongswan-extra-plugins")
	s := start(t)
	s.env = append(s.env, "STRONGSWAN_CONF="+s.snippet(t, "strongswan.conf"))
	s.keyPair(t, "rsa:2048", "gateway", "c1")
	s.keyPair(t, "EC:prime256v1", "peer", "c2")
	for _, k := range []struct{ kind, id, other, otherID string }{{"rsa", "c1", "ecdsa", "c2"}, {"ecdsa", "c2", "rsa", "c1"}} {
		t.Run(k.kind, func(t *testing.T) {
			s.pki(t, "ca.pem", "--self", "--ca", "--keyid", k.id, "--type", k.kind, "--dn", "CN="+k.kind, "--lifetime", "30", "--outform", "pem")
			wants(t, s.run(t, "openssl", "verify", "-check_ss_sig", "-CAfile", "ca.pem", "ca.pem"), ": OK")
			s.pki(t, "request.pem", "--req", "--keyid", k.otherID, "--type", k.other, "--dn", "CN=road warrior", "--outform", "pem")
			wants(t, s.run(t, "openssl", "req", "-verify", "-noout", "-in", "request.pem"), "verify OK")
			s.pki(t, "issued.pem", "--issue", "--cacert", "ca.pem", "--cakeyid", k.id, "--in", "request.pem", "--type", "pkcs10", "--outform", "pem")
			wants(t, s.run(t, "openssl", "verify", "-CAfile", "ca.pem", "issued.pem"), ": OK")
		})
	}
}

// pki runs strongSwan's pki, which asks for the PIN on standard input, and
// keeps what it prints in a file.
func (s *service) pki(t *testing.T, file string, args ...string) {
	t.Helper()
	script := `out=$1; shift; pki "$@" > "$out" 2> pki.log || { cat pki.log; exit 1; }`
	s.call(t, call{stdin: s.pin + "\n", args: append([]string{"sh", "-c", script, "sh", file}, args...)})
}
