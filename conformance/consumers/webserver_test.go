package consumers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// webServer is a web server whose keys are on the token.
type webServer struct {
	s       *service
	address string
	roots   *x509.CertPool
	master  int
	seen    map[int]bool // every process it ever had
}

// newWebServer starts a service with an RSA key and an EC key, and their
// certificates in files and on the token. The web server is for the caller to start.
func newWebServer(t *testing.T) *webServer {
	t.Helper()
	s := start(t)
	s.openSSL(t)
	w := &webServer{s: s, address: freeAddress(t), roots: x509.NewCertPool(), seen: map[int]bool{}}
	for _, k := range openSSLKeys[:2] {
		s.keyPair(t, k.kind, k.label, k.id)
		file := strings.TrimPrefix(k.label, "web-") + ".pem"
		s.selfSign(t, k.label, file)
		s.storeCertificate(t, file, k.label, k.id)
		pem, _ := os.ReadFile(s.path(file))
		w.roots.AppendCertsFromPEM(pem)
	}
	return w
}

// storeCertificate puts a certificate beside its key on the token.
func (s *service) storeCertificate(t *testing.T, file, label, id string) {
	t.Helper()
	s.run(t, "openssl", "x509", "-in", file, "-outform", "DER", "-out", file+".der")
	s.tool(t, "--write-object", file+".der", "--type", "cert", "--label", label, "--id", id)
}

// handshakes makes n TLS connections, each with a full handshake and one
// request, from several clients at a time: TLS 1.3, and TLS 1.2 with each key.
func (w *webServer) handshakes(t *testing.T, n int) {
	t.Helper()
	w.handshakesOf(t, n, 0, 1, 2)
}

// handshakesOf is handshakes for servers that have one of the keys.
func (w *webServer) handshakesOf(t *testing.T, n int, kinds ...int) {
	t.Helper()
	var all sync.WaitGroup
	failures := make(chan error, n)
	for client := range 8 {
		all.Go(func() {
			for i := client; i < n; i += 8 {
				if err := w.get(kinds[i%len(kinds)]); err != nil {
					failures <- err
				}
			}
		})
	}
	all.Wait()
	if len(failures) > 0 {
		t.Fatalf("%d of %d handshakes failed, one with: %v", len(failures), n, <-failures)
	}
}

// Kinds of handshakes: 0 is TLS 1.3.
const (
	withRSA = 1 // TLS 1.2
	withEC  = 2
)

func (w *webServer) get(kind int) error {
	conf := &tls.Config{RootCAs: w.roots, ServerName: "localhost"}
	switch kind {
	case withRSA:
		conf.MaxVersion, conf.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	case withEC:
		conf.MaxVersion, conf.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + w.address + "/")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !strings.HasPrefix(string(body), "served") {
		err = fmt.Errorf("answer %q", body)
	}
	return err
}
