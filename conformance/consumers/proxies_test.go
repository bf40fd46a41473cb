package consumers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stunnel loads the key, then goes to the background. HAProxy, which in Debian
// 12 cannot have keys on tokens, gets its connections from it.
func TestStunnelAndHAProxy(t *testing.T) {
	consumer(t, "stunnel4", "stunnel4")
	consumer(t, "/usr/sbin/haproxy", "haproxy")
	w := newWebServer(t)
	plain := freeAddress(t)
	change := []string{"/srv/web", w.s.dir, "127.0.0.1:8443", w.address, "127.0.0.1:8080", plain}
	w.s.daemon(t, "haproxy.pid", "/usr/sbin/haproxy", "-D", "-f", w.s.snippet(t, "haproxy.cfg", change...))
	w.s.daemon(t, "stunnel.pid", "stunnel4", w.s.snippet(t, "stunnel.conf", change...))
	eventually(t, "stunnel answers", 10*time.Second, func() error { return w.get(0) })
	w.handshakesOf(t, 200, 0, withEC)
	w.s.stopServer(t, syscall.SIGKILL)
	w.s.startServer(t)
	w.handshakesOf(t, 40, 0, withEC)
}

// HAProxy with a key of its own on the token, by way of a library that stands
// in for the provider: the master loads the key before its workers fork, on
// each reload too.
func TestHAProxyMasterAndWorkers(t *testing.T) {
	consumer(t, "/usr/sbin/haproxy", "haproxy")
	w := newWebServer(t)
	preload := w.s.path("engine.so")
	w.s.run(t, "cc", "-std=c11", "-Wall", "-Werror", "-shared", "-fPIC", "-o", preload, testdata(t, "haproxy-engine.c"), "-lcrypto")
	w.s.env = append(w.s.env, "HAPROXY_KEY_URI="+w.s.uri("web-ec", "private"))
	conf := w.s.snippet(t, "haproxy.cfg", "/srv/web", w.s.dir,
		"127.0.0.1:8080 accept-proxy", w.address+" ssl crt "+w.s.path("ec.pem"))
	pid := w.s.daemon(t, "haproxy.pid", "env", "LD_PRELOAD="+preload, "/usr/sbin/haproxy", "-W", "-D", "-f", conf)
	eventually(t, "HAProxy answers", 10*time.Second, func() error { return w.get(0) })
	w.handshakesOf(t, 200, 0, withEC)
	for range 3 {
		old := children(pid)
		syscall.Kill(pid, syscall.SIGUSR2)
		eventually(t, "a new worker", 10*time.Second, func() error {
			if now := children(pid); len(now) == 0 || now[0] == old[0] {
				return errors.New("the old one is there")
			}
			return nil
		})
		w.handshakesOf(t, 24, 0, withEC)
	}
}

// daemon starts a program that goes to the background and leaves its process
// id in a file. It is ended with the test.
func (s *service) daemon(t *testing.T, pidFile string, args ...string) (pid int) {
	t.Helper()
	s.run(t, args...)
	eventually(t, args[0]+"'s process file", 10*time.Second, func() error {
		text, err := os.ReadFile(s.path(pidFile))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGTERM)
		eventually(t, args[0]+" ends", 15*time.Second, func() error {
			if line := commandLine(pid); line != "" {
				return errors.New(line)
			}
			return nil
		})
	})
	return pid
}

// curl proves who it is with a key and a certificate on the token.
func TestCurl(t *testing.T) {
	consumer(t, "curl", "curl")
	w := newWebServer(t)
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Write([]byte("hello " + r.TLS.PeerCertificates[0].PublicKeyAlgorithm.String()))
	}))
	site.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.roots}
	site.StartTLS()
	defer site.Close()
	w.s.write(t, "site.pem", pemOf(site.Certificate()))
	for label, want := range map[string]string{"web-ec": "hello ECDSA", "web-rsa": "hello RSA"} {
		for _, version := range []string{"1.2", "1.3"} {
			t.Run(label+" "+version, func(t *testing.T) {
				out := w.s.run(t, "curl", "-sS", "--noproxy", "*", "--cacert", "site.pem", "--tls-max", version, "--engine", "pkcs11",
					"--cert-type", "ENG", "--cert", w.s.uri(label, "cert"), "--key-type", "ENG", "--key", w.s.uri(label, "private"), site.URL)
				wants(t, out, want)
			})
		}
	}
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// testdata is the absolute path of a file of ours.
func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
