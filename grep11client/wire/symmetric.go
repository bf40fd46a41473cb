package wire

import (
	"math"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/mech"
)

// Parameters of secret-key mechanisms, and those of the vendor's whose format
// is ours, as messages of ext.proto; HMACGeneralParm is GREP11's.

func encodeMACLen(p *mech.MACLen) (*grep11pb.HMACGeneralParm, error) {
	if p == nil || p.Bytes > math.MaxUint32 {
		return nil, invalid("missing, or too long")
	}
	return &grep11pb.HMACGeneralParm{ReturnByteCount: uint32(p.Bytes)}, nil
}

func decodeMACLen(m *grep11pb.HMACGeneralParm) (*mech.MACLen, error) {
	return &mech.MACLen{Bytes: uint64(m.ReturnByteCount)}, nil
}

func encodeCBCData(p *mech.CBCData) (*extpb.CBCDataParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.CBCDataParameter{Iv: p.IV, Data: p.Data}, nil
}

func decodeCBCData(m *extpb.CBCDataParameter) (*mech.CBCData, error) {
	return &mech.CBCData{IV: m.Iv, Data: m.Data}, nil
}

func encodeChaCha20(p *mech.ChaCha20) (*extpb.ChaCha20Parameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.ChaCha20Parameter{Counter: p.Counter, Nonce: p.Nonce}, nil
}

func decodeChaCha20(m *extpb.ChaCha20Parameter) (*mech.ChaCha20, error) {
	return &mech.ChaCha20{Counter: m.Counter, Nonce: m.Nonce}, nil
}

func encodeExtract(p *mech.Extract) (*extpb.ExtractParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.ExtractParameter{Bit: &p.Bit}, nil
}

func decodeExtract(m *extpb.ExtractParameter) (*mech.Extract, error) {
	return &mech.Extract{Bit: m.GetBit()}, nil
}

func encodeEAC(p *mech.EAC) (*extpb.EACParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.EACParameter{Variant: p.Variant, Nonce: p.Nonce, Info: p.Info}, nil
}

func decodeEAC(m *extpb.EACParameter) (*mech.EAC, error) {
	return &mech.EAC{Variant: m.Variant, Nonce: m.Nonce, Info: m.Info}, nil
}

func encodeSipHash(p *mech.SipHash) (*extpb.SipHashParameter, error) {
	if p == nil {
		return &extpb.SipHashParameter{}, nil
	}
	return &extpb.SipHashParameter{WordRounds: p.Word, EndRounds: p.End, Bytes: p.Bytes}, nil
}

func decodeSipHash(m *extpb.SipHashParameter) (*mech.SipHash, error) {
	return &mech.SipHash{Word: m.WordRounds, End: m.EndRounds, Bytes: m.Bytes}, nil
}

func encodeRetain(p *mech.Retain) (*extpb.RetainParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.RetainParameter{Credits: &p.Credits, Refill: p.Refill}, nil
}

func decodeRetain(m *extpb.RetainParameter) (*mech.Retain, error) {
	if m.Credits == nil {
		return nil, invalid("no credits")
	}
	return &mech.Retain{Credits: *m.Credits, Refill: m.Refill}, nil
}
