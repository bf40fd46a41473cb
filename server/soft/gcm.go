package soft

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{crypt: cryptGCM, stream: gcmStreamOf}, ck.CKM_AES_GCM)
}

// maxHeld bounds the ciphertext of a multi-part decryption: it is kept in the
// state, as no plaintext is given before its tag was seen to be right.
const maxHeld = 16 << 20

var errTag = fmt.Errorf("the tag does not match: %w", ck.CKR_ENCRYPTED_DATA_INVALID)

func errNoTag(lenBytes int) error {
	return fmt.Errorf("%d bytes are shorter than the tag: %w", lenBytes, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

// cryptGCM does whole data with Go's GCM where it has the form.
func cryptGCM(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.GCM](m)
	if err != nil {
		return nil, err
	}
	if p.TagBits != 128 {
		return inOne(gcmStreamOf)(k, m, op, data)
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(p.IV))
	if err != nil {
		return nil, err
	}
	if op == mech.OpEncrypt {
		return aead.Seal(nil, p.IV, data, p.AAD), nil
	}
	if len(data) < aead.Overhead() {
		return nil, errNoTag(len(data))
	}
	plain, err := aead.Open(nil, p.IV, data, p.AAD)
	if err != nil {
		return nil, errTag
	}
	return plain, nil
}

// gcmStream is GCM (SP 800-38D) between parts: Go's cannot be put into a state.
type gcmStream struct {
	encrypt bool
	lenTag  int
	ctr     ctrStream
	hash    ghash
	mask    [aes.BlockSize]byte // encrypted first counter, for the tag
	lenAAD  uint64
	lenData uint64
	held    []byte // ciphertext to decrypt
}

func gcmStreamOf(k *key, m mech.Mechanism, op mech.Op) (stream, error) {
	p, err := mech.As[*mech.GCM](m)
	if err != nil {
		return nil, err
	}
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	var h [aes.BlockSize]byte
	block.Encrypt(h[:], h[:])
	s := &gcmStream{encrypt: op == mech.OpEncrypt, lenTag: m.TagLen(), hash: newGHASH(h), lenAAD: uint64(len(p.AAD))}
	s.ctr = ctrStream{block: block, start: firstCounter(h, p.IV), bits: 32}
	s.ctr.xor(s.mask[:], s.mask[:]) // its keystream; data goes on at the second counter
	s.hash.write(p.AAD)
	s.hash.fill()
	return s, nil
}

// firstCounter is J0 (SP 800-38D 7.1).
func firstCounter(h [aes.BlockSize]byte, iv []byte) (j [aes.BlockSize]byte) {
	if len(iv) == 12 {
		copy(j[:], iv)
		j[15] = 1
		return j
	}
	g := newGHASH(h)
	g.write(iv)
	return g.sum(0, uint64(len(iv)))
}

func (s *gcmStream) update(data []byte) ([]byte, error) {
	if !s.encrypt {
		if len(s.held)+len(data) > maxHeld {
			return nil, fmt.Errorf("more than %d bytes to decrypt in parts: %w", maxHeld, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
		}
		s.held = append(s.held, data...)
		return nil, nil
	}
	out, err := s.ctr.update(data)
	if err != nil {
		return nil, err
	}
	s.hash.write(out)
	s.lenData += uint64(len(out))
	return out, nil
}

func (s *gcmStream) final() ([]byte, error) {
	if s.encrypt {
		return s.tag(), nil
	}
	n := len(s.held) - s.lenTag
	if n < 0 {
		return nil, errNoTag(len(s.held))
	}
	s.hash.write(s.held[:n])
	s.lenData = uint64(n)
	if subtle.ConstantTimeCompare(s.tag(), s.held[n:]) != 1 {
		return nil, errTag
	}
	return s.ctr.update(s.held[:n])
}

func (s *gcmStream) tag() []byte {
	sum := s.hash.sum(s.lenAAD, s.lenData)
	subtle.XORBytes(sum[:], sum[:], s.mask[:])
	return sum[:s.lenTag]
}

func (s *gcmStream) MarshalBinary() ([]byte, error) {
	if !s.encrypt {
		return append([]byte{0}, s.held...), nil
	}
	b := binary.BigEndian.AppendUint64([]byte{1}, s.ctr.offset)
	b = binary.BigEndian.AppendUint64(b, s.lenData)
	return s.hash.save(b), nil
}

func (s *gcmStream) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] == 1 != s.encrypt {
		return errState
	}
	if !s.encrypt {
		s.held = bytes.Clone(b[1:])
		return nil
	}
	if len(b) < 17 {
		return errState
	}
	s.ctr.offset, s.lenData = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	return s.hash.load(b[17:])
}
