package mech

import "grep11/pkcs11/ck"

// Parameters of PKCS#11's newer mechanisms, which GREP11 has no messages for.
type (
	// CCM is CK_CCM_PARAMS; lengths are in bytes. DataLen is the plaintext's.
	CCM struct {
		DataLen    uint64
		Nonce, AAD []byte
		MACLen     uint64
	}

	// ChaCha is CK_SALSA20_CHACHA20_POLY1305_PARAMS.
	ChaCha struct{ Nonce, AAD []byte }

	// HKDF is CK_HKDF_PARAMS without a salt that is a key.
	HKDF struct {
		Extract, Expand bool
		Hash            ck.MechanismType
		SaltType        uint64
		Salt, Info      []byte
	}

	// PBE is CK_PBE_PARAMS; the IV is not given back.
	PBE struct {
		Password   ck.Secret
		Salt       []byte
		Iterations uint64
	}

	// PBKDF2 is CK_PKCS5_PBKD2_PARAMS2 with a specified salt.
	PBKDF2 struct {
		PRF        uint64
		Salt       []byte
		Iterations uint64
		Password   ck.Secret
	}

	// KDF108 is CK_SP800_108_KDF_PARAMS and its feedback form, without
	// additional keys.
	KDF108 struct {
		PRF  ck.MechanismType
		Data []KDF108Data
		IV   []byte
	}

	// KDF108Data is CK_PRF_DATA_PARAM. Bits, LittleEndian and Method are those
	// of the counter or length format that Type names.
	KDF108Data struct {
		Type, Bits, Method uint64
		LittleEndian       bool
		Bytes              []byte
	}

	// RSAAES is CK_RSA_AES_KEY_WRAP_PARAMS.
	RSAAES struct {
		Bits uint64
		OAEP OAEP
	}

	// SignContext is CK_SIGN_ADDITIONAL_CONTEXT, with a hash
	// CK_HASH_SIGN_ADDITIONAL_CONTEXT.
	SignContext struct {
		Hedge   uint64
		Context []byte
		Hash    ck.MechanismType
	}
)

func (*CCM) kind() ParamKind    { return ParamCCM }
func (*ChaCha) kind() ParamKind { return ParamChaCha }
func (*HKDF) kind() ParamKind   { return ParamHKDF }
func (*PBE) kind() ParamKind    { return ParamPBE }
func (*PBKDF2) kind() ParamKind { return ParamPBKDF2 }
func (*KDF108) kind() ParamKind { return ParamKDF108 }
func (*RSAAES) kind() ParamKind { return ParamRSAAES }
func (p *SignContext) kind() ParamKind {
	if p.Hash != 0 {
		return ParamHashContext
	}
	return ParamContext
}

// checkModern checks values that every unit would refuse.
func (m Mechanism) checkModern() error {
	switch p := m.Param.(type) {
	case *CCM:
		if n := len(p.Nonce); n < 7 || n > 13 || p.MACLen < 4 || p.MACLen > 16 || p.MACLen%2 != 0 {
			return m.badParam("has a nonce of %d bytes and a MAC of %d", n, p.MACLen)
		}
	case *ChaCha:
		if len(p.Nonce) != 12 {
			return m.badParam("has a nonce of %d bytes", len(p.Nonce))
		}
	case *HKDF:
		noSalt := p.SaltType != uint64(ck.CKF_HKDF_SALT_NULL) && p.SaltType != uint64(ck.CKF_HKDF_SALT_DATA)
		if _, ok := HashOf(p.Hash); !ok || !p.Extract && !p.Expand || p.Extract && noSalt {
			return m.badParam("has hash %v and salt type %d", p.Hash, p.SaltType)
		}
	case *RSAAES:
		if p.Bits != 128 && p.Bits != 192 && p.Bits != 256 {
			return m.badParam("has AES keys of %d bits", p.Bits)
		}
		return Mechanism{m.Type, &p.OAEP}.checkOAEP(&p.OAEP)
	case *SignContext:
		if len(p.Context) > 255 || p.Hedge > ck.CKH_DETERMINISTIC_REQUIRED {
			return m.badParam("has a context of %d bytes and hedge variant %d", len(p.Context), p.Hedge)
		}
	}
	return nil
}
