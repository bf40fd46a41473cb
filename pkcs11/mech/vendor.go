package mech

import (
	"math"

	"grep11/pkcs11/ck"
)

// LenChainCode is that of BIP32 and SLIP-0010, in bytes.
const LenChainCode = 32

// LenRetained is XCP_RETAINID_BYTES: the length of what stands for a retained key
// in place of its blob. No key blob is so short, and no public key has this length.
const LenRetained = 64

// Parameters of the vendor's mechanisms (grep11-wire 2.6).
type (
	// BTC is for BIP32 and SLIP10: a CK_IBM_BIP0032 or SLIP0010 type, a child's
	// index, and the parent's chain code.
	BTC struct {
		Type, Index uint64
		ChainCode   []byte
		Version     uint64
	}

	// ECSG chooses a Schnorr or BLS signature.
	ECSG struct{ Type uint64 }

	// ECAGG aggregates BLS signatures or keys of PerElement bytes each.
	ECAGG struct {
		Version, Mode, PerElement uint64
		Elements                  []byte
	}

	// Kyber is a KEM's step; Blob is a secret key that hybrid functions mix in.
	Kyber struct {
		Version, Mode, KDF       uint64
		Prepend                  bool
		CipherText, Shared, Blob []byte
	}

	// EAC derives a session's keys from a shared secret or a password.
	EAC struct {
		Variant     uint64
		Nonce, Info []byte
	}

	// SipHash says how often SipHash's rounds are run, for each word and at the
	// end, and how long the MAC is.
	SipHash struct{ Word, End, Bytes uint64 }

	// Retain moves a key into the service's storage for a number of uses, 0 for any.
	// With the same refill data that number is set anew.
	Retain struct {
		Credits uint64
		Refill  ck.Secret
	}
)

func (*BTC) kind() ParamKind   { return ParamBTC }
func (*ECSG) kind() ParamKind  { return ParamECSG }
func (*ECAGG) kind() ParamKind { return ParamECAGG }
func (*Kyber) kind() ParamKind { return ParamKyber }

func (*EAC) kind() ParamKind     { return ParamEAC }
func (*SipHash) kind() ParamKind { return ParamSipHash }
func (*Retain) kind() ParamKind  { return ParamRetain }

// Types of ECSG and modes of ECAGG (grep11-wire 3).
const (
	ECSGSchnorr      = 3 // BSI TR-03111 ECSDSA with SHA-256
	ECSGSchnorrMulti = 5 // over the compressed public key
	ECSGBLS          = 6
	AggregateSign    = 1
	AggregateKeys    = 2
)

// Variants of EAC (grep11-wire 15.3; the numbers are ours).
const (
	EACEncrypt  = 1 // BSI TR-03110-3 A.2.3, counter 1
	EACMAC      = 2 // the same, counter 2
	EACPassword = 3 // the same, counter 3
	EACHKDF     = 4 // HKDF-SHA-256, the nonce being the salt
)

// maxEAC bounds nonce and info, in bytes.
const maxEAC = 64

// Bounds of Retain: its credits, and its refill data in bytes.
const (
	maxCredits = math.MaxUint32
	maxRefill  = 64
)

// SipHash-2-4 is what its authors propose.
var usualSipHash = SipHash{Word: 2, End: 4, Bytes: 8}

// SipHash is the mechanism's parameter, or the usual one.
func (m Mechanism) SipHash() SipHash {
	if p, ok := m.Param.(*SipHash); ok && p != nil {
		return *p
	}
	return usualSipHash
}

func (m Mechanism) checkVendor() error {
	switch p := m.Param.(type) {
	case *EAC:
		if p.Variant < EACEncrypt || p.Variant > EACHKDF || len(p.Nonce) > maxEAC || len(p.Info) > maxEAC || p.Variant != EACHKDF && len(p.Info) > 0 {
			return m.badParam("has variant %d, a nonce of %d bytes and an info of %d", p.Variant, len(p.Nonce), len(p.Info))
		}
	case *SipHash:
		if p.Word < 1 || p.Word > 16 || p.End < 1 || p.End > 16 || p.Bytes != 8 && p.Bytes != 16 {
			return m.badParam("has %d and %d rounds and %d bytes", p.Word, p.End, p.Bytes)
		}
	case *Retain:
		if p.Credits > maxCredits || len(p.Refill) > maxRefill {
			return m.badParam("has %d credits and %d bytes of refill data", p.Credits, len(p.Refill))
		}
	}
	return nil
}
