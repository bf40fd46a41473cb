package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// The state folder holds one file, the sealed registers:
//
//	0  8  "grep11u1"
//	8  1  how the key is made of the secret
//	9 16  salt
//	25    registers, sealed with AES-256-GCM; all before is authenticated
//
// Each salt makes a key of its own, so the nonce is zero.
const (
	stateFile  = "wrapping-keys"
	fileMagic  = "grep11u1"
	lenSalt    = 16
	offSalt    = len(fileMagic) + 1
	offSealed  = offSalt + lenSalt
	maxFile    = 4096
	lenKey     = 32
	fromPhrase = 1 // argon2id, 64 MiB, 3 passes, 1 lane
	fromFile   = 2 // HKDF-SHA-256
)

// Secret is what opens a unit's state folder: a passphrase, or a key of 32
// random bytes.
type Secret struct {
	Passphrase ck.Secret
	Key        ck.Secret
}

var errNoSecret = fmt.Errorf("the unit's secret is missing: give its passphrase or its key file of 32 bytes: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)

// Create makes the state folder of a new unit that has a master key. A folder
// that already holds a unit is refused.
func Create(dir string, s Secret, master ck.Secret) error {
	if _, err := os.Stat(filepath.Join(dir, stateFile)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds a crypto unit already", dir)
	}
	reg, err := newRegister(master)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeRegisters(dir, s, reg, nil)
}

// Open starts the unit of a state folder. Its name is that of c; the master
// key comes from the folder.
func Open(dir string, s Secret, c Config) (*Unit, error) {
	cur, next, err := readRegisters(dir, s)
	if err != nil {
		return nil, fmt.Errorf("crypto unit %s: %w", c.Name, err)
	}
	c.MasterKey = nil
	u, err := New(c)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cur, u.next = cur, next
	return u, nil
}

// fileKey makes the key of the secret. Its method is in the file.
func (s Secret) fileKey(method byte, salt []byte) ([]byte, error) {
	switch {
	case method == fromPhrase && len(s.Passphrase) > 0:
		return argon2.IDKey(s.Passphrase, salt, 3, 64<<10, 1, lenKey), nil
	case method == fromFile && len(s.Key) == 32:
		return hkdf.Key(sha256.New, s.Key, salt, "grep11 unit registers", lenKey)
	}
	return nil, errNoSecret
}

var zeroNonce = make([]byte, 12)

func (s Secret) aead(method byte, salt []byte) (cipher.AEAD, error) {
	key, err := s.fileKey(method, salt)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s Secret) method() byte {
	if len(s.Key) > 0 {
		return fromFile
	}
	return fromPhrase
}

func writeRegisters(dir string, s Secret, cur, next *register) error {
	b := append(make([]byte, 0, maxFile), fileMagic...)
	b = append(b, s.method())
	b = b[:offSealed]
	rand.Read(b[offSalt:])
	aead, err := s.aead(s.method(), b[offSalt:])
	if err != nil {
		return err
	}
	plain := appendRegister(appendRegister(nil, cur), next)
	defer clear(plain)
	return writeFile(dir, stateFile, aead.Seal(b, zeroNonce, plain, b))
}

// A register is a byte, 0 empty, 1 full, 2 full and committed, and its key.
func appendRegister(b []byte, r *register) []byte {
	switch {
	case r == nil:
		return append(b, 0)
	case r.committed:
		return append(append(b, 2), r.master...)
	}
	return append(append(b, 1), r.master...)
}

func takeRegister(b []byte) (*register, []byte, error) {
	if len(b) > 0 && b[0] == 0 {
		return nil, b[1:], nil
	}
	if len(b) < 1+unit.LenWrappingKey || b[0] > 2 {
		return nil, nil, errDamaged
	}
	r, err := newRegister(b[1 : 1+unit.LenWrappingKey])
	if err != nil {
		return nil, nil, err
	}
	r.committed = b[0] == 2
	return r, b[1+unit.LenWrappingKey:], nil
}

var errDamaged = fmt.Errorf("the file of wrapping keys is damaged: restore it, or load the master key again: %w", ck.CKR_IBM_WK_NOT_INITIALIZED)

func readRegisters(dir string, s Secret) (cur, next *register, err error) {
	b, err := readFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, nil, err
	}
	if len(b) < offSealed || string(b[:len(fileMagic)]) != fileMagic {
		return nil, nil, errDamaged
	}
	aead, err := s.aead(b[len(fileMagic)], b[offSalt:offSealed])
	if err != nil {
		return nil, nil, err
	}
	plain, err := aead.Open(nil, zeroNonce, b[offSealed:], b[:offSealed])
	if err != nil {
		return nil, nil, fmt.Errorf("the unit's secret is wrong, or its file %s was altered: give the secret it was made with: %w", stateFile, ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	defer clear(plain)
	cur, rest, err := takeRegister(plain)
	if err != nil {
		return nil, nil, err
	}
	next, rest, err = takeRegister(rest)
	if err == nil && len(rest) > 0 {
		err = errDamaged
	}
	return cur, next, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%v: make the unit first: %w", err, ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// writeFile replaces a file at once: after a crash there is the old or the new.
func writeFile(dir, name string, b []byte) error {
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
