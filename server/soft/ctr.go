package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/bits"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{crypt: inOne(ctrStreamOf), stream: ctrStreamOf}, ck.CKM_AES_CTR)
}

// ctrStream is counter mode whose counter is the last bits of the block, and
// wraps among them (SP 800-38A appendix B). It can start anywhere.
type ctrStream struct {
	block  cipher.Block
	start  [aes.BlockSize]byte
	bits   uint
	offset uint64 // bytes done
}

func ctrStreamOf(k *key, m mech.Mechanism, _ mech.Op) (stream, error) {
	p, err := mech.As[*mech.CTR](m)
	if err != nil {
		return nil, err
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	return &ctrStream{block: block, start: p.Block, bits: uint(p.Bits)}, nil
}

const maxCTR = 1 << 60 // bytes that no one sends

// limit is how many bytes may be done before a counter repeats.
func (s *ctrStream) limit() uint64 {
	if s.bits >= 56 {
		return maxCTR
	}
	return aes.BlockSize << s.bits
}

func (s *ctrStream) update(data []byte) ([]byte, error) {
	if limit := s.limit(); s.offset > limit || uint64(len(data)) > limit-s.offset {
		return nil, fmt.Errorf("more data than a counter of %d bits has blocks: %w", s.bits, ck.CKR_DATA_LEN_RANGE)
	}
	out := make([]byte, len(data))
	s.xor(out, data)
	return out, nil
}

func (s *ctrStream) xor(dst, src []byte) {
	for len(src) > 0 {
		counter, left := s.counter(s.offset / aes.BlockSize)
		skip := int(s.offset % aes.BlockSize)
		n := len(src)
		if left < uint64(n+skip)/aes.BlockSize+1 {
			n = min(n, int(left*aes.BlockSize)-skip)
		}
		c := cipher.NewCTR(s.block, counter[:])
		var head [aes.BlockSize]byte
		c.XORKeyStream(head[:skip], head[:skip])
		c.XORKeyStream(dst[:n], src[:n])
		dst, src, s.offset = dst[n:], src[n:], s.offset+uint64(n)
	}
}

// counter is the block that encrypts number i, and how many follow before it
// wraps, itself included.
func (s *ctrStream) counter(i uint64) (c [aes.BlockSize]byte, left uint64) {
	hi, lo := binary.BigEndian.Uint64(s.start[:]), binary.BigEndian.Uint64(s.start[8:])
	sumLo, carry := bits.Add64(lo, i, 0)
	sumHi, _ := bits.Add64(hi, 0, carry)
	maskLo, maskHi := lowBits(min(s.bits, 64)), lowBits(max(s.bits, 64)-64)
	sumLo, sumHi = lo&^maskLo|sumLo&maskLo, hi&^maskHi|sumHi&maskHi
	binary.BigEndian.PutUint64(c[:], sumHi)
	binary.BigEndian.PutUint64(c[8:], sumLo)
	left = maskLo - sumLo&maskLo + 1
	if left == 0 || s.bits > 64 && sumHi&maskHi != maskHi {
		left = maxCTR
	}
	return c, left
}

func lowBits(n uint) uint64 { return 1<<n - 1 } // all for 64: the shift gives 0

func (s *ctrStream) final() ([]byte, error) { return nil, nil }

func (s *ctrStream) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, s.offset), nil
}

func (s *ctrStream) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return errState
	}
	s.offset = binary.BigEndian.Uint64(b)
	return nil
}
