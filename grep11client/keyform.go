package grep11client

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"

	"grep11/pkcs11/ck"
)

// Key components of the standard as PKCS#8 and SubjectPublicKeyInfo, in which
// GREP11 takes keys.

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	// namedCurves are the PrintableString forms of CKA_EC_PARAMS (PKCS#11 v3.0 §2.3.7).
	namedCurves = map[string]asn1.ObjectIdentifier{
		"edwards25519": {1, 3, 101, 112}, "edwards448": {1, 3, 101, 113},
		"curve25519": {1, 3, 101, 110}, "curve448": {1, 3, 101, 111},
	}
	// orderLen is how long private values of a curve are, in bytes.
	orderLen = map[string]int{
		"1.3.132.0.33": 28, "1.2.840.10045.3.1.7": 32, "1.3.132.0.34": 48, "1.3.132.0.35": 66, "1.3.132.0.10": 32,
		"1.3.36.3.3.2.8.1.1.7": 32, "1.3.36.3.3.2.8.1.1.11": 48, "1.3.36.3.3.2.8.1.1.13": 64,
		"1.3.101.112": 32, "1.3.101.113": 57, "1.3.101.110": 32, "1.3.101.111": 56,
	}
)

type privateKeyInfo struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

type publicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

type ecPrivateKey struct {
	Version int
	Key     []byte
}

type rsaPrivateKey struct {
	Version               int
	N, E, D, P, Q, DP, DQ *big.Int
	QInv                  *big.Int
}

func pkcs8(kt ck.KeyType, t ck.Template) (ck.Secret, error) {
	switch kt {
	case ck.CKK_RSA:
		return rsaPKCS8(t)
	case ck.CKK_EC:
		return ecPKCS8(t)
	case ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY:
		return edwardsPKCS8(t)
	case ck.CKK_DSA, ck.CKK_DH:
		return fieldPKCS8(kt, t)
	case ck.CKK_ML_KEM, ck.CKK_ML_DSA, ck.CKK_SLH_DSA, ck.CKK_IBM_PQC_KYBER, ck.CKK_IBM_PQC_DILITHIUM:
		return pqcPKCS8(kt, t)
	}
	return nil, fmt.Errorf("import of a private %v: %w", kt, ck.CKR_KEY_TYPE_INCONSISTENT)
}

func spki(kt ck.KeyType, t ck.Template) ([]byte, error) {
	switch kt {
	case ck.CKK_RSA:
		n, e, err := rsaPublic(t)
		if err != nil {
			return nil, err
		}
		return publicInfo(rsaAlgorithm(), mustMarshal(struct{ N, E *big.Int }{n, e})), nil
	case ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY:
		return ecSPKI(kt, t)
	case ck.CKK_DSA, ck.CKK_DH:
		return fieldSPKI(kt, t)
	case ck.CKK_ML_KEM, ck.CKK_ML_DSA, ck.CKK_SLH_DSA, ck.CKK_IBM_PQC_KYBER, ck.CKK_IBM_PQC_DILITHIUM:
		return pqcSPKI(kt, t)
	}
	return nil, fmt.Errorf("import of a public %v: %w", kt, ck.CKR_KEY_TYPE_INCONSISTENT)
}

func rsaAlgorithm() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
}

// mustMarshal is for structures that always have a DER form.
func mustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic("grep11client: " + err.Error())
	}
	return der
}

func privateInfo(a pkix.AlgorithmIdentifier, key []byte) []byte {
	return mustMarshal(privateKeyInfo{0, a, key})
}

func publicInfo(a pkix.AlgorithmIdentifier, key []byte) []byte {
	return mustMarshal(publicKeyInfo{a, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
}

func missing(t ck.AttributeType) error {
	return fmt.Errorf("%v: %w", t, ck.CKR_TEMPLATE_INCOMPLETE)
}

func wrong(t ck.AttributeType, what string) error {
	return fmt.Errorf("%v: %s: %w", t, what, ck.CKR_ATTRIBUTE_VALUE_INVALID)
}

// curve reads CKA_EC_PARAMS: the OID, and its DER as it goes into an
// AlgorithmIdentifier.
func curve(t ck.Template) (asn1.ObjectIdentifier, asn1.RawValue, error) {
	params := t.Bytes(ck.CKA_EC_PARAMS)
	if len(params) == 0 {
		return nil, asn1.RawValue{}, missing(ck.CKA_EC_PARAMS)
	}
	var raw asn1.RawValue
	if rest, err := asn1.Unmarshal(params, &raw); err != nil || len(rest) > 0 {
		return nil, asn1.RawValue{}, wrong(ck.CKA_EC_PARAMS, "not DER")
	}
	var oid asn1.ObjectIdentifier
	if raw.Tag == asn1.TagPrintableString {
		oid = namedCurves[string(raw.Bytes)]
	} else if _, err := asn1.Unmarshal(params, &oid); err != nil {
		oid = nil
	}
	if oid == nil {
		return nil, asn1.RawValue{}, fmt.Errorf("CKA_EC_PARAMS is no named curve: %w", ck.CKR_CURVE_NOT_SUPPORTED)
	}
	return oid, asn1.RawValue{FullBytes: mustMarshal(oid)}, nil
}

func ecPKCS8(t ck.Template) (ck.Secret, error) {
	oid, params, err := curve(t)
	if err != nil {
		return nil, err
	}
	value := t.Bytes(ck.CKA_VALUE)
	if len(value) == 0 {
		return nil, missing(ck.CKA_VALUE)
	}
	if n := orderLen[oid.String()]; n > 0 {
		d := new(big.Int).SetBytes(value)
		if d.BitLen() > 8*n {
			return nil, wrong(ck.CKA_VALUE, "longer than the curve's order")
		}
		value = d.FillBytes(make([]byte, n))
	}
	return privateInfo(pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: params}, mustMarshal(ecPrivateKey{1, value})), nil
}

// edwardsPKCS8 is RFC 8410's form. Some callers put the public key behind the seed.
func edwardsPKCS8(t ck.Template) (ck.Secret, error) {
	oid, _, err := curve(t)
	if err != nil {
		return nil, err
	}
	value, n := t.Bytes(ck.CKA_VALUE), orderLen[oid.String()]
	if len(value) == 0 {
		return nil, missing(ck.CKA_VALUE)
	}
	if n == 0 || len(value) != n && len(value) != 2*n {
		return nil, wrong(ck.CKA_VALUE, "not as long as the curve's private keys")
	}
	return privateInfo(pkix.AlgorithmIdentifier{Algorithm: oid}, mustMarshal(value[:n])), nil
}

func ecSPKI(kt ck.KeyType, t ck.Template) ([]byte, error) {
	oid, params, err := curve(t)
	if err != nil {
		return nil, err
	}
	point, n := t.Bytes(ck.CKA_EC_POINT), orderLen[oid.String()]
	if len(point) == 0 {
		return nil, missing(ck.CKA_EC_POINT)
	}
	if kt == ck.CKK_EC {
		return publicInfo(pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: params}, bareString(point, 1+2*n)), nil
	}
	return publicInfo(pkix.AlgorithmIdentifier{Algorithm: oid}, bareString(point, n)), nil
}

// bareString takes a point out of its OCTET or BIT STRING; one of the bare
// point's length is bare already.
func bareString(point []byte, bareLen int) []byte {
	if len(point) == bareLen {
		return point
	}
	var octets []byte
	if rest, err := asn1.Unmarshal(point, &octets); err == nil && len(rest) == 0 {
		return octets
	}
	var bits asn1.BitString
	if rest, err := asn1.Unmarshal(point, &bits); err == nil && len(rest) == 0 && bits.BitLength%8 == 0 {
		return bits.Bytes
	}
	return point
}
