package operator

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// softHSM stands in for a smart card.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// cardWith makes a token with a signature key.
func cardWith(t *testing.T, mechanism uint, public []*pkcs11.Attribute) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "alice's card", "--so-pin", "12345678", "--pin", "1234").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	p, err := openModule(softHSM)
	if err != nil {
		t.Fatal(err)
	}
	k := &tokenKey{p: p}
	defer func() {
		if err := k.close(); err != nil {
			t.Error(err)
		}
	}()
	slot, err := k.slot("alice's card")
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login(session, pkcs11.CKU_USER, "1234"); err != nil {
		t.Fatal(err)
	}
	label := pkcs11.NewAttribute(pkcs11.CKA_LABEL, "sign")
	token := pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true)
	_, _, err = p.GenerateKeyPair(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)},
		append(public, label, token, pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)),
		[]*pkcs11.Attribute{label, token, pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysOnACardSign(t *testing.T) {
	params := func(arcs ...int) []*pkcs11.Attribute {
		return []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oid(arcs...))}
	}
	uri := TokenURI{"alice's card", "sign", softHSM}
	for _, row := range []struct {
		name      string
		mechanism uint
		public    []*pkcs11.Attribute
	}{
		{"P-256", pkcs11.CKM_EC_KEY_PAIR_GEN, params(1, 2, 840, 10045, 3, 1, 7)},
		{"P-521", pkcs11.CKM_EC_KEY_PAIR_GEN, params(1, 3, 132, 0, 35)},
		{"Ed25519", uint(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN), []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, append([]byte{0x13, 12}, "edwards25519"...))}},
		{"RSA", pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 2048),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cardWith(t, row.mechanism, row.public)
			if _, err := OpenToken(uri, ck.Secret("9999")); !errors.Is(err, ErrPassword) {
				t.Fatalf("a wrong PIN: %v", err)
			}
			k, err := OpenToken(uri, ck.Secret("1234"))
			if err != nil {
				t.Fatal(err)
			}
			block := (&command.Command{Function: command.XCP_ADM_COMMIT_WK}).Marshal()
			der, err := k.Sign(block)
			if err != nil {
				t.Fatal(err)
			}
			s, err := command.ParseSignatures(der)
			if err != nil || len(s) != 1 || !s[0].Verify(k.signer.Public(), block) {
				t.Fatalf("the signature is not good: %v", err)
			}
			certified, err := CertSKI(k.Cert)
			if ski, errKey := k.SKI(); err != nil || errKey != nil || ski != certified {
				t.Fatal("the certificate is another key's")
			}
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenToken(TokenURI{"bob's card", "sign", softHSM}, ck.Secret("1234")); err == nil {
				t.Error("a card that is not there")
			}
			if _, err := OpenToken(TokenURI{"alice's card", "other", softHSM}, ck.Secret("1234")); err == nil {
				t.Error("a key that is not there")
			}
		})
	}
}
