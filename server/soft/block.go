package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	provide(engine{crypt: inOne(blockStreamOf), stream: blockStreamOf},
		ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD,
		ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD)
}

// openBlock makes the cipher of an AES or DES key.
func openBlock(k *key) (cipher.Block, error) {
	v := k.value
	switch k.typ {
	case ck.CKK_AES:
		return aes.NewCipher(v)
	case ck.CKK_DES2:
		v = append(append(ck.Secret(nil), v...), v[:8]...)
		defer v.Wipe()
		return des.NewTripleDESCipher(v)
	case ck.CKK_DES3:
		return des.NewTripleDESCipher(v)
	}
	return nil, fmt.Errorf("%v is no block cipher's key: %w", k.typ, ck.CKR_KEY_TYPE_INCONSISTENT)
}

func blockCipher(k *key) (cipher.Block, error) {
	if k.remote != nil {
		return newRemoteBlock(k)
	}
	return open(k, openBlock)
}

// inOne runs a stream over whole data.
func inOne(start func(*key, mech.Mechanism, mech.Op) (stream, error)) func(*key, mech.Mechanism, mech.Op, []byte) ([]byte, error) {
	return func(k *key, m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
		s, err := start(k, m, op)
		if err != nil {
			return nil, err
		}
		out, err := s.update(data)
		if err != nil {
			return nil, err
		}
		rest, err := s.final()
		if err != nil {
			clear(out)
			return nil, err
		}
		return append(out, rest...), nil
	}
}

// blockStream is ECB or CBC, with or without PKCS #7 padding.
type blockStream struct {
	block   cipher.Block
	encrypt bool
	padded  bool
	chain   []byte // CBC's last ciphertext block; nil for ECB
	held    []byte // input not yet used
}

func blockStreamOf(k *key, m mech.Mechanism, op mech.Op) (stream, error) {
	block, err := blockCipher(k)
	if err != nil {
		return nil, err
	}
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, err
	}
	s := &blockStream{block: block, encrypt: op == mech.OpEncrypt, padded: row.Out == mech.OutPadded}
	if iv, ok := m.Param.(mech.IV); ok {
		s.chain = append([]byte(nil), iv...)
	}
	return s, nil
}

func (s *blockStream) update(data []byte) ([]byte, error) {
	size := s.block.BlockSize()
	total := len(s.held) + len(data)
	ready := total / size * size
	if s.padded && !s.encrypt && ready == total && ready > 0 {
		ready -= size // it may be the padding
	}
	if ready == 0 {
		s.held = append(s.held, data...)
		return nil, nil
	}
	out := make([]byte, ready, ready+size)
	n := copy(out[copy(out, s.held):], data)
	s.held = append([]byte(nil), data[n:]...)
	s.run(out)
	return out, nil
}

// run works on whole blocks, in place.
func (s *blockStream) run(b []byte) {
	switch {
	case s.chain == nil:
		s.runECB(b)
	case s.encrypt:
		cipher.NewCBCEncrypter(s.block, s.chain).CryptBlocks(b, b)
		copy(s.chain, b[len(b)-len(s.chain):])
	default:
		next := append([]byte(nil), b[len(b)-len(s.chain):]...)
		cipher.NewCBCDecrypter(s.block, s.chain).CryptBlocks(b, b)
		s.chain = next
	}
}

func (s *blockStream) runECB(b []byte) {
	if many, ok := s.block.(*remoteBlock); ok {
		op := mech.OpDecrypt
		if s.encrypt {
			op = mech.OpEncrypt
		}
		many.blocks(op, b, b)
		return
	}
	f := s.block.Decrypt
	if s.encrypt {
		f = s.block.Encrypt
	}
	for size := s.block.BlockSize(); len(b) > 0; b = b[size:] {
		f(b, b)
	}
}

func (s *blockStream) final() ([]byte, error) {
	size := s.block.BlockSize()
	switch {
	case s.padded && s.encrypt:
		n := size - len(s.held)
		for range n {
			s.held = append(s.held, byte(n))
		}
		s.run(s.held)
		return s.held, nil
	case s.padded:
		return s.unpad()
	case len(s.held) == 0:
		return nil, nil
	case s.encrypt:
		return nil, fmt.Errorf("%d bytes beyond full blocks: %w", len(s.held), ck.CKR_DATA_LEN_RANGE)
	}
	return nil, fmt.Errorf("%d bytes beyond full blocks: %w", len(s.held), ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

// unpad decrypts the last block and takes its padding off. Whatever is wrong
// with it takes the same time and has the same error.
func (s *blockStream) unpad() ([]byte, error) {
	size := s.block.BlockSize()
	if len(s.held) != size {
		return nil, fmt.Errorf("no full blocks: %w", ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	s.run(s.held)
	n := int(s.held[size-1])
	ok := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, size)
	for i, b := range s.held {
		inPad := subtle.ConstantTimeLessOrEq(size-i, n)
		ok &= 1 - inPad&(1-subtle.ConstantTimeByteEq(b, byte(n)))
	}
	if ok != 1 {
		return nil, fmt.Errorf("wrong padding: %w", ck.CKR_ENCRYPTED_DATA_INVALID)
	}
	return s.held[:size-n], nil
}

func (s *blockStream) MarshalBinary() ([]byte, error) {
	return append(append([]byte{byte(len(s.chain))}, s.chain...), s.held...), nil
}

func (s *blockStream) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || int(b[0]) != len(s.chain) || len(b) < 1+len(s.chain) || len(b) > 1+len(s.chain)+s.block.BlockSize() {
		return errState
	}
	copy(s.chain, b[1:])
	s.held = append([]byte(nil), b[1+len(s.chain):]...)
	return nil
}
