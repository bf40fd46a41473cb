package command

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestOpenSSLsKeyAgreementOpens takes an EnvelopedData that the openssl command
// made for an EC importer: its RecipientInfo is our EC form, its content key the part.
func TestOpenSSLsKeyAgreementOpens(t *testing.T) {
	for _, row := range []struct {
		name  string
		curve elliptic.Curve
		kdf   string
	}{{"P-256 and SHA-256", elliptic.P256(), "sha256"}, {"P-521 and SHA-512", elliptic.P521(), "sha512"}} {
		t.Run(row.name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(row.curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			text := bytes.Repeat([]byte("secret text "), 5)
			recipient, iv, content := openSSLEnvelope(t, key, row.kdf, text)
			private, err := key.ECDH()
			if err != nil {
				t.Fatal(err)
			}
			cek, pattern, err := DecryptPart(private, recipient)
			if err != nil || len(pattern) != 0 {
				t.Fatal(err)
			}
			block, err := aes.NewCipher(cek)
			if err != nil {
				t.Fatal(err)
			}
			plain := make([]byte, len(content))
			cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, content)
			if !bytes.HasPrefix(plain, text) {
				t.Fatalf("%q", plain)
			}
		})
	}
}

func openSSLEnvelope(t *testing.T, key *ecdsa.PrivateKey, kdf string, text []byte) (recipient, iv, content []byte) {
	t.Helper()
	dir := t.TempDir()
	ski, err := SKIOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "importer"},
		NotAfter: time.Now().Add(time.Hour), SubjectKeyId: ski[:]}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, plain, out := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "text"), filepath.Join(dir, "out.der")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, plain, text)
	cmd := exec.Command("openssl", "cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", "-in", plain, "-out", out,
		"-keyid", "-recip", cert, "-keyopt", "ecdh_kdf_md:"+kdf, "-aes256-wrap")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, text)
	}
	enveloped, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return openEnvelope(t, enveloped)
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func openEnvelope(t *testing.T, der []byte) (recipient, iv, content []byte) {
	t.Helper()
	var info struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version    int
			Recipients []asn1.RawValue `asn1:"set"`
			Encrypted  struct {
				Type      asn1.ObjectIdentifier
				Algorithm pkix.AlgorithmIdentifier
				Content   asn1.RawValue
			}
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		t.Fatal(err)
	}
	e := info.Content.Encrypted
	return info.Content.Recipients[0].FullBytes, e.Algorithm.Parameters.Bytes, e.Content.Bytes
}
