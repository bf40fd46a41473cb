package local

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Made says how a key came to be.
type Made struct {
	Mechanism ck.MechanismType
	Class     ck.ObjectClass
	Generated bool   // in the unit, rather than brought there
	Public    []byte // blob of the public key; a pair's for both halves
}

// Complete adds to a key's attributes what follows from how it was made, and
// its public components. Services should say all this themselves, but the
// protocol does not make them.
func Complete(t ck.Template, m Made) ck.Template {
	if t.Has(ck.CKA_CLASS) && t.Has(ck.CKA_KEY_TYPE) && t.Has(ck.CKA_LOCAL) {
		return t
	}
	return m.facts(t).With(m.components()).With(t)
}

func (m Made) facts(t ck.Template) ck.Template {
	out := ck.Template{ck.Ulong(ck.CKA_CLASS, m.Class), ck.Bool(ck.CKA_LOCAL, m.Generated)}
	if kt, ok := m.keyType(); ok {
		out = append(out, ck.Ulong(ck.CKA_KEY_TYPE, kt))
	}
	origin := uint64(ck.CK_UNAVAILABLE_INFORMATION)
	if m.Generated {
		origin = uint64(m.Mechanism)
	}
	out = append(out, ck.Ulong(ck.CKA_KEY_GEN_MECHANISM, origin))
	if m.Class == ck.CKO_PUBLIC_KEY {
		return out
	}
	extractable, _ := t.Bool(ck.CKA_EXTRACTABLE, false)
	sensitive, _ := t.Bool(ck.CKA_SENSITIVE, true)
	return append(out, ck.Bool(ck.CKA_EXTRACTABLE, extractable), ck.Bool(ck.CKA_SENSITIVE, sensitive),
		ck.Bool(ck.CKA_NEVER_EXTRACTABLE, m.Generated && !extractable), ck.Bool(ck.CKA_ALWAYS_SENSITIVE, m.Generated && sensitive))
}

func (m Made) keyType() (ck.KeyType, bool) {
	if row, err := mech.Lookup(m.Mechanism); err == nil && m.Generated && len(row.Keys) == 1 {
		return row.Keys[0], true
	}
	return mech.KeyTypeOf(m.Public)
}

// ClassOf is the class of an unwrapped key whose template does not say
// (grep11-wire 8.3).
func ClassOf(t ck.Template) ck.ObjectClass {
	if c, ok, err := t.Ulong(ck.CKA_CLASS); ok && err == nil {
		return ck.ObjectClass(c)
	}
	kt, ok, _ := t.Ulong(ck.CKA_KEY_TYPE)
	switch ck.KeyType(kt) {
	case ck.CKK_RSA, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY, ck.CKK_DSA, ck.CKK_DH,
		ck.CKK_ML_KEM, ck.CKK_ML_DSA, ck.CKK_SLH_DSA, ck.CKK_IBM_PQC_KYBER, ck.CKK_IBM_PQC_DILITHIUM:
		if ok {
			return ck.CKO_PRIVATE_KEY
		}
	}
	return ck.CKO_SECRET_KEY
}

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// components reads the SubjectPublicKeyInfo that a public blob starts with.
func (m Made) components() ck.Template {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(m.Public, &info); err != nil {
		return nil
	}
	switch {
	case info.Algorithm.Algorithm.Equal(oidRSA):
		var k struct{ N, E *big.Int }
		if _, err := asn1.Unmarshal(info.Key.Bytes, &k); err != nil || k.N.Sign() <= 0 || k.E.Sign() <= 0 {
			return nil
		}
		return ck.Template{ck.Bytes(ck.CKA_MODULUS, k.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, k.E.Bytes()),
			ck.Ulong(ck.CKA_MODULUS_BITS, k.N.BitLen())}
	case info.Algorithm.Algorithm.Equal(oidEC):
		point := info.Key.Bytes
		if len(point) > 0 && point[0] == 4 && len(point)%2 == 1 { // Edwards points are bare
			point, _ = asn1.Marshal(point)
		}
		return ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, info.Algorithm.Parameters.FullBytes), ck.Bytes(ck.CKA_EC_POINT, point)}
	}
	oid, err := asn1.Marshal(info.Algorithm.Algorithm)
	if err != nil {
		return nil
	}
	return m.pqc(mech.SetByOID(oid), info.Key.Bytes)
}

// pqc are the components of a post-quantum key; the public value is the public
// half's alone.
func (m Made) pqc(set *mech.ParameterSet, public []byte) ck.Template {
	if set == nil {
		return nil
	}
	t := ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, set.ID)}
	if set.ID == 0 {
		t[0] = ck.Bytes(ck.CKA_IBM_PQC_PARAMS, set.OID)
	}
	if m.Class == ck.CKO_PUBLIC_KEY {
		t = append(t, ck.Bytes(ck.CKA_VALUE, public))
	}
	return t
}
