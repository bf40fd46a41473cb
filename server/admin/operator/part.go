package operator

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/server/admin/command"
)

// MakePart makes a key part in a file: random, or the value given in hex. Its
// pattern is for the owner to write down.
func MakePart(path string, value string, password ck.Secret) (pattern []byte, err error) {
	part := make(ck.Secret, command.LenKey)
	defer part.Wipe()
	if value == "" {
		if _, err := rand.Read(part); err != nil {
			return nil, err
		}
	} else if len(value) != 2*command.LenKey || !decoded(part, value) {
		return nil, fmt.Errorf("a key part is %d bytes in hex", command.LenKey)
	}
	return command.Pattern(part), seal(path, password, part)
}

// LoadPart opens a key part's file.
func LoadPart(path string, password ck.Secret) (ck.Secret, error) {
	b, err := open(path, password)
	if err != nil {
		return nil, err
	}
	if len(b) != command.LenKey {
		clear(b)
		return nil, fmt.Errorf("%s: not a key part", path)
	}
	return b, nil
}

func decoded(to []byte, text string) bool {
	n, err := hex.Decode(to, []byte(text))
	return err == nil && n == len(to)
}
