package public

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// unsigned is id-alg-unsigned of RFC 9925: the certificate carries a key, and
// claims nothing that a signature would have to prove.
var unsigned = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 6, 36}}

// The certificate's times are those that RFC 5280 §4.1.2.5 has for "always".
var (
	always = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	never  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

type certificate struct {
	TBS       tbsCertificate
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type tbsCertificate struct {
	Serial    *big.Int // version 1: there are no extensions
	Algorithm pkix.AlgorithmIdentifier
	Issuer    asn1.RawValue
	Validity  struct{ From, To time.Time }
	Subject   asn1.RawValue
	Key       asn1.RawValue
}

// Unsigned makes an X.509 certificate without a signature out of a DER
// SubjectPublicKeyInfo and a DER Name. The same input gives the same bytes.
// serial is the certificate's serial number in DER.
func Unsigned(info, subject []byte) (der, serial []byte, err error) {
	sum := sha1.Sum(info)
	sum[0] = sum[0]&0x7f | 0x40 // positive, and 20 bytes long
	tbs := tbsCertificate{
		Serial: new(big.Int).SetBytes(sum[:]), Algorithm: unsigned,
		Issuer: asn1.RawValue{FullBytes: subject}, Subject: asn1.RawValue{FullBytes: subject},
		Key: asn1.RawValue{FullBytes: info},
	}
	tbs.Validity.From, tbs.Validity.To = always, never
	if der, err = asn1.Marshal(certificate{TBS: tbs, Algorithm: unsigned}); err != nil {
		return nil, nil, err
	}
	serial, err = asn1.Marshal(tbs.Serial)
	return der, serial, err
}

// Name is the DER Name CN=text.
func Name(text string) ([]byte, error) {
	return asn1.Marshal(pkix.Name{CommonName: text}.ToRDNSequence())
}
