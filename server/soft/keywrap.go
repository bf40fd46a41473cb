package soft

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{crypt: cryptKW}, ck.CKM_AES_KEY_WRAP)
	provide(engine{crypt: cryptKWP}, ck.CKM_AES_KEY_WRAP_KWP)
}

var (
	ivKW  = []byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6} // RFC 3394 2.2.3.1
	ivKWP = []byte{0xa6, 0x59, 0x59, 0xa6}                         // RFC 5649 3
)

const half = 8 // key wrap works on half blocks

func wrapIV(m mech.Mechanism, standard []byte) []byte {
	if iv, ok := m.Param.(mech.IV); ok {
		return iv
	}
	return standard
}

var errWrapped = fmt.Errorf("wrapped data does not open with this key: %w", ck.CKR_ENCRYPTED_DATA_INVALID)

// cryptKW is RFC 3394, for two half blocks and more.
func cryptKW(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	iv := wrapIV(m, ivKW)
	if op == mech.OpEncrypt {
		if len(data)%half != 0 || len(data) < 2*half {
			return nil, fmt.Errorf("%d bytes to wrap: %w", len(data), ck.CKR_DATA_LEN_RANGE)
		}
		return wrapHalves(block, iv, data), nil
	}
	if len(data)%half != 0 || len(data) < 3*half {
		return nil, fmt.Errorf("%d bytes to unwrap: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	check, plain := unwrapHalves(block, data)
	if subtle.ConstantTimeCompare(check, iv) != 1 {
		clear(plain)
		return nil, errWrapped
	}
	return plain, nil
}

// wrapHalves is W (SP 800-38F 6.1) on an IV and at least two half blocks.
func wrapHalves(block cipher.Block, iv, data []byte) []byte {
	out := make([]byte, half+len(data))
	copy(out[half:], data)
	var b [2 * half]byte
	copy(b[:], iv)
	n := uint64(len(data) / half)
	for t := range 6 * n {
		r := out[half*(1+t%n):][:half]
		copy(b[half:], r)
		block.Encrypt(b[:], b[:])
		copy(r, b[half:])
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^(t+1))
	}
	copy(out, b[:half])
	return out
}

func unwrapHalves(block cipher.Block, data []byte) (check, plain []byte) {
	plain = append([]byte(nil), data[half:]...)
	var b [2 * half]byte
	copy(b[:], data)
	n := uint64(len(plain) / half)
	for t := 6 * n; t > 0; t-- {
		r := plain[half*((t-1)%n):][:half]
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^t)
		copy(b[half:], r)
		block.Decrypt(b[:], b[:])
		copy(r, b[half:])
	}
	return b[:half], plain
}

// cryptKWP is RFC 5649: any length, in one block where it fits.
func cryptKWP(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	iv := wrapIV(m, ivKWP)
	if op == mech.OpEncrypt {
		return wrapPadded(block, iv, data)
	}
	if len(data)%half != 0 || len(data) < 2*half {
		return nil, fmt.Errorf("%d bytes to unwrap: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	var check, plain []byte
	if len(data) == 2*half {
		var b [2 * half]byte
		block.Decrypt(b[:], data)
		check, plain = b[:half], b[half:]
	} else {
		check, plain = unwrapHalves(block, data)
	}
	return checkPadded(iv, check, plain)
}

func wrapPadded(block cipher.Block, iv, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("nothing to wrap: %w", ck.CKR_DATA_LEN_RANGE)
	}
	head := binary.BigEndian.AppendUint32(append([]byte(nil), iv...), uint32(len(data)))
	padded := make([]byte, (len(data)+half-1)/half*half)
	copy(padded, data)
	if len(padded) > half {
		return wrapHalves(block, head, padded), nil
	}
	out := append(head, padded...)
	block.Encrypt(out, out)
	return out, nil
}

// checkPadded looks at IV, length and padding at once and has one error.
func checkPadded(iv, check, plain []byte) ([]byte, error) {
	n := int(binary.BigEndian.Uint32(check[4:]))
	ok := subtle.ConstantTimeCompare(check[:4], iv)
	if n > len(plain) || n <= len(plain)-half {
		ok, n = 0, len(plain)
	}
	var rest byte
	for _, b := range plain[n:] {
		rest |= b
	}
	if ok&subtle.ConstantTimeByteEq(rest, 0) != 1 {
		clear(plain)
		return nil, errWrapped
	}
	return plain[:n], nil
}
