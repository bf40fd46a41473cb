package consumers

import (
	"os"
	"regexp"
	"testing"
)

// pinentry answers gpg-agent as the program that asks a person for a PIN would.
const pinentry = `#!/bin/sh
echo OK ready
while read -r command rest; do
	case $command in
	GETPIN) echo "D $GREP11_PIN"; echo OK ;;
	BYE) echo OK; exit ;;
	*) echo OK ;;
	esac
done
`

// GnuPG learns the certificate on the token, finds its key, and signs a message.
func TestGnuPG(t *testing.T) {
	consumer(t, "gnupg-pkcs11-scd", "gnupg-pkcs11-scd")
	consumer(t, "gpgsm", "gpgsm")
	w := newWebServer(t)
	s := w.s
	s.tool(t, "--delete-object", "--type", "cert", "--label", "web-ec") // where gnupg-pkcs11-scd's KEYINFO would give up
	s.startGnuPG(t)
	learned := s.run(t, "gpg-connect-agent", "SCD LEARN --force", "/bye")
	wants(t, learned, "KEYPAIRINFO", "/A1", "\nOK")

	s.run(t, "gpgsm", "--batch", "--import", "rsa.pem")
	s.run(t, "gpgsm", "--learn-card")
	print := regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindStringSubmatch(s.run(t, "gpgsm", "--with-colons", "-K"))
	if print == nil {
		t.Fatal("gpgsm knows no secret key")
	}
	s.write(t, "gnupg/trustlist.txt", print[1]+" S relax\n")
	s.run(t, "gpgconf", "--kill", "gpg-agent")
	s.write(t, "letter", "signed with a key in the HSM\n")
	s.run(t, "gpgsm", "--disable-crl-checks", "--batch", "-u", "0x"+print[1], "--sign", "-o", "letter.cms", "letter")
	wants(t, s.run(t, "gpgsm", "--disable-crl-checks", "--verify", "letter.cms"), "Good signature")

	s.run(t, "gpgsm", "--batch", "--disable-crl-checks", "-r", "0x"+print[1], "--encrypt", "-o", "secret.cms", "letter")
	wants(t, s.run(t, "gpgsm", "--batch", "--decrypt", "secret.cms"), "signed with a key in the HSM")
}

// startGnuPG makes a home for GnuPG, whose daemons start by themselves.
func (s *service) startGnuPG(t *testing.T) {
	t.Helper()
	home := s.path("gnupg")
	s.write(t, "gnupg/pinentry", pinentry)
	s.write(t, "gnupg/gpg-agent.conf", "scdaemon-program /usr/bin/gnupg-pkcs11-scd\npinentry-program "+home+"/pinentry\n")
	conf, err := os.ReadFile(s.snippet(t, "gnupg-pkcs11-scd.conf"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "gnupg/gnupg-pkcs11-scd.conf", string(conf))
	if err := os.Chmod(home+"/pinentry", 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "GNUPGHOME="+home)
	t.Cleanup(func() { s.run(t, "gpgconf", "--kill", "all") })
}
