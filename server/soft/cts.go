package soft

import (
	"crypto/cipher"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() { provide(engine{crypt: cryptCTS, stream: holding(cryptCTS)}, ck.CKM_AES_CTS) }

// cryptCTS is CBC with ciphertext stealing, in the order that SP 800-38A's
// addendum calls CBC-CS1: whole blocks look like CBC. The standard does not say
// which of the three it means; other modules have this one.
func cryptCTS(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	iv, err := mech.As[mech.IV](m)
	if err != nil {
		return nil, err
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	if op == mech.OpEncrypt {
		return encryptCTS(block, iv, data)
	}
	return decryptCTS(block, iv, data)
}

func encryptCTS(block cipher.Block, iv, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(data) < size {
		return nil, fmt.Errorf("%d bytes are less than a block: %w", len(data), ck.CKR_DATA_LEN_RANGE)
	}
	d := len(data) % size
	out := make([]byte, (len(data)+size-1)/size*size)
	copy(out, data)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
	if d == 0 {
		return out, nil
	}
	last := len(out) - size // the block before it gives its end away
	return append(out[:last-size+d], out[last:]...), nil
}

func decryptCTS(block cipher.Block, iv, data []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(data) < size {
		return nil, fmt.Errorf("%d bytes are less than a block: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	d := len(data) % size
	whole := data
	if d != 0 {
		last := data[len(data)-size:]
		stolen := make([]byte, size)
		block.Decrypt(stolen, last) // the short block's plaintext, XORed with what was cut, and the cut itself
		whole = append([]byte(nil), data[:len(data)-size]...)
		whole = append(append(whole, stolen[d:]...), last...)
	}
	out := make([]byte, len(whole))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, whole)
	return out[:len(data)], nil
}
