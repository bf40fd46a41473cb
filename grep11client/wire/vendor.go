package wire

import (
	"math"

	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/mech"
)

// Typed parameters of the vendor's mechanisms.

// small checks numbers that GREP11 carries in 32 bits.
func small(n ...uint64) error {
	for _, v := range n {
		if v > math.MaxInt32 {
			return invalid("number 0x%x", v)
		}
	}
	return nil
}

func encodeBTC(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.BTC](p)
	if err != nil || v == nil {
		return invalid("missing or not for BTC_DERIVE")
	}
	out.Parameter = &grep11pb.Mechanism_BTCDeriveParameter{BTCDeriveParameter: &grep11pb.BTCDeriveParm{
		Type: grep11pb.BTCDeriveParm_BTCDeriveType(v.Type), ChildKeyIndex: v.Index, ChainCode: v.ChainCode, Version: v.Version}}
	return small(v.Type)
}

func decodeBTC(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetBTCDeriveParameter()
	if w == nil || w.Type < 0 {
		return nil, invalid("%T instead of BTCDeriveParameter", m.Parameter)
	}
	return &mech.BTC{Type: uint64(w.Type), Index: w.ChildKeyIndex, ChainCode: w.ChainCode, Version: w.Version}, nil
}

func encodeECSG(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.ECSG](p)
	if err != nil || v == nil {
		return invalid("missing or not for ECDSA_OTHER")
	}
	out.Parameter = &grep11pb.Mechanism_ECSGParameter{ECSGParameter: &grep11pb.ECSGParm{Type: grep11pb.ECSGParm_ECSGType(v.Type)}}
	return small(v.Type)
}

func decodeECSG(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetECSGParameter()
	if w == nil || w.Type < 0 {
		return nil, invalid("%T instead of ECSGParameter", m.Parameter)
	}
	return &mech.ECSG{Type: uint64(w.Type)}, nil
}

func encodeECAGG(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.ECAGG](p)
	if err != nil || v == nil {
		return invalid("missing or not for EC_AGGREGATE")
	}
	out.Parameter = &grep11pb.Mechanism_ECAGGParameter{ECAGGParameter: &grep11pb.ECAGGParm{Version: uint32(v.Version),
		Mode: grep11pb.ECAGGParm_ECAGGMode(v.Mode), PerElementSize: uint32(v.PerElement), Elements: v.Elements}}
	return small(v.Version, v.Mode, v.PerElement)
}

func decodeECAGG(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetECAGGParameter()
	if w == nil || w.Mode < 0 || small(uint64(w.Version), uint64(w.PerElementSize)) != nil {
		return nil, invalid("%T instead of ECAGGParameter", m.Parameter)
	}
	return &mech.ECAGG{Version: uint64(w.Version), Mode: uint64(w.Mode), PerElement: uint64(w.PerElementSize), Elements: w.Elements}, nil
}

// The KEM parameter is CKM_IBM_KYBER's, and that of CKM_ML_KEM and CKM_IBM_ML_KEM
// in DeriveKey (ext.proto says how they travel).
func encodeKyber(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
	v, err := is[*mech.Kyber](p)
	if err != nil || v == nil {
		return invalid("missing or not for KYBER")
	}
	kdf, err := vendorDown(v.KDF)
	if err != nil {
		return err
	}
	out.Parameter = &grep11pb.Mechanism_KyberKEMParameter{KyberKEMParameter: &grep11pb.KyberKEMParm{Version: uint32(v.Version),
		Mode: grep11pb.KyberKEMParm_KyberMode(v.Mode), Kdf: grep11pb.KyberKEMParm_KyberDeriveType(kdf), Prepend: v.Prepend,
		CipherText: v.CipherText, SharedData: v.Shared, Blob: v.Blob}}
	return small(v.Version, v.Mode)
}

func decodeKyber(_ *mech.Row, m *grep11pb.Mechanism) (mech.Param, error) {
	w := m.GetKyberKEMParameter()
	if w == nil || w.Mode < 0 || small(uint64(w.Version)) != nil {
		return nil, invalid("%T instead of KyberKEMParameter", m.Parameter)
	}
	kdf, err := vendorUp(int32(w.Kdf))
	return &mech.Kyber{Version: uint64(w.Version), Mode: uint64(w.Mode), KDF: kdf, Prepend: w.Prepend,
		CipherText: w.CipherText, Shared: w.SharedData, Blob: w.Blob}, err
}
