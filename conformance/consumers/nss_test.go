package consumers

import (
	"testing"
)

func TestNSS(t *testing.T) {
	consumer(t, "modutil", "libnss3-tools")
	s := start(t)
	db := "sql:" + s.dir
	pin := s.write(t, "pins", s.token+":"+s.pin+"\n")
	noise := s.write(t, "noise", "NSS wants to be fed with something here, no secret\n")
	s.run(t, "certutil", "-N", "-d", db, "--empty-password")
	s.run(t, "modutil", "-force", "-dbdir", db, "-add", "GREP11", "-libfile", s.module)
	wants(t, s.run(t, "modutil", "-dbdir", db, "-list"), "GREP11", s.token)

	for _, k := range []struct {
		name string
		kind []string
	}{
		{"nss-rsa", []string{"-k", "rsa", "-g", "2048"}},
		{"nss-ec", []string{"-k", "ec", "-q", "nistp256"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			s.run(t, append([]string{"certutil", "-S", "-d", db, "-h", s.token, "-f", pin, "-z", noise, "-n", k.name,
				"-s", "CN=" + k.name, "-x", "-t", "CTu,Cu,Cu", "-m", "7" + k.kind[3][:1], "-v", "1"}, k.kind...)...)
			wants(t, s.run(t, "certutil", "-L", "-d", db, "-h", s.token, "-f", pin), k.name)
			wants(t, s.run(t, "certutil", "-K", "-d", db, "-h", s.token, "-f", pin), k.name)
			s.write(t, k.name+".pem", s.run(t, "certutil", "-L", "-a", "-d", db, "-h", s.token, "-f", pin, "-n", s.token+":"+k.name))
			wants(t, s.run(t, "openssl", "verify", "-check_ss_sig", "-CAfile", k.name+".pem", k.name+".pem"), ": OK")
			request := s.path(k.name + ".req")
			s.run(t, append([]string{"certutil", "-R", "-a", "-d", db, "-h", s.token, "-f", pin, "-z", noise, "-s", "CN=requested", "-o", request}, k.kind...)...)
			wants(t, s.run(t, "openssl", "req", "-in", request, "-verify", "-noout"), "verify OK")
		})
	}
}

// A key and its certificate, made elsewhere, are imported; with the key on the
// token a certificate is issued to somebody else.
func TestNSSImportsAndIssues(t *testing.T) {
	consumer(t, "pk12util", "libnss3-tools")
	s := start(t)
	db := "sql:" + s.dir
	pin := s.write(t, "pins", s.token+":"+s.pin+"\n")
	s.run(t, "certutil", "-N", "-d", db, "--empty-password")
	s.run(t, "modutil", "-force", "-dbdir", db, "-add", "GREP11", "-libfile", s.module,
		"-mechanisms", "FRIENDLY") // certificates are read without a login
	for name, kind := range map[string][]string{
		"made-rsa": {"-newkey", "rsa:2048"},
		"made-ec":  {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
	} {
		t.Run(name, func(t *testing.T) {
			s.run(t, append([]string{"openssl", "req", "-x509", "-nodes", "-keyout", "made.key", "-out", name + ".pem", "-days", "30",
				"-subj", "/CN=" + name}, kind...)...)
			s.run(t, "openssl", "pkcs12", "-export", "-inkey", "made.key", "-in", name+".pem", "-name", name, "-passout", "pass:password", "-out", "made.p12")
			s.run(t, "pk12util", "-d", db, "-h", s.token, "-i", "made.p12", "-k", s.write(t, "pin", s.pin+"\n"), "-W", "password")
			wants(t, s.run(t, "certutil", "-K", "-d", db, "-h", s.token, "-f", pin), name)

			s.run(t, "openssl", "req", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout", "other.key", "-out", "other.csr", "-subj", "/CN=somebody else")
			s.run(t, "certutil", "-C", "-a", "-d", db, "-h", s.token, "-f", pin, "-c", s.token+":"+name, "-i", "other.csr", "-o", "other.pem", "-m", "99")
			wants(t, s.run(t, "openssl", "verify", "-CAfile", name+".pem", "other.pem"), ": OK")
		})
	}
}
