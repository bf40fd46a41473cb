package command

import (
	"crypto"
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// keyWrapIV is the default initial value of RFC 3394 §2.2.3.1.
const keyWrapIV = 0xA6A6A6A6A6A6A6A6

var errKeyWrap = errors.New("key wrap: integrity check failed")

// wrapKey is RFC 3394 §2.2.1. The key is a multiple of 8 bytes, at least 16.
func wrapKey(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(key) < 16 || len(key)%8 != 0 {
		return nil, errKeyWrap
	}
	out := make([]byte, 8+len(key))
	binary.BigEndian.PutUint64(out, keyWrapIV)
	copy(out[8:], key)
	var b [16]byte
	for t := uint64(1); t <= 6*uint64(len(key)/8); t++ {
		r := out[8*(1+(t-1)%uint64(len(key)/8)):][:8]
		copy(b[:8], out)
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b[:])^t)
		copy(r, b[8:])
	}
	return out, nil
}

// unwrapKey is RFC 3394 §2.2.2.
func unwrapKey(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errKeyWrap
	}
	work := append([]byte(nil), wrapped...)
	n := uint64(len(work)/8 - 1)
	var b [16]byte
	for t := 6 * n; t >= 1; t-- {
		r := work[8*(1+(t-1)%n):][:8]
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(work)^t)
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		copy(work, b[:8])
		copy(r, b[8:])
	}
	if subtle.ConstantTimeCompare(work[:8], binary.BigEndian.AppendUint64(nil, keyWrapIV)) != 1 {
		clear(work)
		return nil, errKeyWrap
	}
	return work[8:], nil
}

// kdfX963 is the key derivation of ANSI X9.63 (SEC 1 §3.6.1).
func kdfX963(h crypto.Hash, secret, info []byte, n int) []byte {
	var out []byte
	for counter := uint32(1); len(out) < n; counter++ {
		d := h.New()
		d.Write(secret)
		d.Write(u32(counter))
		d.Write(info)
		out = d.Sum(out)
	}
	return out[:n]
}
