package consumers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OpenVPN loads the library, goes to the background, and uses its key in the
// child: both ends of a tunnel have theirs on the token, agree on new session
// keys every two seconds, and go on when the service was killed in between.
func TestOpenVPN(t *testing.T) {
	consumer(t, "openvpn", "openvpn")
	w := newWebServer(t)
	s := w.s
	_, port, _ := net.SplitHostPort(freeAddress(t))
	s.openVPN(t, "gateway", "a1", "--ca", "ec.pem", "--tls-server", "--dh", "none", "--local", "127.0.0.1", "--port", port)
	s.openVPN(t, "traveller", "a2", "--ca", "rsa.pem", "--tls-client", "--nobind", "--remote", "127.0.0.1", port)
	s.agreements(t, 2)
	if s.config != "" {
		s.stopServer(t, syscall.SIGKILL)
		s.startServer(t)
	}
	s.agreements(t, 3)
}

var serializedID = regexp.MustCompile(`Serialized id:\s+(\S+)`)

// openVPN starts one end of a tunnel without a device.
func (s *service) openVPN(t *testing.T, name, id string, args ...string) {
	t.Helper()
	object := ""
	for _, found := range serializedID.FindAllStringSubmatch(s.run(t, "openvpn", "--show-pkcs11-ids", s.module), -1) {
		if strings.HasSuffix(found[1], "/"+strings.ToUpper(id)) {
			object = found[1]
		}
	}
	s.daemon(t, name+".pid", append([]string{"env", "-u", "OPENSSL_CONF", "openvpn", "--cd", s.dir, "--dev", "null", "--verb", "3",
		"--pkcs11-providers", s.module, "--pkcs11-id", object, "--reneg-sec", "2", "--data-ciphers", "AES-256-GCM",
		"--management", name + ".sock", "unix", "--management-query-passwords",
		"--daemon", name, "--log", name + ".log", "--writepid", name + ".pid"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(s.path(name + ".log"))
			t.Logf("%s:\n%s", name, tail(string(text), 4000))
		}
	})
	s.tellPIN(t, name)
}

// tellPIN answers OpenVPN's questions on its management socket, of which the
// first comes with the first signature.
func (s *service) tellPIN(t *testing.T, name string) {
	t.Helper()
	var c net.Conn
	eventually(t, name+"'s management socket", 10*time.Second, func() (err error) {
		c, err = net.Dial("unix", s.path(name+".sock"))
		return err
	})
	if c == nil {
		return
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if rest, asked := strings.CutPrefix(lines.Text(), ">PASSWORD:Need '"); asked {
				what, _, _ := strings.Cut(rest, "'")
				fmt.Fprintf(c, "password %q %q\n", what, s.pin)
			}
		}
	}()
}

// agreements waits until the ends have agreed on session keys n times more.
func (s *service) agreements(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		text, _ := os.ReadFile(s.path("traveller.log"))
		return strings.Count(string(text), "Control Channel: TLS")
	}
	want := count() + n
	eventually(t, fmt.Sprintf("%d agreements on session keys", n), 40*time.Second, func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d to come", want-got)
		}
		return nil
	})
}
