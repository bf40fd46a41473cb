package wire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

var block = bytes.Repeat([]byte{7}, 16)

// samples has a parameter of every kind.
var samples = map[mech.ParamKind]mech.Param{
	mech.ParamNone:      nil,
	mech.ParamIV:        mech.IV(block),
	mech.ParamBytes:     mech.Raw("peer"),
	mech.ParamPSS:       &mech.PSS{Hash: ck.CKM_SHA512, MGF: ck.CKG_MGF1_SHA512},
	mech.ParamOAEP:      &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_IBM_MGF1_SHA3_256, Source: 1, Label: []byte("l")},
	mech.ParamCTR:       &mech.CTR{Bits: 128, Block: [16]byte(block)},
	mech.ParamGCM:       &mech.GCM{IV: block[:12], AAD: []byte("aad"), TagBits: 128},
	mech.ParamECDH1:     &mech.ECDH1{KDF: ck.CKD_IBM_HYBRID_NULL, Shared: []byte("s"), Public: []byte{4, 1, 2}},
	mech.ParamEdDSA:     &mech.EdDSA{Prehash: true, Context: []byte("c")},
	mech.ParamKeyWrapIV: mech.IV(block[:8]),

	mech.ParamBTC:         &mech.BTC{Type: 5, Index: 0x80000001, ChainCode: block, Version: 1},
	mech.ParamECSG:        &mech.ECSG{Type: mech.ECSGBLS},
	mech.ParamECAGG:       &mech.ECAGG{Mode: mech.AggregateKeys, PerElement: 4, Elements: block},
	mech.ParamKyber:       &mech.Kyber{Mode: 2, KDF: ck.CKD_IBM_HYBRID_SHA256_KDF, Prepend: true, CipherText: block, Shared: block[:3], Blob: block[:5]},
	mech.ParamCCM:         &mech.CCM{DataLen: 9, Nonce: block[:13], AAD: []byte("aad"), MACLen: 8},
	mech.ParamChaCha:      &mech.ChaCha{Nonce: block[:12], AAD: []byte("aad")},
	mech.ParamHKDF:        &mech.HKDF{Extract: true, Hash: ck.CKM_SHA256, SaltType: 2, Salt: block, Info: block[:1]},
	mech.ParamPBE:         &mech.PBE{Password: ck.Secret("p"), Salt: block, Iterations: 2},
	mech.ParamPBKDF2:      &mech.PBKDF2{PRF: 4, Salt: block, Iterations: 2, Password: ck.Secret("p")},
	mech.ParamKDF108:      &mech.KDF108{PRF: ck.CKM_AES_CMAC, Data: []mech.KDF108Data{{Type: 1, Bits: 32}, {Type: 4, Bytes: block}}, IV: block},
	mech.ParamRSAAES:      &mech.RSAAES{Bits: 256, OAEP: mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, Source: 1}},
	mech.ParamContext:     &mech.SignContext{Hedge: 1, Context: []byte("c")},
	mech.ParamHashContext: &mech.SignContext{Context: []byte("c"), Hash: ck.CKM_SHA512},

	mech.ParamString:   mech.Raw("data"),
	mech.ParamMACLen:   &mech.MACLen{Bytes: 8},
	mech.ParamCBCData:  &mech.CBCData{IV: block, Data: append(block, block...)},
	mech.ParamChaCha20: &mech.ChaCha20{Counter: 7, Nonce: block[:12]},
	mech.ParamExtract:  &mech.Extract{},
	mech.ParamEAC:      &mech.EAC{Variant: mech.EACHKDF, Nonce: block, Info: block[:2]},
	mech.ParamSipHash:  &mech.SipHash{Word: 2, End: 4, Bytes: 16},
	mech.ParamRetain:   &mech.Retain{Refill: ck.Secret("refill")},
}

func sampleFor(t *testing.T, row mech.Row) mech.Param {
	p, ok := samples[row.Param]
	if !ok {
		t.Fatalf("%v: no sample for parameter kind %d", row.Type, row.Param)
	}
	if iv, ok := p.(mech.IV); ok && row.Block > 0 {
		return iv[:row.Block]
	}
	return p
}

func TestEveryMechanismComesBack(t *testing.T) {
	for _, row := range mech.All() {
		m := mech.Mechanism{Type: row.Type, Param: sampleFor(t, row)}
		sent, err := EncodeMechanism(m)
		if err != nil {
			t.Errorf("%v: %v", m, err)
			continue
		}
		sent.Mechanism |= 0xFFFFFFFF00000000 // as sign extension would leave it
		got, err := DecodeMechanism(sent)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v came back as %+v, %v", m, got, err)
		}
	}
}

func TestParametersOfTheWrongKindAreRefused(t *testing.T) {
	for _, row := range mech.All() {
		for kind, p := range samples {
			alike := reflect.TypeOf(p) == reflect.TypeOf(samples[row.Param])
			if alike || p == nil && params[row.Param].absent {
				continue
			}
			_, err := EncodeMechanism(mech.Mechanism{Type: row.Type, Param: p})
			if !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
				t.Errorf("%v with parameter kind %d: %v", row.Type, kind, err)
			}
		}
	}
}

func paramB(b []byte) *grep11pb.Mechanism {
	return &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_ParameterB{ParameterB: b}}
}

var (
	pssParm  = &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_RSAPSSParameter{RSAPSSParameter: &grep11pb.RSAPSSParm{HashMech: 0xFFFFFFFF00000250, Mgf: 2}}}
	badMGF   = &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_RSAPSSParameter{RSAPSSParameter: &grep11pb.RSAPSSParm{Mgf: -1}}}
	nilPSS   = &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_RSAPSSParameter{}}
	btcParm  = &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_BTCDeriveParameter{BTCDeriveParameter: &grep11pb.BTCDeriveParm{}}}
	oaepBad  = &grep11pb.Mechanism{Parameter: &grep11pb.Mechanism_RSAOAEPParameter{RSAOAEPParameter: &grep11pb.RSAOAEPParm{EncodingParmType: 7}}}
	noParam  = &grep11pb.Mechanism{}
	nothing  = ck.RV(ck.CKR_OK)
	badParam = ck.CKR_MECHANISM_PARAM_INVALID
)

func TestDecodeMechanism(t *testing.T) {
	for name, row := range map[string]struct {
		t    ck.MechanismType
		in   *grep11pb.Mechanism
		want mech.Param
		rv   ck.RV
	}{
		"an empty ParameterB is no parameter":          {ck.CKM_ECDSA, paramB(nil), nil, nothing},
		"bytes where none belong are refused":          {ck.CKM_ECDSA, paramB(block), nil, badParam},
		"an IV of the block's size is taken":           {ck.CKM_AES_CBC, paramB(block), mech.IV(block), nothing},
		"an IV of another size is refused":             {ck.CKM_AES_CBC, paramB(block[:8]), nil, badParam},
		"a missing IV is refused":                      {ck.CKM_AES_CBC, noParam, nil, badParam},
		"a typed parameter for a cipher is refused":    {ck.CKM_AES_CBC, pssParm, nil, badParam},
		"a key wrapping IV may be absent":              {ck.CKM_AES_KEY_WRAP, noParam, nil, nothing},
		"the hash of PSS is reduced to 32 bits":        {ck.CKM_RSA_PKCS_PSS, pssParm, &mech.PSS{Hash: ck.CKM_SHA256, MGF: 2}, nothing},
		"PSS without its parameter is refused":         {ck.CKM_RSA_PKCS_PSS, noParam, nil, badParam},
		"an empty PSS parameter reads as zeros":        {ck.CKM_RSA_PKCS_PSS, nilPSS, &mech.PSS{}, nothing},
		"an MGF of no meaning is refused":              {ck.CKM_RSA_PKCS_PSS, badMGF, nil, badParam},
		"an OAEP label of no meaning is refused":       {ck.CKM_RSA_PKCS_OAEP, oaepBad, nil, badParam},
		"ECDH takes a bare point":                      {ck.CKM_ECDH1_DERIVE, paramB(block), &mech.ECDH1{KDF: ck.CKD_NULL, Public: block}, nothing},
		"ECDH without a point is refused":              {ck.CKM_ECDH1_DERIVE, noParam, nil, badParam},
		"GCM needs its message":                        {ck.CKM_AES_GCM, paramB([]byte{0xff}), nil, badParam},
		"GCM with unknown fields is refused":           {ck.CKM_AES_GCM, paramB([]byte{0x78, 1}), nil, badParam},
		"CTR needs a whole block":                      {ck.CKM_AES_CTR, paramB([]byte{8, 128}), nil, badParam},
		"a retained key without limit":                 {ck.CKM_IBM_RETAINKEY, paramB([]byte{8, 0}), &mech.Retain{}, nothing},
		"a retained key needs credits":                 {ck.CKM_IBM_RETAINKEY, paramB([]byte{0x12, 1, 7}), nil, badParam},
		"EdDSA's parameter may be absent":              {ck.CKM_EDDSA, noParam, nil, nothing},
		"an unlisted mechanism passes":                 {ck.CKM_IBM_TRANSPORTKEY, noParam, nil, nothing},
		"an unlisted mechanism of typed form does not": {ck.CKM_IBM_ETH_DERIVE, btcParm, nil, ck.CKR_MECHANISM_INVALID},
	} {
		t.Run(name, func(t *testing.T) {
			in := proto.Clone(row.in).(*grep11pb.Mechanism)
			in.Mechanism = uint64(row.t)
			got, err := DecodeMechanism(in)
			if ck.RVOf(err) != row.rv {
				t.Fatalf("got %v, want %v", err, row.rv)
			}
			if err == nil && !reflect.DeepEqual(got.Param, row.want) {
				t.Errorf("got %+v, want %+v", got.Param, row.want)
			}
		})
	}
	if _, err := DecodeMechanism(nil); !errors.Is(err, ck.CKR_MECHANISM_INVALID) {
		t.Errorf("no mechanism: %v", err)
	}
}

func FuzzMechanism(f *testing.F) {
	for _, row := range mech.All() {
		p := samples[row.Param]
		if iv, ok := p.(mech.IV); ok && row.Block > 0 {
			p = iv[:row.Block]
		}
		if m, err := EncodeMechanism(mech.Mechanism{Type: row.Type, Param: p}); err == nil {
			b, _ := proto.Marshal(m)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in grep11pb.Mechanism
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		m, err := DecodeMechanism(&in)
		if err != nil {
			return
		}
		sent, err := EncodeMechanism(m)
		if err != nil {
			t.Fatalf("%+v was decoded but is not encoded: %v", m, err)
		}
		again, err := DecodeMechanism(sent)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := EncodeMechanism(again)
		if !proto.Equal(a, sent) {
			t.Errorf("%+v came back as %+v", m, again)
		}
	})
}
