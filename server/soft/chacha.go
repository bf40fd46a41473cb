package soft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{generate: generateChaCha}, ck.CKM_CHACHA20_KEY_GEN)
	provide(engine{crypt: inOne(chachaStreamOf), stream: chachaStreamOf}, ck.CKM_CHACHA20)
	provide(engine{crypt: cryptChaChaPoly, stream: holding(cryptChaChaPoly)}, ck.CKM_CHACHA20_POLY1305)
}

func generateChaCha(_ mech.Mechanism, r *request) (*key, error) {
	if err := r.want(ck.CKK_CHACHA20); err != nil {
		return nil, err
	}
	if n, ok, err := r.Ulong(ck.CKA_VALUE_LEN); err != nil || ok && n != chacha20.KeySize {
		return nil, errors.Join(err, checkSecretLen(ck.CKK_CHACHA20, n))
	}
	return secretOf(ck.CKK_CHACHA20, chacha20.KeySize), nil
}

// cryptChaChaPoly is RFC 8439's AEAD; the tag follows the ciphertext.
func cryptChaChaPoly(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	p, err := mech.As[*mech.ChaCha](m)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(k.value)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ck.CKR_KEY_SIZE_RANGE)
	}
	if op == mech.OpEncrypt {
		return aead.Seal(nil, p.Nonce, data, p.AAD), nil
	}
	if len(data) < aead.Overhead() {
		return nil, fmt.Errorf("%d bytes are shorter than the tag: %w", len(data), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	plain, err := aead.Open(nil, p.Nonce, data, p.AAD)
	if err != nil {
		return nil, errTag
	}
	return plain, nil
}

// lenChaCha is ChaCha20's block in bytes.
const lenChaCha = 64

// chachaStream is ChaCha20 that can start anywhere.
type chachaStream struct {
	key    *key
	nonce  []byte // 12 bytes; the first four are the counter's upper half for nonces of 8
	long   bool   // the counter has 64 bits
	start  uint64 // first block
	offset uint64 // bytes done
}

func chachaStreamOf(k *key, m mech.Mechanism, _ mech.Op) (stream, error) {
	p, err := mech.As[*mech.ChaCha20](m)
	if err != nil {
		return nil, err
	}
	nonce := append(make([]byte, chacha20.NonceSize-len(p.Nonce)), p.Nonce...)
	return &chachaStream{key: k, nonce: nonce, long: len(p.Nonce) < chacha20.NonceSize, start: p.Counter}, nil
}

func (s *chachaStream) update(data []byte) ([]byte, error) {
	last := uint64(math.MaxUint32)
	if s.long {
		last = math.MaxUint64
	}
	if n := s.offset + uint64(len(data)); n > 0 && (n-1)/lenChaCha > last-s.start {
		return nil, fmt.Errorf("more data than the counter has blocks: %w", ck.CKR_DATA_LEN_RANGE)
	}
	out := make([]byte, len(data))
	for done := 0; done < len(data); {
		n, err := s.xor(out[done:], data[done:])
		if err != nil {
			return nil, err
		}
		done += n
	}
	return out, nil
}

// xor goes on to where the counter's lower half ends, at most.
func (s *chachaStream) xor(dst, src []byte) (int, error) {
	block := s.start + s.offset/lenChaCha
	if s.long {
		binary.LittleEndian.PutUint32(s.nonce, uint32(block>>32))
	}
	c, err := chacha20.NewUnauthenticatedCipher(s.key.value, s.nonce)
	if err != nil {
		return 0, fmt.Errorf("%v: %w", err, ck.CKR_KEY_SIZE_RANGE)
	}
	c.SetCounter(uint32(block))
	skip := s.offset % lenChaCha
	left := (math.MaxUint32-block&math.MaxUint32+1)*lenChaCha - skip
	n := int(min(uint64(len(src)), left))
	var head [lenChaCha]byte
	c.XORKeyStream(head[:skip], head[:skip])
	c.XORKeyStream(dst[:n], src[:n])
	s.offset += uint64(n)
	return n, nil
}

func (s *chachaStream) final() ([]byte, error) { return nil, nil }

func (s *chachaStream) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, s.offset), nil
}

func (s *chachaStream) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return errState
	}
	s.offset = binary.BigEndian.Uint64(b)
	return nil
}
