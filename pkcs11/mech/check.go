package mech

import (
	"crypto"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
)

// Check tells whether a mechanism's parameter is of the kind its row names and
// holds values that the standard allows. It is CKR_MECHANISM_PARAM_INVALID if
// not, and CKR_MECHANISM_INVALID for a mechanism without a row.
func (m Mechanism) Check() error {
	r, err := Lookup(m.Type)
	if err != nil {
		return err
	}
	if m.Param == nil {
		if mayBeAbsent[r.Param] {
			return nil
		}
		return m.badParam("is missing")
	}
	if m.Param.kind() != r.Param.valueKind() {
		return m.badParam("is %T", m.Param)
	}
	return m.checkValue(r)
}

// mayBeAbsent: Kyber's is for derivation alone, and C_EncapsulateKey has none.
var mayBeAbsent = map[ParamKind]bool{ParamNone: true, ParamEdDSA: true, ParamKeyWrapIV: true, ParamContext: true, ParamKyber: true, ParamSipHash: true}

func (m Mechanism) badParam(format string, args ...any) error {
	return fmt.Errorf("%v: parameter %s: %w", m.Type, fmt.Sprintf(format, args...), ck.CKR_MECHANISM_PARAM_INVALID)
}

func (m Mechanism) checkValue(r *Row) error {
	switch p := m.Param.(type) {
	case IV:
		return m.checkIV(r, p)
	case *PSS:
		return m.checkPSS(r, p)
	case *OAEP:
		return m.checkOAEP(p)
	case *CTR:
		if p.Bits < 1 || p.Bits > 128 {
			return m.badParam("counts %d bits", p.Bits)
		}
	case *GCM:
		if err := m.checkGCM(p); err != nil {
			return err
		}
	case *EdDSA:
		if len(p.Context) > 255 {
			return m.badParam("has a context of %d bytes", len(p.Context))
		}
	case *ECDH1:
		if len(p.Public) == 0 {
			return m.badParam("has no public value")
		}
	}
	return errors.Join(m.checkModern(), m.checkSymmetric(r), m.checkVendor())
}

// The key-wrap IVs are 8 bytes (RFC 3394) and 4 (RFC 5649).
func (m Mechanism) checkIV(r *Row, iv IV) error {
	want := r.Block
	switch m.Type {
	case ck.CKM_AES_KEY_WRAP:
		want = 8
	case ck.CKM_AES_KEY_WRAP_KWP:
		want = 4
	}
	if len(iv) != want {
		return m.badParam("has %d bytes instead of %d", len(iv), want)
	}
	return nil
}

func (m Mechanism) checkPSS(r *Row, p *PSS) error {
	h, ok := HashOf(p.Hash)
	if !ok || r.Hash != 0 && r.Hash != h {
		return m.badParam("has hash %v", p.Hash)
	}
	if _, ok := MGFHash(p.MGF); !ok {
		return m.badParam("has mask generation function %d", p.MGF)
	}
	if p.SaltLen > 512 {
		return m.badParam("has a salt of %d bytes", p.SaltLen)
	}
	return nil
}

func (m Mechanism) checkOAEP(p *OAEP) error {
	if _, ok := HashOf(p.Hash); !ok {
		return m.badParam("has hash %v", p.Hash)
	}
	if _, ok := MGFHash(p.MGF); !ok {
		return m.badParam("has mask generation function %d", p.MGF)
	}
	if p.Source != 0 && p.Source != ck.CKZ_DATA_SPECIFIED || p.Source == 0 && len(p.Label) > 0 {
		return m.badParam("has label source %d", p.Source)
	}
	return nil
}

// NIST SP 800-38D: tags of 96 to 128 bits, and 64 and 32.
func (m Mechanism) checkGCM(p *GCM) error {
	switch p.TagBits {
	case 128, 120, 112, 104, 96, 64, 32:
	default:
		return m.badParam("has a tag of %d bits", p.TagBits)
	}
	if len(p.IV) == 0 {
		return m.badParam("has no IV")
	}
	return nil
}

// HashOf is the Go hash of a digest mechanism.
func HashOf(t ck.MechanismType) (crypto.Hash, bool) {
	r := byType[t]
	if r == nil || r.Use&ck.CKF_DIGEST == 0 {
		return 0, false
	}
	return r.Hash, true
}

var mgfs = map[uint64]ck.MechanismType{
	ck.CKG_MGF1_SHA1: ck.CKM_SHA_1, ck.CKG_MGF1_SHA224: ck.CKM_SHA224, ck.CKG_MGF1_SHA256: ck.CKM_SHA256,
	ck.CKG_MGF1_SHA384: ck.CKM_SHA384, ck.CKG_MGF1_SHA512: ck.CKM_SHA512,
	ck.CKG_MGF1_SHA3_224: ck.CKM_SHA3_224, ck.CKG_MGF1_SHA3_256: ck.CKM_SHA3_256,
	ck.CKG_MGF1_SHA3_384: ck.CKM_SHA3_384, ck.CKG_MGF1_SHA3_512: ck.CKM_SHA3_512,
	ck.CKG_IBM_MGF1_SHA3_224: ck.CKM_SHA3_224, ck.CKG_IBM_MGF1_SHA3_256: ck.CKM_SHA3_256,
	ck.CKG_IBM_MGF1_SHA3_384: ck.CKM_SHA3_384, ck.CKG_IBM_MGF1_SHA3_512: ck.CKM_SHA3_512,
}

// MGFHash is the hash of a mask generation function, a CKG_ number.
func MGFHash(mgf uint64) (crypto.Hash, bool) {
	t, ok := mgfs[mgf]
	if !ok {
		return 0, false
	}
	return HashOf(t)
}
