package soft

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{hash: keyCMAC, sign: asIs, verify: verifyMAC}, ck.CKM_AES_CMAC, ck.CKM_DES3_CMAC, ck.CKM_IBM_CMAC)
}

// cmac is SP 800-38B over a block cipher of 8 or 16 bytes.
type cmac struct {
	block cipher.Block
	chain []byte
	held  []byte // at most a block: the last one is treated differently
}

func keyCMAC(k *key, _ mech.Mechanism) (running, error) {
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	return &cmac{block: block, chain: make([]byte, block.BlockSize())}, nil
}

func (c *cmac) Write(p []byte) (int, error) {
	size, n := len(c.chain), len(p)
	for len(c.held)+len(p) > size {
		take := size - len(c.held)
		c.add(append(c.held, p[:take]...))
		c.held, p = c.held[:0], p[take:]
	}
	c.held = append(c.held, p...)
	return n, nil
}

func (c *cmac) add(block []byte) {
	subtle.XORBytes(c.chain, c.chain, block)
	c.block.Encrypt(c.chain, c.chain)
}

// Sum ends the MAC; it is called once.
func (c *cmac) Sum(b []byte) []byte {
	size := len(c.chain)
	sub := make([]byte, size)
	c.block.Encrypt(sub, sub)
	doubleBlock(sub)
	last := bytes.Clone(c.held)
	if len(last) < size {
		doubleBlock(sub)
		last = append(append(last, 0x80), make([]byte, size-len(last)-1)...)
	}
	subtle.XORBytes(last, last, sub)
	c.add(last)
	return append(b, c.chain...)
}

// doubleBlock multiplies by x in GF(2^64) or GF(2^128).
func doubleBlock(b []byte) {
	poly := map[int]int{8: 0x1b, 16: 0x87}[len(b)]
	var carry byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], carry = b[i]<<1|carry, b[i]>>7
	}
	b[len(b)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), poly, 0))
}

func (c *cmac) MarshalBinary() ([]byte, error) { return append(bytes.Clone(c.chain), c.held...), nil }

func (c *cmac) UnmarshalBinary(b []byte) error {
	size := len(c.chain)
	if len(b) < size || len(b) > 2*size {
		return errState
	}
	c.chain, c.held = bytes.Clone(b[:size]), bytes.Clone(b[size:])
	return nil
}
