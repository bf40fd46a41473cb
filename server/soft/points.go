package soft

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin/command"
	"grep11/server/unit"
)

// ownPoints are the points of single mechanisms, whatever the key. The
// "outside FIPS" and "outside BSI" points stand for what these rules lack:
// FIPS of 2009 the ciphers and MACs NIST has not, of 2021 triple DES with three
// keys, BSI of 2009 the one with two, of 2011 X9.31, of 2017 PKCS #1 v1.5
// signatures.
var ownPoints = map[ck.MechanismType][]command.ControlPoint{
	ck.CKM_RSA_X_509:             {command.XCP_CPB_ALG_RAW_RSA},
	ck.CKM_RSA_PKCS_OAEP:         {command.XCP_CPB_ALG_RSA_OAEP},
	ck.CKM_RSA_AES_KEY_WRAP:      {command.XCP_CPB_ALG_RSA_OAEP},
	ck.CKM_IBM_BTC_DERIVE:        {command.XCP_CPB_BTC},
	ck.CKM_IBM_ECDSA_OTHER:       {command.XCP_CPB_ECDSA_OTHER},
	ck.CKM_CHACHA20:              {command.XCP_CPB_ALG_NFIPS2009},
	ck.CKM_CHACHA20_POLY1305:     {command.XCP_CPB_ALG_NFIPS2009},
	ck.CKM_IBM_SIPHASH:           {command.XCP_CPB_ALG_NFIPS2009},
	ck.CKM_RSA_X9_31:             {command.XCP_CPB_ALG_NBSI2011},
	ck.CKM_SHA1_RSA_X9_31:        {command.XCP_CPB_ALG_NBSI2011},
	ck.CKM_DSA_PARAMETER_GEN:     {command.XCP_CPB_DSA_PARAMETER_GEN, command.XCP_CPB_KEYGEN_SYMM},
	ck.CKM_DH_PKCS_PARAMETER_GEN: {command.XCP_CPB_ALG_DH, command.XCP_CPB_KEYGEN_SYMM},
	ck.CKM_PBE_SHA1_DES3_EDE_CBC: {command.XCP_CPB_ALLOW_PASSPHRASE},
	ck.CKM_PKCS5_PBKD2:           {command.XCP_CPB_ALLOW_PASSPHRASE},
	ck.CKM_IBM_RETAINKEY:         {command.XCP_CPB_RETAINKEYS},
	ck.CKM_SHA1_RSA_PKCS:         {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA224_RSA_PKCS:       {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA256_RSA_PKCS:       {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA384_RSA_PKCS:       {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA512_RSA_PKCS:       {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA3_224_RSA_PKCS:     {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA3_256_RSA_PKCS:     {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA3_384_RSA_PKCS:     {command.XCP_CPB_ALG_NBSI2017},
	ck.CKM_SHA3_512_RSA_PKCS:     {command.XCP_CPB_ALG_NBSI2017},
}

// generates checks a mechanism that makes keys or parameters of nothing.
func (p *policy) generates(m mech.Mechanism) error {
	if p == nil {
		return nil
	}
	return p.needs(m.Type.String(), ownPoints[m.Type]...)
}

// lists tells whether a mechanism is in the unit's list: what the policy takes
// away altogether disappears (grep11-wire 13.2).
func (p *policy) lists(row *mech.Row) bool {
	if p == nil {
		return true
	}
	if p.needs("", ownPoints[row.Type]...) != nil {
		return false
	}
	for _, k := range row.Keys {
		if p.needs("", byType[k]...) == nil {
			return true
		}
	}
	return len(row.Keys) == 0
}

// wraps: a weaker key wraps a stronger one only where the policy says so.
func (p *policy) wraps(kek, k *key) error {
	if p == nil {
		return nil
	}
	_, outer, err := facts(kek)
	if err != nil {
		return err
	}
	_, inner, err := facts(k)
	if err != nil || outer >= inner {
		return err
	}
	return p.needs(fmt.Sprintf("a key of %d bits under one of %d", inner, outer), command.XCP_CPB_WRAP_STRONGER_KEY)
}

// derives checks a derived key against its base.
func (p *policy) derives(base, k *key) error {
	if p == nil {
		return nil
	}
	if base != nil && base.bits.Has(unit.BitAttrBound) && !k.bits.Has(unit.BitAttrBound) {
		if err := p.needs("a free key of an attribute-bound one", command.XCP_CPB_DERIVE_NON_AB_KEYS); err != nil {
			return err
		}
	}
	if k.class != ck.CKO_SECRET_KEY {
		return nil
	}
	return p.needs("making a key", command.XCP_CPB_KEYGEN_SYMM)
}

// retains checks a key that moves into the service's storage.
func (p *policy) retains(m mech.Mechanism, k *key) error {
	if p == nil {
		return nil
	}
	if err := p.needs(m.Type.String(), ownPoints[m.Type]...); err != nil {
		return err
	}
	return p.strong(k)
}

// rawKEK is a plain SPKI to wrap with (grep11-wire 11.5).
func (p *policy) rawKEK(spki []byte) (*key, error) {
	if p != nil {
		if err := p.needs("wrapping with a plain SPKI", command.XCP_CPB_WRAP_WITH_RAW_SPKI); err != nil {
			return nil, err
		}
	}
	k, err := rawPublic(spki)
	if err != nil {
		return nil, err
	}
	k.bits = unit.BitWrap
	return k, nil
}

// smallExponent tells whether an RSA key's public exponent is below 65537.
func smallExponent(info *publicInfo) bool {
	e := info.family.attributes(info).Bytes(ck.CKA_PUBLIC_EXPONENT)
	return new(big.Int).SetBytes(e).Cmp(big.NewInt(65537)) < 0
}

// pairTests are the mechanisms that try a new pair of a type that signs.
var pairTests = map[ck.KeyType]mech.Mechanism{
	ck.CKK_RSA: {Type: ck.CKM_SHA256_RSA_PKCS}, ck.CKK_DSA: {Type: ck.CKM_DSA_SHA256}, ck.CKK_EC: {Type: ck.CKM_ECDSA_SHA256},
	ck.CKK_EC_EDWARDS: {Type: ck.CKM_EDDSA}, ck.CKK_ML_DSA: {Type: ck.CKM_ML_DSA}, ck.CKK_SLH_DSA: {Type: ck.CKM_SLH_DSA},
}

// tests tries a new pair, unless the policy leaves that out: its two halves
// sign and verify, or its private half gives the public one.
func (p *policy) tests(priv *key, info *publicInfo) error {
	if p == nil || p.on.Has(command.XCP_CPB_SKIP_KEYTESTS) || priv.value == nil {
		return nil // what a device made it has tested
	}
	bad := fmt.Errorf("a new %v pair fails its test: %w", priv.typ, ck.CKR_DEVICE_ERROR)
	m, signs := pairTests[priv.typ]
	if !signs || info.family == &blsFamily {
		der, err := info.family.pkcs8(priv, info)
		if err != nil {
			return err
		}
		defer clear(der)
		if value, again, err := importPKCS8(der); err != nil || !sameBytes(again.spki, priv.spki) {
			value.Wipe()
			return bad
		}
		return nil
	}
	msg := make([]byte, 32)
	rand.Read(msg)
	sig, err := (&operation{op: mech.OpSign, mech: m, eng: engines[m.Type], key: priv}).whole(unit.Input{Data: msg})
	if err != nil {
		return err
	}
	if publicHalf(priv).verifies(m, engines[m.Type], msg, sig) != nil {
		return bad
	}
	return nil
}

func publicHalf(priv *key) *key {
	return &key{class: ck.CKO_PUBLIC_KEY, typ: priv.typ, bits: unit.BitVerify, spki: priv.spki}
}

func (k *key) verifies(m mech.Mechanism, e *engine, msg, sig []byte) error {
	_, err := (&operation{op: mech.OpVerify, mech: m, eng: e, key: k}).whole(unit.Input{Data: msg, Signature: sig})
	return err
}

// crossCheck verifies a signature before it leaves, unless the policy leaves
// that out: one made wrongly, by a fault, could give the key away.
func (p *policy) crossCheck(o *operation, data, sig []byte) error {
	if p == nil || p.on.Has(command.XCP_CPB_ALG_SKIP_CROSSCHK) || o.key == nil || o.key.class != ck.CKO_PRIVATE_KEY {
		return nil
	}
	if err := o.eng.verify(publicHalf(o.key), o.mech, data, sig); err != nil {
		return fmt.Errorf("a signature does not verify: %v: %w", err, ck.CKR_DEVICE_ERROR)
	}
	return nil
}
