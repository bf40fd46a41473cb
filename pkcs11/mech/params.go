package mech

import (
	"fmt"

	"grep11/pkcs11/ck"
)

// Mechanism is CK_MECHANISM with its parameter decoded.
type Mechanism struct {
	Type  ck.MechanismType
	Param Param // nil where there is none
}

func (m Mechanism) String() string { return m.Type.String() }

// Param is one of the parameter types below.
type Param interface{ kind() ParamKind }

// ParamKind says which parameter a mechanism takes.
type ParamKind uint8

const (
	ParamNone  ParamKind = iota
	ParamIV              // IV
	ParamBytes           // Raw: other byte strings, such as a peer's public value
	ParamPSS
	ParamOAEP
	ParamCTR
	ParamGCM
	ParamECDH1
	ParamEdDSA     // may be absent
	ParamKeyWrapIV // IV, may be absent
	ParamBTC
	ParamECSG
	ParamECAGG
	ParamKyber
	ParamCCM
	ParamChaCha
	ParamHKDF
	ParamPBE
	ParamPBKDF2
	ParamKDF108
	ParamRSAAES
	ParamContext     // may be absent
	ParamHashContext // SignContext with a hash
	ParamString      // Raw: CK_KEY_DERIVATION_STRING_DATA
	ParamMACLen
	ParamCBCData
	ParamChaCha20
	ParamExtract
	ParamEAC
	ParamSipHash // may be absent
	ParamRetain
)

type (
	// IV is an initialisation vector of the cipher's block size.
	IV []byte

	// Raw is a parameter without structure.
	Raw []byte

	// PSS is CK_RSA_PKCS_PSS_PARAMS; SaltLen is in bytes.
	PSS struct {
		Hash    ck.MechanismType
		MGF     uint64
		SaltLen uint64
	}

	// OAEP is CK_RSA_PKCS_OAEP_PARAMS. Source is 0 or CKZ_DATA_SPECIFIED.
	OAEP struct {
		Hash   ck.MechanismType
		MGF    uint64
		Source uint64
		Label  []byte
	}

	// CTR is CK_AES_CTR_PARAMS: the last Bits bits of Block count.
	CTR struct {
		Bits  uint64
		Block [16]byte
	}

	// GCM is CK_GCM_PARAMS.
	GCM struct {
		IV      []byte
		AAD     []byte
		TagBits uint64
	}

	// ECDH1 is CK_ECDH1_DERIVE_PARAMS. Public is a raw point, or one in a DER
	// OCTET STRING.
	ECDH1 struct {
		KDF    uint64
		Shared []byte
		Public []byte
	}

	// EdDSA is CK_EDDSA_PARAMS.
	EdDSA struct {
		Prehash bool
		Context []byte
	}
)

func (IV) kind() ParamKind     { return ParamIV }
func (Raw) kind() ParamKind    { return ParamBytes }
func (*PSS) kind() ParamKind   { return ParamPSS }
func (*OAEP) kind() ParamKind  { return ParamOAEP }
func (*CTR) kind() ParamKind   { return ParamCTR }
func (*GCM) kind() ParamKind   { return ParamGCM }
func (*ECDH1) kind() ParamKind { return ParamECDH1 }
func (*EdDSA) kind() ParamKind { return ParamEdDSA }

// As gives a mechanism's parameter as type P. Another type, or none, is
// CKR_MECHANISM_PARAM_INVALID.
func As[P Param](m Mechanism) (P, error) {
	p, ok := m.Param.(P)
	if !ok {
		return p, fmt.Errorf("%v: parameter is %T, not %T: %w", m.Type, m.Param, p, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return p, nil
}
