package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"grep11/server/durable"
)

// A private CA with a server and a client certificate, all on P-256, as files
// of the service's folder. What is there and good for a month more is kept.

const (
	certLife  = 10 * 365 * 24 * time.Hour
	certSpare = 30 * 24 * time.Hour
)

// adminName is the common name of the client certificate.
const adminName = "grep11 dev client"

// makePKI makes ca.pem, server.pem, client.pem and their .key files.
func makePKI(dir string, hosts []string) error {
	ca, err := loadOrMake(dir, "ca", nil, func(t *x509.Certificate) {
		t.Subject = pkix.Name{CommonName: "grep11 dev CA"}
		t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	})
	if err != nil {
		return err
	}
	_, err = loadOrMake(dir, "server", ca, func(t *x509.Certificate) {
		t.Subject = pkix.Name{CommonName: "grep11 dev server"}
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, h)
			}
		}
	})
	if err != nil {
		return err
	}
	_, err = loadOrMake(dir, "client", ca, func(t *x509.Certificate) {
		t.Subject = pkix.Name{CommonName: adminName}
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	return err
}

// certificate is one with its key.
type certificate struct {
	leaf *x509.Certificate
	key  crypto.Signer
}

func loadOrMake(dir, name string, ca *certificate, describe func(*x509.Certificate)) (*certificate, error) {
	want := &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	describe(want)
	if c := loadCertificate(dir, name); c != nil && c.serves(want, ca) {
		return c, nil
	}
	return makeCertificate(dir, name, ca, want)
}

func certFile(dir, name string) string { return filepath.Join(dir, name+".pem") }
func keyFile(dir, name string) string  { return filepath.Join(dir, name+".key") }

func loadCertificate(dir, name string) *certificate {
	pair, err := tls.LoadX509KeyPair(certFile(dir, name), keyFile(dir, name))
	if err != nil {
		return nil
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil
	}
	return &certificate{pair.Leaf, key}
}

// serves tells whether a certificate is still good for what is wanted.
func (c *certificate) serves(want *x509.Certificate, ca *certificate) bool {
	if time.Until(c.leaf.NotAfter) < certSpare || ca != nil && c.leaf.CheckSignatureFrom(ca.leaf) != nil {
		return false
	}
	for _, h := range want.DNSNames {
		if c.leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	for _, ip := range want.IPAddresses {
		if c.leaf.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return true
}

func makeCertificate(dir, name string, ca *certificate, t *x509.Certificate) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	parent, signer := t, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.leaf, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(keyFile(dir, name), "PRIVATE KEY", keyDER, 0o600); err != nil {
		return nil, err
	}
	if err := writePEM(certFile(dir, name), "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &certificate{leaf, key}, err
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return durable.Replace(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
