package grep11client

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"grep11/pkcs11/ck"
)

// Keys of DSA (RFC 3279 §2.3.2) and Diffie-Hellman (PKCS#3): a number beside
// domain parameters.

var (
	oidDSA = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidDH  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}
)

func fieldPKCS8(kt ck.KeyType, t ck.Template) (ck.Secret, error) {
	algorithm, value, err := field(kt, t)
	if err != nil {
		return nil, err
	}
	return privateInfo(algorithm, value), nil
}

func fieldSPKI(kt ck.KeyType, t ck.Template) ([]byte, error) {
	algorithm, value, err := field(kt, t)
	if err != nil {
		return nil, err
	}
	return publicInfo(algorithm, value), nil
}

// field reads domain parameters and the value of either half of a key pair.
func field(kt ck.KeyType, t ck.Template) (pkix.AlgorithmIdentifier, []byte, error) {
	numbers := map[ck.AttributeType]*big.Int{}
	for _, at := range []ck.AttributeType{ck.CKA_PRIME, ck.CKA_SUBPRIME, ck.CKA_BASE, ck.CKA_VALUE} {
		n, err := number(t, at)
		if err != nil {
			return pkix.AlgorithmIdentifier{}, nil, err
		}
		if n.Sign() == 0 && (at != ck.CKA_SUBPRIME || kt == ck.CKK_DSA) {
			return pkix.AlgorithmIdentifier{}, nil, missing(at)
		}
		numbers[at] = n
	}
	p, q, g := numbers[ck.CKA_PRIME], numbers[ck.CKA_SUBPRIME], numbers[ck.CKA_BASE]
	oid, params := oidDH, mustMarshal(struct{ P, G *big.Int }{p, g})
	if kt == ck.CKK_DSA {
		oid, params = oidDSA, mustMarshal(struct{ P, Q, G *big.Int }{p, q, g})
	}
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: params}}, mustMarshal(numbers[ck.CKA_VALUE]), nil
}
