package soft

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{hash: keySipHash, sign: asIs, verify: verifyMAC}, ck.CKM_IBM_SIPHASH)
}

// siphash is Aumasson's and Bernstein's, with their 8 bytes or the 16 of its
// reference code.
type siphash struct {
	mech.SipHash
	v    [4]uint64
	part []byte // less than a word
	n    uint64 // bytes so far
}

func keySipHash(k *key, m mech.Mechanism) (running, error) {
	if len(k.value) != 16 {
		return nil, fmt.Errorf("SipHash with a key of %d bytes: %w", len(k.value), ck.CKR_KEY_SIZE_RANGE)
	}
	k0, k1 := binary.LittleEndian.Uint64(k.value), binary.LittleEndian.Uint64(k.value[8:])
	s := &siphash{SipHash: m.SipHash(), v: [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}}
	if s.Bytes == 16 {
		s.v[1] ^= 0xee
	}
	return s, nil
}

func (s *siphash) rounds(n uint64) {
	v := &s.v
	for range n {
		v[0] += v[1]
		v[2] += v[3]
		v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
		v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
		v[0] = bits.RotateLeft64(v[0], 32)
		v[2] += v[1]
		v[0] += v[3]
		v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
		v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
		v[2] = bits.RotateLeft64(v[2], 32)
	}
}

func (s *siphash) word(w uint64) {
	s.v[3] ^= w
	s.rounds(s.Word)
	s.v[0] ^= w
}

func (s *siphash) Write(p []byte) (int, error) {
	s.n += uint64(len(p))
	all := append(s.part, p...)
	for ; len(all) >= 8; all = all[8:] {
		s.word(binary.LittleEndian.Uint64(all))
	}
	s.part = append([]byte(nil), all...)
	return len(p), nil
}

// Sum ends the MAC; it is called once.
func (s *siphash) Sum(b []byte) []byte {
	var last [8]byte
	copy(last[:], s.part)
	last[7] = byte(s.n)
	s.word(binary.LittleEndian.Uint64(last[:]))
	s.v[2] ^= 0xff
	if s.Bytes == 16 {
		s.v[2] ^= 0xff ^ 0xee
	}
	s.rounds(s.End)
	b = binary.LittleEndian.AppendUint64(b, s.v[0]^s.v[1]^s.v[2]^s.v[3])
	if s.Bytes == 16 {
		s.v[1] ^= 0xdd
		s.rounds(s.End)
		b = binary.LittleEndian.AppendUint64(b, s.v[0]^s.v[1]^s.v[2]^s.v[3])
	}
	return b
}

func (s *siphash) MarshalBinary() ([]byte, error) {
	b := binary.BigEndian.AppendUint64(nil, s.n)
	for _, v := range s.v {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return append(b, s.part...), nil
}

func (s *siphash) UnmarshalBinary(b []byte) error {
	if len(b) < 40 || len(b) >= 48 {
		return errState
	}
	s.n = binary.BigEndian.Uint64(b)
	for i := range s.v {
		s.v[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	s.part = append([]byte(nil), b[40:]...)
	return nil
}
