package soft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var (
	phrase  = Secret{Passphrase: ck.Secret("correct horse")}
	keyFile = Secret{Key: bytes.Repeat([]byte{7}, 32)}
	master  = ck.Secret(bytes.Repeat([]byte{1}, 32))
)

func TestUnitsOfOneMasterKeyOpenEachOthersBlobs(t *testing.T) {
	var units []*Unit
	for _, s := range []Secret{phrase, keyFile} {
		dir := filepath.Join(t.TempDir(), "unit")
		if err := Create(dir, s, master); err != nil {
			t.Fatal(err)
		}
		u, err := Open(dir, s, Config{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, u)
	}
	k, err := units[0].GenerateKey(context.Background(), mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := units[1].Attributes(context.Background(), k.Blob, []ck.AttributeType{ck.CKA_CHECK_VALUE})
	if err != nil || !bytes.Equal(got.Bytes(ck.CKA_CHECK_VALUE), k.CheckSum) {
		t.Errorf("%v, %x", err, got.Bytes(ck.CKA_CHECK_VALUE))
	}
}

func TestAFolderThatDoesNotOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir, phrase, master); err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, master) {
		t.Error("the master key is in the file")
	}
	alter := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[i] ^= 1; return b }
	}
	same := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name   string
		secret Secret
		change func([]byte) []byte
		say    string
	}{
		{"a wrong passphrase", Secret{Passphrase: ck.Secret("battery staple")}, same, "give the secret it was made with"},
		{"no secret", Secret{}, same, "give its passphrase"},
		{"a key file where a passphrase belongs", keyFile, same, "give its passphrase"},
		{"an altered salt", phrase, alter(offSalt), "give the secret it was made with"},
		{"an altered key", phrase, alter(offSealed + 3), "give the secret it was made with"},
		{"a file cut short", phrase, func(b []byte) []byte { return b[:20] }, "restore it"},
		{"an empty file", phrase, func([]byte) []byte { return nil }, "restore it"},
	} {
		if err := os.WriteFile(filepath.Join(dir, stateFile), c.change(bytes.Clone(sealed)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, c.secret, Config{Name: "a"})
		if !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Create(dir, phrase, master); !errors.Is(err, ck.CKR_ARGUMENTS_BAD) {
		t.Errorf("a second unit in a folder: %v", err)
	}
}

func TestRotation(t *testing.T) {
	ctx := context.Background()
	u := newTestUnit(t)
	next := ck.Secret(bytes.Repeat([]byte{2}, 32))
	install := func(r Registers) {
		if err := u.Install(Registers{bytes.Clone(r.Current), bytes.Clone(r.Next), r.Committed}); err != nil {
			t.Fatal(err)
		}
	}
	install(Registers{Current: master})
	k, err := u.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32)})
	if err != nil {
		t.Fatal(err)
	}
	opens := func(b []byte) error { _, err := u.Attributes(ctx, b, nil); return err }
	install(Registers{master, next, false})
	if _, err := u.Rewrap(ctx, k.Blob); !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) {
		t.Errorf("rewrap before commit: %v", err)
	}
	install(Registers{master, next, true})
	b, err := u.Rewrap(ctx, k.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != len(k.Blob) || opens(k.Blob) != nil || opens(b) != nil {
		t.Error("between commit and finalize both blobs must open, equally long")
	}
	install(Registers{Current: next})
	if err := opens(k.Blob); !errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) {
		t.Errorf("the old blob after finalize: %v", err)
	}
	if err := opens(b); err != nil {
		t.Errorf("the new blob after finalize: %v", err)
	}
	install(Registers{})
	if err := opens(b); !errors.Is(err, ck.CKR_IBM_WK_NOT_INITIALIZED) {
		t.Errorf("without a wrapping key: %v", err)
	}
}
