package unit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// lenNonce is XAES-256-GCM's: long enough to be random for any number of blobs.
const lenNonce = 24

// xaes is XAES-256-GCM as C2SP specifies it: each nonce's first half derives,
// with CMAC (SP 800-108), the AES-256-GCM key that the second half is used with.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey
}

func newXAES(key []byte) (*xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	double(&x.k1)
	return x, nil
}

// double multiplies by x in GF(2^128), as CMAC's subkeys need it.
func double(b *[aes.BlockSize]byte) {
	var carry byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], carry = b[i]<<1|carry, b[i]>>7
	}
	b[len(b)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
}

func (x *xaes) aead(nonce []byte) (cipher.AEAD, error) {
	key := make([]byte, 2*aes.BlockSize)
	defer clear(key)
	for i := range 2 {
		part := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(part, []byte{0, byte(i + 1), 'X', 0})
		copy(part[4:], nonce[:12])
		subtle.XORBytes(part, part, x.k1[:])
		x.block.Encrypt(part, part)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (x *xaes) seal(dst, nonce, plain, aad []byte) ([]byte, error) {
	a, err := x.aead(nonce)
	if err != nil {
		return nil, err
	}
	return a.Seal(dst, nonce[12:], plain, aad), nil
}

func (x *xaes) open(nonce, sealed, aad []byte) ([]byte, error) {
	a, err := x.aead(nonce)
	if err != nil {
		return nil, err
	}
	return a.Open(nil, nonce[12:], sealed, aad)
}
