package wire

import (
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Typed parameters of GREP11, each with its way back.

func encodeNone(_ *mech.Row, p mech.Param, _ *grep11pb.Mechanism) error {
	return invalid("%T where none belongs", p)
}

func decodeNone(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	return nil, invalid("%T where none belongs", m.Parameter)
}

func encodeIV(row *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	iv, err := is[mech.IV](p)
	if err != nil {
		return err
	}
	if err := ivLen(row, len(iv)); err != nil {
		return err
	}
	return setBytes(out, iv)
}

func decodeIV(row *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	b, err := bytesOf(m)
	if err != nil {
		return nil, err
	}
	return mech.IV(b), ivLen(row, len(b))
}

// ivLen: block ciphers take a block; key wrapping (no block) 8 bytes or, with
// padding, 4.
func ivLen(row *mech.Row, n int) error {
	if row.Block != 0 && n != row.Block || row.Block == 0 && n != 8 && n != 4 {
		return invalid("IV of %d bytes", n)
	}
	return nil
}

func encodeRaw(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	raw, err := is[mech.Raw](p)
	if err != nil {
		return err
	}
	return setBytes(out, raw)
}

func decodeRaw(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	b, err := bytesOf(m)
	if err != nil {
		return nil, err
	}
	return mech.Raw(b), nil
}

func encodePSS(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.PSS](p)
	if err != nil || v == nil {
		return invalid("missing or not for PSS")
	}
	mgf, err := vendorDown(v.MGF)
	if err != nil {
		return err
	}
	out.Parameter = &grep11pb.Mechanism_RSAPSSParameter{RSAPSSParameter: &grep11pb.RSAPSSParm{
		HashMech: uint64(v.Hash), Mgf: grep11pb.RSAPSSParm_Mask(mgf), SaltByteCount: v.SaltLen}}
	return nil
}

func decodePSS(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetRSAPSSParameter()
	if w == nil {
		return nil, invalid("%T instead of RSAPSSParameter", m.Parameter)
	}
	mgf, err := vendorUp(int32(w.Mgf))
	return &mech.PSS{Hash: ck.MechanismType(low32(w.HashMech)), MGF: mgf, SaltLen: w.SaltByteCount}, err
}

func encodeOAEP(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.OAEP](p)
	if err != nil || v == nil {
		return invalid("missing or not for OAEP")
	}
	mgf, err := vendorDown(v.MGF)
	if err != nil {
		return err
	}
	if v.Source > ck.CKZ_DATA_SPECIFIED || len(v.Label) > maxParam {
		return invalid("label of source %d and %d bytes", v.Source, len(v.Label))
	}
	out.Parameter = &grep11pb.Mechanism_RSAOAEPParameter{RSAOAEPParameter: &grep11pb.RSAOAEPParm{
		HashMech: uint64(v.Hash), Mgf: grep11pb.RSAOAEPParm_Mask(mgf),
		EncodingParmType: grep11pb.RSAOAEPParm_ParmType(v.Source), EncodingParm: v.Label}}
	return nil
}

func decodeOAEP(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetRSAOAEPParameter()
	if w == nil {
		return nil, invalid("%T instead of RSAOAEPParameter", m.Parameter)
	}
	if w.EncodingParmType < 0 || w.EncodingParmType > ck.CKZ_DATA_SPECIFIED || len(w.EncodingParm) > maxParam {
		return nil, invalid("label of source %d and %d bytes", w.EncodingParmType, len(w.EncodingParm))
	}
	mgf, err := vendorUp(int32(w.Mgf))
	return &mech.OAEP{Hash: ck.MechanismType(low32(w.HashMech)), MGF: mgf,
		Source: uint64(w.EncodingParmType), Label: w.EncodingParm}, err
}

func encodeECDH1(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.ECDH1](p)
	if err != nil || v == nil {
		return invalid("missing or not for ECDH")
	}
	kdf, err := vendorDown(v.KDF)
	if err != nil {
		return err
	}
	if len(v.Shared) > maxParam || len(v.Public) > maxParam {
		return invalid("%d and %d bytes", len(v.Shared), len(v.Public))
	}
	out.Parameter = &grep11pb.Mechanism_ECDH1DeriveParameter{ECDH1DeriveParameter: &grep11pb.ECDH1DeriveParm{
		Kdf: grep11pb.ECDH1DeriveParm_KeyDerivationFunction(kdf), SharedData: v.Shared, PublicData: v.Public}}
	return nil
}

// decodeECDH1 also takes the peer's point alone, which implies no KDF.
func decodeECDH1(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetECDH1DeriveParameter()
	if w == nil {
		point, err := bytesOf(m)
		return &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}, err
	}
	if len(w.SharedData) > maxParam || len(w.PublicData) > maxParam {
		return nil, invalid("%d and %d bytes", len(w.SharedData), len(w.PublicData))
	}
	kdf, err := vendorUp(int32(w.Kdf))
	return &mech.ECDH1{KDF: kdf, Shared: w.SharedData, Public: w.PublicData}, err
}

// The vendor's functions are 0x80000001.. in C; GREP11's enums, being signed,
// have them as 0x800001.. (grep11-wire 3).
const (
	vendorC    = 0x80000000
	vendorWire = 0x00800000
	vendorSpan = 0x10000
)

func vendorDown(n uint64) (int32, error) {
	switch {
	case n < vendorWire:
		return int32(n), nil
	case n >= vendorC && n < vendorC+vendorSpan:
		return int32(n - vendorC + vendorWire), nil
	}
	return 0, invalid("function 0x%x", n)
}

func vendorUp(n int32) (uint64, error) {
	switch {
	case n >= 0 && n < vendorWire:
		return uint64(n), nil
	case n >= vendorWire && n < vendorWire+vendorSpan:
		return uint64(n) - vendorWire + vendorC, nil
	}
	return 0, invalid("function 0x%x", uint32(n))
}
