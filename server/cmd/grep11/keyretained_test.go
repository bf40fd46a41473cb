package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// keeper has a retained key of a development service.
type keeper struct {
	*testing.T
	config string
	token  *grep11client.Token
	public *ecdsa.PublicKey
	handle []byte
}

func newKeeper(t *testing.T, s *service, credits uint64) *keeper {
	t.Helper()
	k := &keeper{T: t, config: s.vars["GREP11_PKCS11_CONFIG"]}
	c := clientOf(t, k.config)
	k.token, _ = storedKey(t, c)
	pub, priv, err := k.token.GenerateKeyPair(t.Context(), mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN},
		ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256)}, ck.Template{ck.Bool(ck.CKA_SIGN, true)})
	if err != nil {
		t.Fatal(err)
	}
	k.public = ecPoint(t, pub.Attributes)
	m := mech.Mechanism{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{Credits: credits}}
	if k.handle, err = k.token.WrapKey(t.Context(), m, priv.Key, grep11client.Key{}, grep11client.Key{}); err != nil {
		t.Fatal(err)
	}
	return k
}

// sign signs with the handle and verifies with Go.
func (k *keeper) sign() error {
	digest := sha256.Sum256([]byte(time.Now().String()))
	sig, err := k.token.Single(k.Context(), mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, grep11client.Key{Blob: k.handle}, digest[:], nil, false)
	if err == nil && !ecdsa.Verify(k.public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		k.Error("signed by another key")
	}
	return err
}

func (k *keeper) command(status int, args ...string) string {
	k.Helper()
	return output(k.T, status, append([]string{"key", "retained", "--config", k.config}, args...)...)
}

func (k *keeper) rows() (rows []retainedRow) {
	k.Helper()
	if err := json.Unmarshal([]byte(k.command(0, "list", "--json")), &rows); err != nil {
		k.Fatal(err)
	}
	return rows
}

// What was retained outlives the server's death, is listed, removed, and comes
// back with its credits from a backup.
func TestARetainedKeysLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "service")
	s := startAs(t, quick, "--dir", dir)
	k := newKeeper(t, s, 3)
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s = startAs(t, quick, "--dir", dir)
	if err := k.sign(); err != nil {
		t.Fatal(err)
	}
	id := hex.EncodeToString(k.handle[:16])
	if r := k.rows(); len(r) != 1 || r[0].ID != id || r[0].Type != "CKK_EC" || r[0].Class != "CKO_PRIVATE_KEY" || r[0].Credits != "2" {
		t.Errorf("listed as %+v", r)
	}
	if got := k.command(0, "list"); !strings.Contains(got, id) || strings.Contains(got, hex.EncodeToString(k.handle[16:24])) {
		t.Errorf("listed as\n%s", got)
	}
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	backup := []string{"--server-config", filepath.Join(dir, "server.toml"), "--passphrase-file", pass, pass + ".backup"}
	output(t, 0, append([]string{"key", "export"}, backup...)...)
	k.command(0, "remove", id)
	if err := k.sign(); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) {
		t.Errorf("after the removal: %v", err)
	}
	for arg, want := range map[string]string{id: "no retained key", id[1:]: "no id", id[2:]: "15 bytes"} {
		if got := k.command(1, "remove", arg); !strings.Contains(got, want) {
			t.Errorf("removing %s: %s", arg, got)
		}
	}
	s.stop(t)
	if got := output(t, 0, append([]string{"key", "import"}, backup...)...); !strings.Contains(got, "0 objects and 1 retained keys are new") {
		t.Error(got)
	}
	startAs(t, quick, "--dir", dir)
	for _, want := range []ck.RV{ck.CKR_OK, ck.CKR_OK, ck.CKR_KEY_EXHAUSTED} {
		if err := k.sign(); ck.RVOf(err) != want {
			t.Errorf("%v instead of %v", err, want)
		}
	}
}
