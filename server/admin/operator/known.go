package operator

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"grep11/server/durable"
)

// Known are the device certificates of units, a PEM file each in a folder.
// The first contact pins a unit; operators compare its serial number.
type Known struct{ Dir string }

func (k Known) path(unit string) (string, error) {
	if unit == "" || strings.ContainsAny(unit, "/\x00") || strings.HasPrefix(unit, ".") {
		return "", fmt.Errorf("%q is no name for a unit", unit)
	}
	return filepath.Join(k.Dir, unit+".crt"), nil
}

// Get answers nil for a unit that was not seen yet.
func (k Known) Get(unit string) ([]byte, error) {
	path, err := k.path(unit)
	if err != nil {
		return nil, err
	}
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, _ := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("%s: not a certificate", path)
	}
	return p.Bytes, nil
}

// Pin keeps a unit's certificate.
func (k Known) Pin(unit string, cert []byte) error {
	path, err := k.path(unit)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return err
	}
	return durable.Create(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
}
