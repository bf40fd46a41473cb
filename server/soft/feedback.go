package soft

import (
	"crypto/aes"
	"crypto/cipher"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func init() {
	for m, start := range map[ck.MechanismType]feedback{
		ck.CKM_AES_OFB:    {segment: 16, ofb: true},
		ck.CKM_AES_CFB128: {segment: 16},
		ck.CKM_AES_CFB64:  {segment: 8},
		ck.CKM_AES_CFB8:   {segment: 1},
		ck.CKM_AES_CFB1:   {},
	} {
		provide(engine{crypt: inOne(start.begin), stream: start.begin}, m)
	}
}

// feedback is OFB, or CFB with segments of some bytes or of one bit (SP 800-38A
// 6.3, 6.4). The last segment may be a part.
type feedback struct {
	block   cipher.Block
	segment int // bytes; 0: a bit
	ofb     bool
	encrypt bool
	reg     [aes.BlockSize]byte // input of the cipher
	stream  [aes.BlockSize]byte // its output
	next    []byte              // what reg gets at the segment's end
}

func (f feedback) begin(k *key, m mech.Mechanism, op mech.Op) (stream, error) {
	iv, err := mech.As[mech.IV](m)
	if err != nil {
		return nil, err
	}
	if f.block, err = blockCipher(k); err != nil {
		return nil, err
	}
	f.encrypt = op == mech.OpEncrypt
	copy(f.reg[:], iv)
	return &f, nil
}

func (f *feedback) update(data []byte) ([]byte, error) {
	out := make([]byte, len(data))
	for i, b := range data {
		if f.segment == 0 {
			out[i] = f.bits(b)
			continue
		}
		out[i] = f.byte(b)
	}
	return out, nil
}

func (f *feedback) byte(in byte) byte {
	if len(f.next) == 0 {
		f.block.Encrypt(f.stream[:], f.reg[:])
	}
	key := f.stream[len(f.next)]
	out := in ^ key
	switch {
	case f.ofb:
		f.next = append(f.next, key)
	case f.encrypt:
		f.next = append(f.next, out)
	default:
		f.next = append(f.next, in)
	}
	if len(f.next) == f.segment {
		copy(f.reg[:], f.reg[f.segment:])
		copy(f.reg[len(f.reg)-f.segment:], f.next)
		f.next = f.next[:0]
	}
	return out
}

// bits does a byte bit by bit, from the highest.
func (f *feedback) bits(in byte) (out byte) {
	for i := 7; i >= 0; i-- {
		f.block.Encrypt(f.stream[:], f.reg[:])
		a := in >> i & 1
		b := a ^ f.stream[0]>>7
		out |= b << i
		if f.encrypt {
			a = b
		}
		for j := range f.reg {
			carry := a
			if j+1 < len(f.reg) {
				carry = f.reg[j+1] >> 7
			}
			f.reg[j] = f.reg[j]<<1 | carry
		}
	}
	return out
}

func (f *feedback) final() ([]byte, error) { return nil, nil }

func (f *feedback) MarshalBinary() ([]byte, error) { return append(f.reg[:], f.next...), nil }

func (f *feedback) UnmarshalBinary(b []byte) error {
	if len(b) < len(f.reg) || len(b) > len(f.reg)+max(f.segment-1, 0) {
		return errState
	}
	f.next = append([]byte(nil), b[copy(f.reg[:], b):]...)
	f.block.Encrypt(f.stream[:], f.reg[:])
	return nil
}
