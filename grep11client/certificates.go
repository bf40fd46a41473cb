package grep11client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificates are what a client's files held when they could last be read. A
// process that has given up its rights, or sees another root folder by now, goes on
// with them, and so does one that meets files being replaced.
type certificates struct {
	mu   sync.Mutex
	last *tls.Config
}

// load reads the files. Where that fails and the last ones are still good, it gives
// those, and as stale why.
func (c *certificates) load(t *TLS) (config *tls.Config, stale, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	config, err = t.read()
	if err == nil {
		err = t.validNow(config)
	}
	switch {
	case err == nil:
		c.last = config
	case c.last == nil || t.validNow(c.last) != nil:
		return nil, nil, err
	default:
		stale = fmt.Errorf("with the certificates read before, for now: %w", err)
	}
	return c.last.Clone(), stale, nil
}

// also tells a second fact beside a failure's cause.
func also(err, fact error) error {
	if fact == nil {
		return err
	}
	return fmt.Errorf("%w (%v)", err, fact)
}

// read makes what the files say, whether it is valid now or not.
func (t *TLS) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", t.CA)
		}
	}
	if t.Cert == "" {
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s: %w", t.Cert, err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}

// validNow refuses a certificate of ours that the server would refuse.
func (t *TLS) validNow(config *tls.Config) error {
	for _, cert := range config.Certificates {
		if cert.Leaf == nil {
			continue
		}
		if err := validNow("client certificate "+t.Cert, cert.Leaf, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

func validNow(what string, cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		return fmt.Errorf("%s (%s) expired on %s", what, cert.Subject, cert.NotAfter.Format(time.DateTime))
	}
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("%s (%s) is not valid before %s", what, cert.Subject, cert.NotBefore.Format(time.DateTime))
	}
	return nil
}

// explain names the certificate and the reason in a failed handshake.
func (t *TLS) explain(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		expired  x509.CertificateInvalidError
		hostname x509.HostnameError
	)
	switch {
	case errors.As(err, &expired) && expired.Reason == x509.Expired && expired.Cert != nil:
		if e := validNow("the server's certificate", expired.Cert, time.Now()); e != nil {
			return e
		}
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return fmt.Errorf("the server's certificate (%s, issued by %s) does not come from a CA in %s",
			unknown.Cert.Subject, unknown.Cert.Issuer, orSystem(t.CA))
	case errors.As(err, &hostname) && hostname.Certificate != nil:
		return fmt.Errorf("the server's certificate (%s) is not for %q", hostname.Certificate.Subject, hostname.Host)
	}
	return fmt.Errorf("TLS: %w", err)
}

func orSystem(ca string) string {
	if ca == "" {
		return "the system's store"
	}
	return ca
}
