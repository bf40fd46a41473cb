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
	"grep11/server/durable"
)

// The state folder holds one file:
//
//	 0  8  "grep11u1"
//	 8  1  how the key is made of the secret
//	 9 16  salt
//	25 12  nonce
//	37     the unit's state, sealed with AES-256-GCM; all before is authenticated
const (
	stateFile  = "state"
	fileMagic  = "grep11u1"
	offSalt    = len(fileMagic) + 1
	offNonce   = offSalt + 16
	offSealed  = offNonce + 12
	maxFile    = 1 << 20
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

// Folder keeps a unit's state on disk, sealed under a key made of its secret.
type Folder struct {
	dir    string
	header []byte // magic, method and salt
	aead   cipher.AEAD
}

// down is an error that keeps the unit from starting.
func down(format string, a ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), ck.CKR_IBM_WK_NOT_INITIALIZED)
}

// MakeFolder makes the folder of a new unit; one that holds a unit is refused.
// Nothing is in it before the first Save.
func MakeFolder(dir string, s Secret) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, stateFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds a crypto unit already: %w", dir, ck.CKR_ARGUMENTS_BAD)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	header := append(append([]byte(fileMagic), s.method()), make([]byte, offNonce-offSalt)...)
	rand.Read(header[offSalt:])
	return newFolder(dir, header, s)
}

// OpenFolder opens a folder and gives the state in it. A wrong or missing
// secret says what to do; the unit stays down.
func OpenFolder(dir string, s Secret) (*Folder, []byte, error) {
	b, err := readFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, nil, down("%v: make the unit first, or restore its folder", err)
	}
	if len(b) < offSealed || string(b[:len(fileMagic)]) != fileMagic {
		return nil, nil, down("%s is no state of a unit: restore it", filepath.Join(dir, stateFile))
	}
	f, err := newFolder(dir, b[:offNonce:offNonce], s)
	if err != nil {
		return nil, nil, err
	}
	state, err := f.aead.Open(nil, b[offNonce:offSealed], b[offSealed:], f.header)
	if err != nil {
		return nil, nil, down("the secret of the unit in %s is wrong, or its file was altered: give the secret it was made with", dir)
	}
	return f, state, nil
}

func newFolder(dir string, header []byte, s Secret) (*Folder, error) {
	key, err := s.key(header[offSalt-1], header[offSalt:])
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Folder{dir, header, aead}, err
}

func (s Secret) method() byte {
	if len(s.Key) > 0 {
		return fromFile
	}
	return fromPhrase
}

func (s Secret) key(method byte, salt []byte) ([]byte, error) {
	switch {
	case method == fromPhrase && len(s.Passphrase) > 0:
		return argon2.IDKey(s.Passphrase, salt, 3, 64<<10, 1, lenKey), nil
	case method == fromFile && len(s.Key) == lenKey:
		return hkdf.Key(sha256.New, s.Key, salt, "grep11 unit state", lenKey)
	case method == fromFile:
		return nil, down("the unit's secret is missing: give its key file of %d bytes", lenKey)
	}
	return nil, down("the unit's secret is missing: give its passphrase")
}

// Save replaces the state, durably and as a whole.
func (f *Folder) Save(state []byte) error {
	if len(state) > maxFile-offSealed-f.aead.Overhead() {
		return fmt.Errorf("state of %d bytes: %w", len(state), ck.CKR_DEVICE_MEMORY)
	}
	b := append(make([]byte, 0, offSealed+len(state)+f.aead.Overhead()), f.header...)
	b = b[:offSealed]
	rand.Read(b[offNonce:])
	return durable.Replace(filepath.Join(f.dir, stateFile), f.aead.Seal(b, b[offNonce:], state, f.header), 0o600)
}

// tidy removes what a crash left of a Save that was not finished. The caller
// alone has the folder.
func (f *Folder) tidy() {
	left, _ := filepath.Glob(filepath.Join(f.dir, stateFile+".*")) // the pattern is a good one
	for _, path := range left {
		_ = os.Remove(path)
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
