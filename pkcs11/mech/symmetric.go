package mech

import "grep11/pkcs11/ck"

// Parameters of secret-key mechanisms.
type (
	// MACLen is CK_MAC_GENERAL_PARAMS: the length of the MAC in bytes.
	MACLen struct{ Bytes uint64 }

	// CBCData is CK_AES_CBC_ENCRYPT_DATA_PARAMS, or that of DES.
	CBCData struct{ IV, Data []byte }

	// ChaCha20 is CK_CHACHA20_PARAMS: the number of the first block, which is 32
	// bits long with a nonce of 12 bytes (RFC 8439) and 64 with one of 8.
	ChaCha20 struct {
		Counter uint64
		Nonce   []byte
	}

	// Extract is CK_EXTRACT_PARAMS: the bit that the new key begins with.
	Extract struct{ Bit uint64 }
)

func (*MACLen) kind() ParamKind   { return ParamMACLen }
func (*CBCData) kind() ParamKind  { return ParamCBCData }
func (*ChaCha20) kind() ParamKind { return ParamChaCha20 }
func (*Extract) kind() ParamKind  { return ParamExtract }

// valueKind is the type that holds a kind of parameter where two share one.
func (k ParamKind) valueKind() ParamKind {
	switch k {
	case ParamKeyWrapIV:
		return ParamIV
	case ParamString:
		return ParamBytes
	}
	return k
}

func (m Mechanism) checkSymmetric(r *Row) error {
	switch p := m.Param.(type) {
	case *MACLen:
		if most := r.fullMAC(); p.Bytes < 1 || p.Bytes > uint64(most) {
			return m.badParam("asks for %d bytes of %d", p.Bytes, most)
		}
	case *CBCData:
		if len(p.IV) != r.Block || len(p.Data) == 0 || len(p.Data)%r.Block != 0 {
			return m.badParam("has an IV of %d bytes and data of %d", len(p.IV), len(p.Data))
		}
	case *ChaCha20:
		if n := len(p.Nonce); n != 8 && n != 12 || n == 12 && p.Counter>>32 != 0 {
			return m.badParam("has a nonce of %d bytes and begins at block %d", n, p.Counter)
		}
	case *GCM:
		if m.Type == ck.CKM_AES_GMAC && len(p.AAD) > 0 {
			return m.badParam("has data that belongs to the message")
		}
	}
	return nil
}

// fullMAC is how long a MAC is before it is cut.
func (r *Row) fullMAC() int {
	if r.Hash != 0 {
		return r.Hash.Size()
	}
	return r.Block
}
