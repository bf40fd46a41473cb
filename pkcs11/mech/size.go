package mech

import (
	"fmt"

	"grep11/pkcs11/ck"
)

func unknown(t ck.MechanismType) error {
	return fmt.Errorf("mechanism %v: %w", t, ck.CKR_MECHANISM_INVALID)
}

// lenCheckBlock is what AES key wrap adds (RFC 3394 and 5649).
const lenCheckBlock = 8

// lenBLS is a BLS signature: a point of BLS12-381's G2, uncompressed.
const lenBLS = 192

// OutLen is how many bytes an operation makes of lenIn bytes, at most, in one
// part. keyBytes is the length of an RSA modulus, of a curve's order, of a
// parameter set's signature, or 0 for keys whose size does not matter. Results are exact but for decryption, where
// padding shortens them.
func (m Mechanism) OutLen(op Op, keyBytes, lenIn int) int {
	r := byType[m.Type]
	if r == nil || op == OpVerify {
		return 0
	}
	return outLens[r.Out](m, r, op, keyBytes, lenIn)
}

type lenFunc func(m Mechanism, r *Row, op Op, keyBytes, lenIn int) int

var outLens = [...]lenFunc{
	OutNone:    func(Mechanism, *Row, Op, int, int) int { return 0 },
	OutModulus: func(_ Mechanism, _ *Row, _ Op, keyBytes, _ int) int { return keyBytes },
	OutTwiceOrder: func(m Mechanism, _ *Row, _ Op, keyBytes, _ int) int {
		if p, ok := m.Param.(*ECSG); ok && p.Type == ECSGBLS || m.Type == ck.CKM_IBM_EC_AGGREGATE {
			return lenBLS
		}
		return 2 * keyBytes
	},
	OutHash:      func(_ Mechanism, r *Row, _ Op, _, _ int) int { return r.Hash.Size() },
	OutSignature: func(_ Mechanism, _ *Row, _ Op, keyBytes, _ int) int { return keyBytes },
	OutEdwards:   func(_ Mechanism, _ *Row, _ Op, keyBytes, _ int) int { return 2 * keyBytes },
	OutSameAsIn:  func(_ Mechanism, _ *Row, _ Op, _, lenIn int) int { return lenIn },
	OutPadded: func(_ Mechanism, r *Row, op Op, _, lenIn int) int {
		if op == OpDecrypt {
			return lenIn
		}
		return lenIn - lenIn%r.Block + r.Block
	},
	OutTag: func(m Mechanism, _ *Row, op Op, _, lenIn int) int {
		if op == OpDecrypt {
			return max(lenIn-m.TagLen(), 0)
		}
		return lenIn + m.TagLen()
	},
	OutBlock: func(_ Mechanism, r *Row, _ Op, keyBytes, _ int) int { return max(r.Block, keyBytes) },
	OutPoint: func(_ Mechanism, _ *Row, _ Op, keyBytes, _ int) int { return 1 + 2*keyBytes },
	OutMAC:   func(m Mechanism, _ *Row, _ Op, _, _ int) int { return m.macLen() },
	OutKeyWrap: func(_ Mechanism, _ *Row, op Op, _, lenIn int) int {
		if op == OpDecrypt {
			return max(lenIn-lenCheckBlock, 0)
		}
		return roundUp(lenIn, lenCheckBlock) + lenCheckBlock
	},
}

// UpdateLen bounds what one part of lenIn bytes gives when held bytes of
// earlier parts have given nothing yet.
func (m Mechanism) UpdateLen(op Op, held, lenIn int) int {
	r := byType[m.Type]
	switch {
	case r == nil || op != OpEncrypt && op != OpDecrypt:
		return 0
	case r.Out == OutTag && op == OpDecrypt:
		return 0 // nothing before the tag was seen to be right
	case r.Held:
		return 0
	case r.Block == 0 || r.Stream:
		return lenIn
	case r.Out == OutPadded && op == OpDecrypt:
		return max(held+lenIn-1, 0) / r.Block * r.Block // the last block may be padding
	}
	return (held + lenIn) / r.Block * r.Block
}

// FinalLen bounds what the end of an operation gives for the held bytes.
func (m Mechanism) FinalLen(op Op, keyBytes, held int) int {
	r := byType[m.Type]
	if r != nil && r.Out == OutTag && op == OpEncrypt && !r.Held {
		return m.TagLen()
	}
	return m.OutLen(op, keyBytes, held)
}

// TagLen is the length of an AEAD's tag in bytes, 0 for other mechanisms.
func (m Mechanism) TagLen() int {
	switch p := m.Param.(type) {
	case *GCM:
		return int(p.TagBits+7) / 8
	case *CCM:
		return int(p.MACLen)
	case *ChaCha:
		return 16
	}
	return 0
}

// macLen is the length of a MAC that the parameter gives.
func (m Mechanism) macLen() int {
	switch p := m.Param.(type) {
	case *MACLen:
		return int(min(p.Bytes, maxMAC))
	case *GCM:
		return m.TagLen()
	}
	return int(min(m.SipHash().Bytes, maxMAC))
}

// maxMAC bounds a MAC whose parameter was not checked yet.
const maxMAC = 64

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
