package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// The doctor's look at connections and certificates.

// certWarning is how long before its end a certificate counts as ill.
const certWarning = 14 * 24 * time.Hour

// clientCertificate tells whether connections can be tried.
func (d *doctor) clientCertificate() bool {
	t := d.config.TLS
	if t == nil || t.Cert == "" {
		return true
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		d.bad("client cert", err.Error(), "slot.tls.cert and slot.tls.key must be PEM files that belong together and may be read")
		return false
	}
	d.validity("client cert", t.Cert, pair.Leaf)
	return true
}

func (d *doctor) validity(what, name string, c *x509.Certificate) {
	left := time.Until(c.NotAfter)
	detail := fmt.Sprintf("%s: valid until %s", name, c.NotAfter.Format(time.DateOnly))
	switch {
	case time.Now().Before(c.NotBefore):
		d.bad(what, fmt.Sprintf("%s: valid only from %s", name, c.NotBefore.Format(time.DateTime)), "check this machine's clock")
	case left < 0:
		d.bad(what, detail, "it expired: have a new one issued")
	case left < certWarning:
		d.bad(what, detail, "it expires soon: have a new one issued; server and library read it again by themselves")
	default:
		d.good(what, "%s, %d days", detail, int(left.Hours()/24))
	}
}

// endpoint tells whether a server can be reached and its certificate is good.
func (d *doctor) endpoint(ctx context.Context, address string) bool {
	network, addr := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, addr = "unix", path
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		d.bad("server", err.Error(), "is the server running and listening there, and is no firewall in between?")
		return false
	}
	defer conn.Close()
	if d.config.TLS == nil || network == "unix" {
		if speaksTLS(conn) {
			d.bad("server", address+" speaks TLS", "give the slot its tls = { ca, cert, key }, or name the server's address without TLS")
			return false
		}
		d.good("server", "%s answers, without TLS", address)
		return true
	}
	return d.handshake(ctx, conn, address)
}

// speaksTLS asks a server that does not go on with what begins HTTP/2. Whose
// certificate it has does not matter here.
func speaksTLS(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err == nil {
		var header [9]byte // of a frame, RFC 9113, section 4.1
		const settings = 4
		if _, err := io.ReadFull(conn, header[:]); err == nil && header[3] == settings {
			return false
		}
	}
	again, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Second}, conn.RemoteAddr().Network(), conn.RemoteAddr().String(),
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return false
	}
	_ = again.Close()
	return true
}

func (d *doctor) handshake(ctx context.Context, conn net.Conn, address string) bool {
	config, err := d.tlsConfig(address)
	if err != nil {
		d.bad("server", err.Error(), "slot.tls.ca must be a PEM file that may be read")
		return false
	}
	t := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		d.bad("server", address+": "+err.Error(), tlsAdvice(err))
		return false
	}
	d.validity("server", address, t.ConnectionState().PeerCertificates[0])
	return true
}

func (d *doctor) tlsConfig(address string) (*tls.Config, error) {
	c := &tls.Config{ServerName: d.config.TLS.ServerName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address)
	}
	if d.config.TLS.CA != "" {
		text, err := os.ReadFile(d.config.TLS.CA)
		if err != nil {
			return nil, err
		}
		if block, _ := pem.Decode(text); block == nil {
			return nil, fmt.Errorf("%s holds no certificate", d.config.TLS.CA)
		}
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(text)
	}
	if d.config.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(d.config.TLS.Cert, d.config.TLS.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func tlsAdvice(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain):
		return "the server speaks no TLS on this address: name the one where it does"
	case errors.As(err, &unknown):
		return "slot.tls.ca must hold the CA that issued the server's certificate"
	case errors.As(err, &host):
		return "the certificate is for another name: set slot.tls.server_name, or dial a name that it holds"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now: have a new one issued, or check this machine's clock"
	}
	return "the server may want another client certificate, or speak no TLS on this address"
}
