package operator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"filippo.io/age/armor"

	"grep11/pkcs11/ck"
	"grep11/server/durable"
)

// Signature keys and key parts are files in the age format (age-encryption.org/v1),
// armored, under a passphrase (scrypt). Any age program opens them too.

// ErrPassword is what a wrong password gives.
var ErrPassword = errors.New("wrong password")

// WorkFactor is the scrypt cost of new files, log2; 18 takes about a second.
var WorkFactor = 18

const (
	maxWorkFactor = 20
	maxFile       = 1 << 20
)

// seal writes a new file; one that is there is never replaced.
func seal(path string, password ck.Secret, plain []byte) error {
	if len(password) == 0 {
		return fmt.Errorf("%s: an empty password protects nothing", path)
	}
	r, err := age.NewScryptRecipient(string(password))
	if err != nil {
		return err
	}
	r.SetWorkFactor(WorkFactor)
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, r)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return err
	}
	return durable.Create(path, b.Bytes(), 0o600)
}

// open reads such a file.
func open(path string, password ck.Secret) ([]byte, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(string(password))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrPassword)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(b)), id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%s: %w", path, ErrPassword)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plain, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxFile)
	}
	return b, err
}
