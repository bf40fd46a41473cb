package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// maxParam bounds a mechanism parameter, in bytes.
const maxParam = 1 << 20

type param struct {
	encode func(*mech.Row, mech.Param, *grep11pb.Mechanism) error
	decode func(*mech.Row, *grep11pb.Mechanism) (mech.Param, error)
	absent bool // may be absent
}

// params has the wire form of every kind of parameter (grep11-wire 7.2, and
// ext.proto for those GREP11 lacks).
var params = map[mech.ParamKind]param{
	mech.ParamNone:      {encodeNone, decodeNone, true},
	mech.ParamIV:        {encodeIV, decodeIV, false},
	mech.ParamBytes:     {encodeRaw, decodeRaw, false},
	mech.ParamPSS:       {encodePSS, decodePSS, false},
	mech.ParamOAEP:      {encodeOAEP, decodeOAEP, false},
	mech.ParamECDH1:     {encodeECDH1, decodeECDH1, false},
	mech.ParamCTR:       extension(encodeCTR, decodeCTR, false),
	mech.ParamGCM:       extension(encodeGCM, decodeGCM, false),
	mech.ParamEdDSA:     extension(encodeEdDSA, decodeEdDSA, true),
	mech.ParamKeyWrapIV: {encodeIV, decodeIV, true},

	mech.ParamBTC:         {encodeBTC, decodeBTC, false},
	mech.ParamECSG:        {encodeECSG, decodeECSG, false},
	mech.ParamECAGG:       {encodeECAGG, decodeECAGG, false},
	mech.ParamKyber:       {encodeKyber, decodeKyber, true},
	mech.ParamCCM:         extension(encodeCCM, decodeCCM, false),
	mech.ParamChaCha:      extension(encodeChaCha, decodeChaCha, false),
	mech.ParamHKDF:        extension(encodeHKDF, decodeHKDF, false),
	mech.ParamPBE:         extension(encodePBE, decodePBE, false),
	mech.ParamPBKDF2:      extension(encodePBKDF2, decodePBKDF2, false),
	mech.ParamKDF108:      extension(encodeKDF108, decodeKDF108, false),
	mech.ParamRSAAES:      extension(encodeRSAAES, decodeRSAAES, false),
	mech.ParamContext:     extension(encodeContext, decodeContext, true),
	mech.ParamHashContext: extension(encodeContext, decodeContext, false),

	mech.ParamString:   {encodeRaw, decodeRaw, false},
	mech.ParamMACLen:   extension(encodeMACLen, decodeMACLen, false),
	mech.ParamCBCData:  extension(encodeCBCData, decodeCBCData, false),
	mech.ParamChaCha20: extension(encodeChaCha20, decodeChaCha20, false),
	mech.ParamExtract:  extension(encodeExtract, decodeExtract, false),
	mech.ParamEAC:      extension(encodeEAC, decodeEAC, false),
	mech.ParamSipHash:  extension(encodeSipHash, decodeSipHash, true),
	mech.ParamRetain:   extension(encodeRetain, decodeRetain, false),
}

// unlisted mechanisms are not judged here: the unit refuses what it lacks.
var unlisted = param{encodeRaw, decodeRaw, true}

// EncodeMechanism makes the message. A parameter of another kind than the
// mechanism's is CKR_MECHANISM_PARAM_INVALID.
func EncodeMechanism(m mech.Mechanism) (*grep11pb.Mechanism, error) {
	row, p := codec(m.Type)
	out := &grep11pb.Mechanism{Mechanism: uint64(m.Type)}
	if m.Param == nil && p.absent {
		return out, nil
	}
	if err := p.encode(row, m.Param, out); err != nil {
		return nil, fmt.Errorf("%v: %w", m.Type, err)
	}
	return out, nil
}

// DecodeMechanism reads the message. None is CKR_MECHANISM_INVALID.
func DecodeMechanism(m *grep11pb.Mechanism) (mech.Mechanism, error) {
	if m == nil {
		return mech.Mechanism{}, fmt.Errorf("no mechanism: %w", ck.CKR_MECHANISM_INVALID)
	}
	out := mech.Mechanism{Type: ck.MechanismType(low32(m.Mechanism))}
	row, p := codec(out.Type)
	if row == nil && typed(m) {
		return out, fmt.Errorf("%v: %w", out.Type, ck.CKR_MECHANISM_INVALID)
	}
	if p.absent && absent(m) {
		return out, nil
	}
	var err error
	if out.Param, err = p.decode(row, m); err != nil {
		return out, fmt.Errorf("%v: %w", out.Type, err)
	}
	return out, nil
}

func codec(t ck.MechanismType) (*mech.Row, param) {
	row, err := mech.Lookup(t)
	if err != nil {
		return nil, unlisted
	}
	return row, params[row.Param]
}

// absent: no member set, or an empty ParameterB (grep11-wire 7.2).
func absent(m *grep11pb.Mechanism) bool {
	b, ok := m.Parameter.(*grep11pb.Mechanism_ParameterB)
	return m.Parameter == nil || ok && len(b.ParameterB) == 0
}

func typed(m *grep11pb.Mechanism) bool {
	_, ok := m.Parameter.(*grep11pb.Mechanism_ParameterB)
	return m.Parameter != nil && !ok
}

func invalid(format string, a ...any) error {
	return fmt.Errorf("parameter: %s: %w", fmt.Sprintf(format, a...), ck.CKR_MECHANISM_PARAM_INVALID)
}

// is gives the parameter as the Go type that the mechanism takes.
func is[P mech.Param](p mech.Param) (P, error) {
	v, ok := p.(P)
	if !ok {
		return v, invalid("%T instead of %T", p, v)
	}
	return v, nil
}

// bytesOf gives a non-empty ParameterB.
func bytesOf(m *grep11pb.Mechanism) ([]byte, error) {
	if absent(m) {
		return nil, invalid("missing")
	}
	b, ok := m.Parameter.(*grep11pb.Mechanism_ParameterB)
	if !ok {
		return nil, invalid("%T instead of bytes", m.Parameter)
	}
	if len(b.ParameterB) > maxParam {
		return nil, invalid("%d bytes", len(b.ParameterB))
	}
	return b.ParameterB, nil
}

// setBytes refuses an empty value, which would read as no parameter.
func setBytes(m *grep11pb.Mechanism, b []byte) error {
	if len(b) == 0 || len(b) > maxParam {
		return invalid("%d bytes", len(b))
	}
	m.Parameter = &grep11pb.Mechanism_ParameterB{ParameterB: b}
	return nil
}

// extension makes the codec of a parameter that travels as a serialised
// message of ext.proto. Fields this version does not know are refused: they
// would change what the mechanism does.
func extension[P mech.Param, M proto.Message](enc func(P) (M, error), dec func(M) (P, error), mayBeAbsent bool) param {
	encode := func(_ *mech.Row, p mech.Param, out *grep11pb.Mechanism) error {
		v, err := is[P](p)
		if err != nil {
			return err
		}
		msg, err := enc(v)
		if err != nil {
			return err
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		if err != nil {
			return invalid("%v", err)
		}
		if len(b) == 0 && mayBeAbsent {
			return nil
		}
		return setBytes(out, b)
	}
	decode := func(_ *mech.Row, in *grep11pb.Mechanism) (mech.Param, error) {
		b, err := bytesOf(in)
		if err != nil {
			return nil, err
		}
		var zero M
		msg := zero.ProtoReflect().New().Interface().(M)
		if err := proto.Unmarshal(b, msg); err != nil || len(msg.ProtoReflect().GetUnknown()) > 0 {
			return nil, invalid("not a %s", zero.ProtoReflect().Descriptor().Name())
		}
		if proto.Size(msg) == 0 && !mayBeAbsent {
			return nil, invalid("a %s that says nothing", zero.ProtoReflect().Descriptor().Name())
		}
		return dec(msg)
	}
	return param{encode, decode, mayBeAbsent}
}

func encodeCTR(p *mech.CTR) (*extpb.CTRParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.CTRParameter{CounterBits: p.Bits, CounterBlock: p.Block[:]}, nil
}

func decodeCTR(m *extpb.CTRParameter) (*mech.CTR, error) {
	p := &mech.CTR{Bits: m.CounterBits}
	if len(m.CounterBlock) != len(p.Block) {
		return nil, invalid("counter block of %d bytes", len(m.CounterBlock))
	}
	copy(p.Block[:], m.CounterBlock)
	return p, nil
}

func encodeGCM(p *mech.GCM) (*extpb.GCMParameter, error) {
	if p == nil {
		return nil, invalid("missing")
	}
	return &extpb.GCMParameter{Iv: p.IV, Aad: p.AAD, TagBits: p.TagBits}, nil
}

func decodeGCM(m *extpb.GCMParameter) (*mech.GCM, error) {
	return &mech.GCM{IV: m.Iv, AAD: m.Aad, TagBits: m.TagBits}, nil
}

func encodeEdDSA(p *mech.EdDSA) (*extpb.EdDSAParameter, error) {
	if p == nil {
		return &extpb.EdDSAParameter{}, nil
	}
	return &extpb.EdDSAParameter{Prehash: p.Prehash, Context: p.Context}, nil
}

func decodeEdDSA(m *extpb.EdDSAParameter) (*mech.EdDSA, error) {
	return &mech.EdDSA{Prehash: m.Prehash, Context: m.Context}, nil
}
