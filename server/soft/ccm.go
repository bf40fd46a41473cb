package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() { provide(engine{crypt: cryptCCM, stream: holding(cryptCCM)}, ck.CKM_AES_CCM) }

// cryptCCM is CCM (SP 800-38C, RFC 3610).
func cryptCCM(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.CCM](m)
	if err != nil {
		return nil, err
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	c := &ccm{CCM: p, block: block}
	if op == mech.OpDecrypt {
		return c.open(data)
	}
	if err := c.fits(len(data), ck.CKR_DATA_LEN_RANGE); err != nil {
		return nil, err
	}
	if p.DataLen != uint64(len(data)) {
		return nil, fmt.Errorf("%d bytes where %d were announced: %w", len(data), p.DataLen, ck.CKR_DATA_LEN_RANGE)
	}
	return append(c.counted(data), c.tag(data)...), nil
}

type ccm struct {
	*mech.CCM
	block cipher.Block
}

// fits: the data's length must fit into what the nonce leaves of a block.
func (c *ccm) fits(n int, code ck.RV) error {
	if bits := 8 * (15 - len(c.Nonce)); bits < 63 && n>>bits != 0 {
		return fmt.Errorf("%d bytes with a nonce of %d: %w", n, len(c.Nonce), code)
	}
	return nil
}

// open takes a DataLen with or without the MAC: callers differ.
func (c *ccm) open(data []byte) ([]byte, error) {
	n := len(data) - int(c.MACLen)
	if n < 0 {
		return nil, fmt.Errorf("%d bytes are shorter than the MAC: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	if c.DataLen != uint64(n) && c.DataLen != uint64(len(data)) {
		return nil, fmt.Errorf("%d bytes where %d were announced: %w", n, c.DataLen, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	if err := c.fits(n, ck.CKR_ENCRYPTED_DATA_LEN_RANGE); err != nil {
		return nil, err
	}
	plain := c.counted(data[:n])
	if subtle.ConstantTimeCompare(c.tag(plain), data[n:]) != 1 {
		clear(plain)
		return nil, errTag
	}
	return plain, nil
}

// counter is block number i: flags, nonce and the number.
func (c *ccm) counter(i byte) (b [aes.BlockSize]byte) {
	b[0] = byte(15 - len(c.Nonce) - 1)
	copy(b[1:], c.Nonce)
	b[15] = i
	return b
}

// counted is the data under the counters from 1 on.
func (c *ccm) counted(data []byte) []byte {
	out := make([]byte, len(data), len(data)+int(c.MACLen))
	first := c.counter(1)
	cipher.NewCTR(c.block, first[:]).XORKeyStream(out, data)
	return out
}

// tag is the CBC-MAC of head, AAD and plaintext, under counter 0.
func (c *ccm) tag(plain []byte) []byte {
	head := c.counter(0)
	head[0] |= byte((c.MACLen-2)/2) << 3
	q := 15 - len(c.Nonce)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(plain)))
	for i := range min(q, 8) {
		head[15-i] = length[7-i]
	}
	mac := cbcMAC{block: c.block}
	if len(c.AAD) > 0 {
		head[0] |= 1 << 6
		mac.add(head[:])
		mac.add(append(lengthOfAAD(len(c.AAD)), c.AAD...))
	} else {
		mac.add(head[:])
	}
	mac.add(plain)
	first := c.counter(0)
	c.block.Encrypt(first[:], first[:])
	subtle.XORBytes(mac.chain[:], mac.chain[:], first[:])
	return mac.chain[:c.MACLen]
}

func lengthOfAAD(n int) []byte {
	if n < 0xff00 {
		return binary.BigEndian.AppendUint16(nil, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{0xff, 0xfe}, uint32(n))
}

type cbcMAC struct {
	block cipher.Block
	chain [aes.BlockSize]byte
}

// add takes data, filled with zeros to whole blocks.
func (c *cbcMAC) add(data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(c.chain[:], c.chain[:], data)
		c.block.Encrypt(c.chain[:], c.chain[:])
		data = data[n:]
	}
}
