package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsFiles keeps the server's certificate and client CA, and reads them again
// when a file changed. A change that cannot be read is logged and not taken.
type tlsFiles struct {
	files TLS
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Config // guarded by mu
	seen    stats       // guarded by mu: of the files when they were read
	looked  time.Time   // guarded by mu
}

// lookEvery bounds how often the files are looked at.
const lookEvery = time.Second

func newTLSFiles(c TLS, log *slog.Logger) (*tlsFiles, error) {
	f := &tlsFiles{files: c, log: log}
	f.seen = f.stat()
	var err error
	f.current, err = f.read()
	return f, err
}

// config asks for the current files on each connection.
func (f *tlsFiles) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.now(), nil },
	}
}

// web is for HTTP endpoints: the same certificate, no demand of the client's.
func (f *tlsFiles) web() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &f.now().Certificates[0], nil },
	}
}

func (f *tlsFiles) now() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.current
	}
	f.looked = time.Now()
	info := f.stat()
	if info.same(f.seen) {
		return f.current
	}
	c, err := f.read()
	if err != nil {
		f.log.Error("changed TLS files are not taken", "cause", err)
		return f.current
	}
	f.current, f.seen = c, info
	f.log.Info("TLS files were read again")
	return c
}

type stats [3]os.FileInfo

func (f *tlsFiles) stat() (out stats) {
	for i, path := range []string{f.files.Cert, f.files.Key, f.files.ClientCA} {
		out[i], _ = os.Stat(path) // nil: not there
	}
	return out
}

func (s stats) same(o stats) bool {
	for i, a := range s {
		b := o[i]
		if (a == nil) != (b == nil) {
			return false
		}
		if a != nil && (!a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size() || !os.SameFile(a, b)) {
			return false
		}
	}
	return true
}

func (f *tlsFiles) read() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.files.Cert, f.files.Key)
	if err != nil {
		return nil, badKey("tls.cert", "%s with tls.key %s: %w", f.files.Cert, f.files.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{cert}}
	if f.files.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.files.ClientCA)
	if err != nil {
		return nil, badKey("tls.client_ca", "%w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, badKey("tls.client_ca", "%s holds no certificate", f.files.ClientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if f.files.ClientAuth == "optional" {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c, nil
}
