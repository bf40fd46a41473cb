package grep11client

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Post-quantum keys in the forms of RFC 9881, 9909 and 9935. The vendor's have
// the same under their own OIDs.

// parameterSet finds the set that a template names, and its AlgorithmIdentifier.
func parameterSet(kt ck.KeyType, t ck.Template) (*mech.ParameterSet, pkix.AlgorithmIdentifier, error) {
	var a pkix.AlgorithmIdentifier
	set := mech.SetOf(kt, t)
	if set == nil {
		return nil, a, fmt.Errorf("parameter set of a %v: %w", kt, ck.CKR_PARAMETER_SET_NOT_SUPPORTED)
	}
	if _, err := asn1.Unmarshal(set.OID, &a.Algorithm); err != nil {
		panic("grep11client: " + err.Error()) // mech's table has DER
	}
	return set, a, nil
}

// part reads a part of a key, absent or of the right length.
func part(t ck.Template, at ck.AttributeType, want int) ([]byte, error) {
	v := t.Bytes(at)
	if len(v) != 0 && len(v) != want {
		return nil, wrong(at, fmt.Sprintf("%d bytes instead of %d", len(v), want))
	}
	return v, nil
}

// pqcPKCS8 takes CKA_SEED, CKA_VALUE or both.
func pqcPKCS8(kt ck.KeyType, t ck.Template) (ck.Secret, error) {
	set, a, err := parameterSet(kt, t)
	if err != nil {
		return nil, err
	}
	seed, err := part(t, ck.CKA_SEED, set.LenSeed)
	if err != nil {
		return nil, err
	}
	value, err := part(t, ck.CKA_VALUE, set.LenPrivate)
	if err != nil {
		return nil, err
	}
	switch {
	case len(seed) == 0 && len(value) == 0:
		return nil, missing(ck.CKA_VALUE)
	case set.LenSeed == 0:
		return privateInfo(a, value), nil
	case len(value) == 0:
		return privateInfo(a, mustMarshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: seed})), nil
	case len(seed) == 0:
		return privateInfo(a, mustMarshal(value)), nil
	}
	return privateInfo(a, mustMarshal(struct{ Seed, Expanded []byte }{seed, value})), nil
}

func pqcSPKI(kt ck.KeyType, t ck.Template) ([]byte, error) {
	set, a, err := parameterSet(kt, t)
	if err != nil {
		return nil, err
	}
	value, err := part(t, ck.CKA_VALUE, set.LenPublic)
	if err == nil && len(value) == 0 {
		err = missing(ck.CKA_VALUE)
	}
	if err != nil {
		return nil, err
	}
	return publicInfo(a, value), nil
}
