package operator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
	"grep11/server/durable"
)

// Key is an administrator's signature key.
type Key struct {
	Name   string
	Cert   []byte // DER, holds the public key
	signer crypto.Signer
	close  func() error
}

// SKI names the key in units.
func (k *Key) SKI() (command.SKI, error) { return command.SKIOf(k.signer.Public()) }

// Sign gives the SignerInfo over a block.
func (k *Key) Sign(block []byte) ([]byte, error) {
	s, err := command.Sign(rand.Reader, k.signer, block)
	if err != nil {
		return nil, fmt.Errorf("signature of %s: %w", k.Name, err)
	}
	return s, nil
}

// Close ends the session of a key on a token.
func (k *Key) Close() error {
	if k.close == nil {
		return nil
	}
	return k.close()
}

// KeyKinds are the kinds of signature keys that can be made, the usual one first.
var KeyKinds = []string{"p521", "p384", "p256", "rsa3072", "ed25519"}

func generate(kind string) (crypto.Signer, error) {
	switch kind {
	case "p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "ed25519":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	}
	return nil, fmt.Errorf("unknown kind of signature key %q, not one of %v", kind, KeyKinds)
}

// certificate is what a unit gets to know an administrator by. Units look at
// nothing but its key.
func certificate(name string, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	return x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
}

// CertFile is where a key file's certificate is, for everybody to read.
func CertFile(keyFile string) string { return keyFile + ".crt" }

// MakeKey makes a signature key in a file, and its certificate beside it.
func MakeKey(path, name, kind string, password ck.Secret) (*Key, error) {
	signer, err := generate(kind)
	if err != nil {
		return nil, err
	}
	cert, err := certificate(name, signer)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(private)
	if err := seal(path, password, append(private, public...)); err != nil {
		return nil, err
	}
	return &Key{Name: name, Cert: cert, signer: signer}, durable.Create(CertFile(path), public, 0o644)
}

// LoadKey opens a key file.
func LoadKey(path string, password ck.Secret) (*Key, error) {
	b, err := open(path, password)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	private, rest := pem.Decode(b)
	public, _ := pem.Decode(rest)
	if private == nil || public == nil || private.Type != "PRIVATE KEY" || public.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: not a signature key", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a %T cannot sign", path, k)
	}
	cert, err := x509.ParseCertificate(public.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Key{Name: cert.Subject.CommonName, Cert: public.Bytes, signer: signer}, nil
}

// LoadCertificate reads an administrator's certificate, PEM or DER.
func LoadCertificate(path string) ([]byte, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if p, _ := pem.Decode(b); p != nil {
		b = p.Bytes
	}
	if _, err := x509.ParseCertificate(b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// CertName is the name in an administrator's certificate.
func CertName(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	return c.Subject.CommonName
}

// CertSKI is the identifier of the key in a certificate.
func CertSKI(der []byte) (command.SKI, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return command.SKI{}, err
	}
	return command.SKIOf(c.PublicKey)
}
