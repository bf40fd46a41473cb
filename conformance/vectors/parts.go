package vectors

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"

	"grep11/conformance"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// What a C caller hands over: parameters as structures, keys in parts.

// layout writes a parameter as C has it.
func layout(c *conformance.Memory, p mech.Param) []byte {
	at := func(b []byte) uintptr { return c.Bytes(b).Address() }
	length := func(b []byte) uintptr { return uintptr(len(b)) }
	words := func(w ...uintptr) []byte { return c.Words(w...).Bytes() }
	switch p := p.(type) {
	case nil:
		return nil
	case mech.IV:
		return p
	case *mech.GCM:
		return words(at(p.IV), length(p.IV), 8*length(p.IV), at(p.AAD), length(p.AAD), uintptr(p.TagBits))
	case *mech.ChaCha:
		return words(at(p.Nonce), length(p.Nonce), at(p.AAD), length(p.AAD))
	case *mech.PSS:
		return words(uintptr(p.Hash), uintptr(p.MGF), uintptr(p.SaltLen))
	case *mech.OAEP:
		return words(uintptr(p.Hash), uintptr(p.MGF), uintptr(p.Source), at(p.Label), length(p.Label))
	case *mech.ECDH1:
		return words(uintptr(p.KDF), length(p.Shared), at(p.Shared), length(p.Public), at(p.Public))
	case *mech.HKDF:
		out := words(0, uintptr(p.Hash), uintptr(p.SaltType), at(p.Salt), length(p.Salt), 0, at(p.Info), length(p.Info))
		copy(out, bools(p.Extract, p.Expand))
		return out
	case *mech.SignContext:
		return words(uintptr(p.Hedge), at(p.Context), length(p.Context))
	}
	panic(fmt.Sprintf("vectors: no layout for %T", p))
}

func bools(all ...bool) (out []byte) {
	for _, b := range all {
		out = append(out, ck.Bool(0, b).Value...)
	}
	return out
}

const noParts = leftOut("C_CreateObject takes a public key's parts: this SubjectPublicKeyInfo is none that has them")

var oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}

// publicParts is the template of a public key, with what an application finds
// in a SubjectPublicKeyInfo. It judges nothing: that is the module's.
func publicParts(spki []byte) (ck.Template, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) > 0 {
		return nil, noParts
	}
	oid, value := info.Algorithm.Algorithm, info.Key.Bytes
	switch {
	case oid.Equal(oidRSA):
		return rsaParts(value)
	case oid.Equal(oidEC):
		return append(publicKey(ck.CKK_EC, ck.CKA_VERIFY),
			ck.Bytes(ck.CKA_EC_PARAMS, info.Algorithm.Parameters.FullBytes), octets(value)), nil
	case oid.Equal(oidEd25519):
		return append(publicKey(ck.CKK_EC_EDWARDS, ck.CKA_VERIFY), ck.Bytes(ck.CKA_EC_PARAMS, mustMarshal(oid)), octets(value)), nil
	}
	for _, set := range mech.ParameterSets() {
		if set.ID != 0 && bytes.Equal(set.OID, mustMarshal(oid)) {
			right := ck.CKA_VERIFY
			if set.Key == ck.CKK_ML_KEM {
				right = ck.CKA_ENCAPSULATE
			}
			return append(publicKey(set.Key, right), ck.Ulong(ck.CKA_PARAMETER_SET, set.ID), ck.Bytes(ck.CKA_VALUE, value)), nil
		}
	}
	return nil, noParts
}

func publicKey(kt ck.KeyType, rights ...ck.AttributeType) ck.Template {
	t := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kt)}
	for _, r := range rights {
		t = append(t, ck.Bool(r, true))
	}
	return t
}

func rsaParts(pkcs1 []byte) (ck.Template, error) {
	var k struct{ N, E *big.Int }
	if rest, err := asn1.Unmarshal(pkcs1, &k); err != nil || len(rest) > 0 {
		return nil, noParts
	}
	return append(publicKey(ck.CKK_RSA, ck.CKA_VERIFY, ck.CKA_ENCRYPT),
		ck.Bytes(ck.CKA_MODULUS, k.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, k.E.Bytes())), nil
}

// octets is CKA_EC_POINT: a point in an OCTET STRING.
func octets(point []byte) ck.Attribute { return ck.Bytes(ck.CKA_EC_POINT, mustMarshal(point)) }

func mustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic("vectors: " + err.Error())
	}
	return der
}
