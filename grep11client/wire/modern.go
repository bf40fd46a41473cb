package wire

import (
	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Parameters of PKCS#11's newer mechanisms, as messages of ext.proto.

func encodeCCM(p *mech.CCM) (*extpb.CCMParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.CCMParameter{DataLen: p.DataLen, Nonce: p.Nonce, Aad: p.AAD, MacLen: p.MACLen}, nil
}

func decodeCCM(m *extpb.CCMParameter) (*mech.CCM, error) {
	return &mech.CCM{DataLen: m.DataLen, Nonce: m.Nonce, AAD: m.Aad, MACLen: m.MacLen}, nil
}

func encodeChaCha(p *mech.ChaCha) (*extpb.ChaChaParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.ChaChaParameter{Nonce: p.Nonce, Aad: p.AAD}, nil
}

func decodeChaCha(m *extpb.ChaChaParameter) (*mech.ChaCha, error) {
	return &mech.ChaCha{Nonce: m.Nonce, AAD: m.Aad}, nil
}

func encodeHKDF(p *mech.HKDF) (*extpb.HKDFParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.HKDFParameter{Extract: p.Extract, Expand: p.Expand, Hash: uint64(p.Hash), SaltType: p.SaltType, Salt: p.Salt, Info: p.Info}, nil
}

func decodeHKDF(m *extpb.HKDFParameter) (*mech.HKDF, error) {
	return &mech.HKDF{Extract: m.Extract, Expand: m.Expand, Hash: ck.MechanismType(m.Hash), SaltType: m.SaltType, Salt: m.Salt, Info: m.Info}, nil
}

func encodePBE(p *mech.PBE) (*extpb.PBEParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.PBEParameter{Password: p.Password, Salt: p.Salt, Iterations: p.Iterations}, nil
}

func decodePBE(m *extpb.PBEParameter) (*mech.PBE, error) {
	return &mech.PBE{Password: m.Password, Salt: m.Salt, Iterations: m.Iterations}, nil
}

func encodePBKDF2(p *mech.PBKDF2) (*extpb.PBKDF2Parameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.PBKDF2Parameter{Prf: p.PRF, Salt: p.Salt, Iterations: p.Iterations, Password: p.Password}, nil
}

func decodePBKDF2(m *extpb.PBKDF2Parameter) (*mech.PBKDF2, error) {
	return &mech.PBKDF2{PRF: m.Prf, Salt: m.Salt, Iterations: m.Iterations, Password: m.Password}, nil
}

// maxKDFData bounds the parts of a KDF's input.
const maxKDFData = 32

func encodeKDF108(p *mech.KDF108) (*extpb.KDF108Parameter, error) {
	if p == nil || len(p.Data) > maxKDFData {
		return nil, invalid("missing, or too many parts")
	}
	out := &extpb.KDF108Parameter{Prf: uint64(p.PRF), Iv: p.IV}
	for _, d := range p.Data {
		out.Data = append(out.Data, &extpb.KDF108Parameter_Data{Type: d.Type, Bits: d.Bits, Method: d.Method, LittleEndian: d.LittleEndian, Bytes: d.Bytes})
	}
	return out, nil
}

func decodeKDF108(m *extpb.KDF108Parameter) (*mech.KDF108, error) {
	if len(m.Data) > maxKDFData {
		return nil, invalid("%d parts", len(m.Data))
	}
	p := &mech.KDF108{PRF: ck.MechanismType(m.Prf), IV: m.Iv}
	for _, d := range m.Data {
		if len(d.ProtoReflect().GetUnknown()) > 0 {
			return nil, invalid("not a KDF108Parameter")
		}
		p.Data = append(p.Data, mech.KDF108Data{Type: d.GetType(), Bits: d.GetBits(), Method: d.GetMethod(), LittleEndian: d.GetLittleEndian(), Bytes: d.GetBytes()})
	}
	return p, nil
}

func encodeRSAAES(p *mech.RSAAES) (*extpb.RSAAESParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	var inner grep11pb.Mechanism
	if err := encodeOAEP(nil, &p.OAEP, &inner); err != nil {
		return nil, err
	}
	return &extpb.RSAAESParameter{AesBits: p.Bits, Oaep: inner.GetRSAOAEPParameter()}, nil
}

func decodeRSAAES(m *extpb.RSAAESParameter) (*mech.RSAAES, error) {
	if m.Oaep == nil || len(m.Oaep.ProtoReflect().GetUnknown()) > 0 {
		return nil, invalid("no OAEP parameter")
	}
	oaep, err := decodeOAEP(nil, &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_RSAOAEPParameter{RSAOAEPParameter: m.Oaep}})
	if err != nil {
		return nil, err
	}
	return &mech.RSAAES{Bits: m.AesBits, OAEP: *oaep.(*mech.OAEP)}, nil
}

func encodeContext(p *mech.SignContext) (*extpb.SignContextParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.SignContextParameter{Hedge: p.Hedge, Context: p.Context, Hash: uint64(p.Hash)}, nil
}

func decodeContext(m *extpb.SignContextParameter) (*mech.SignContext, error) {
	return &mech.SignContext{Hedge: m.Hedge, Context: m.Context, Hash: ck.MechanismType(m.Hash)}, nil
}
