package keystore

import (
	"fmt"

	"grep11/pkcs11/ck"
)

// MaxEncoded bounds what is stored of one object's attributes, in their portable form.
const MaxEncoded = 1 << 20

func encodeTemplate(t ck.Template) ([]byte, error) {
	out, err := t.Portable()
	if err == nil && len(out) > MaxEncoded {
		err = fmt.Errorf("attributes of %d bytes, at most %d are stored: %w", len(out), MaxEncoded, ck.CKR_DEVICE_MEMORY)
	}
	return out, err
}

func decodeTemplate(b []byte) (ck.Template, error) {
	t, err := ck.FromPortable(b)
	if err != nil {
		return nil, fmt.Errorf("the stored attributes are damaged: restore the store from a backup: %w", ck.CKR_DEVICE_ERROR)
	}
	return t, nil
}
