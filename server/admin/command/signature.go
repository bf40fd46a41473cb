package command

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
)

// MaxSigners is the most administrators a domain has.
const MaxSigners = 8

// SKI is a subject key identifier: SHA-256 over the content of the public
// key's BIT STRING.
type SKI [32]byte

func (s SKI) String() string { return fmt.Sprintf("%x", s[:]) }

// SKIOf computes the identifier of a public key.
func SKIOf(pub crypto.PublicKey) (SKI, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return SKI{}, err
	}
	return skiOfSPKI(der)
}

func skiOfSPKI(der []byte) (SKI, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &spki); err != nil || len(rest) != 0 {
		return SKI{}, fmt.Errorf("not a SubjectPublicKeyInfo: %v", err)
	}
	return sha256.Sum256(spki.Key.Bytes), nil
}

// signerInfo is the CMS structure, cut down to what EP11 uses: a version, the
// signer's SKI, the algorithms and the signature over the block.
type signerInfo struct {
	Version   int
	SKI       []byte `asn1:"tag:0"`
	Digest    pkix.AlgorithmIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Signature []byte
}

// Signature is one decoded SignerInfo.
type Signature struct {
	Signer SKI
	info   signerInfo
}

var null = asn1.RawValue{Tag: asn1.TagNull}

// scheme is how a kind of key signs. Ed25519 takes the block itself; RFC 8419
// names SHA-512 as its digest.
type scheme struct {
	hash           crypto.Hash
	digest, signed pkix.AlgorithmIdentifier
	direct         bool
}

var (
	digestSHA256 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: null}
	digestSHA384 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, Parameters: null}
	digestSHA512 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, Parameters: null}
	rsaEncrypted = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: null}

	schemeRSA  = &scheme{crypto.SHA256, digestSHA256, rsaEncrypted, false}
	schemeP256 = &scheme{crypto.SHA256, digestSHA256, ecdsaWith(2), false}
	schemeP384 = &scheme{crypto.SHA384, digestSHA384, ecdsaWith(3), false}
	schemeP521 = &scheme{crypto.SHA512, digestSHA512, ecdsaWith(4), false}
	schemeEd   = &scheme{crypto.SHA512, digestSHA512, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 112}}, true}
)

func ecdsaWith(n int) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n}}
}

// schemeOf finds how a public key signs; false if administrators cannot have such a key.
func schemeOf(pub crypto.PublicKey) (*scheme, bool) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return schemeRSA, true
	case ed25519.PublicKey:
		return schemeEd, true
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return schemeP256, true
		case elliptic.P384():
			return schemeP384, true
		case elliptic.P521():
			return schemeP521, true
		}
	}
	return nil, false
}

// Sign makes the SignerInfo of one signer over a block.
func Sign(rand io.Reader, key crypto.Signer, block []byte) ([]byte, error) {
	s, ok := schemeOf(key.Public())
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign commands", key.Public())
	}
	ski, err := SKIOf(key.Public())
	if err != nil {
		return nil, err
	}
	message, opts := s.message(block)
	signature, err := key.Sign(rand, message, opts)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(signerInfo{3, ski[:], s.digest, s.signed, signature})
}

func (s *scheme) message(block []byte) ([]byte, crypto.SignerOpts) {
	if s.direct {
		return block, crypto.Hash(0)
	}
	h := s.hash.New()
	h.Write(block)
	return h.Sum(nil), s.hash
}

// ParseSignatures splits concatenated SignerInfos. It does not verify them.
func ParseSignatures(der []byte) ([]Signature, error) {
	if len(der) > MaxSignatures {
		return nil, Refuse(XCP_RSC_TOO_MANY_SIGNERINFOS, "%d bytes of signatures", len(der))
	}
	var all []Signature
	for len(der) > 0 {
		if len(all) == MaxSigners {
			return nil, Refuse(XCP_RSC_TOO_MANY_SIGNERINFOS, "more than %d signatures", MaxSigners)
		}
		var s Signature
		rest, err := asn1.Unmarshal(der, &s.info)
		if err != nil || s.info.Version != 3 || !canonical(s.info, der[:len(der)-len(rest)]) {
			return nil, Refuse(XCP_RSC_ASN_FMT_INVALID, "signature %d is not a SignerInfo", len(all)+1)
		}
		if len(s.info.SKI) != len(s.Signer) {
			return nil, Refuse(XCP_RSC_SKI_MALFORMED, "signature %d names its signer in %d bytes", len(all)+1, len(s.info.SKI))
		}
		s.Signer = SKI(s.info.SKI)
		all, der = append(all, s), rest
	}
	return all, nil
}

// canonical tells whether der is how v is encoded: encoding/asn1 skips what
// follows a structure's last known field, and a signed thing must have one form.
func canonical(v any, der []byte) bool {
	again, err := asn1.Marshal(v)
	return err == nil && bytes.Equal(again, der)
}

// Verify checks a signature over a block with the signer's key.
func (s *Signature) Verify(pub crypto.PublicKey, block []byte) bool {
	how, ok := schemeOf(pub)
	if !ok || !how.named(&s.info) {
		return false
	}
	message, _ := how.message(block)
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, how.hash, message, s.info.Signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, message, s.info.Signature)
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, s.info.Signature)
	}
	return false
}

// named tells whether a SignerInfo states the scheme's own algorithms. RSA
// signers may also name sha256WithRSAEncryption, as CMS tools do.
func (s *scheme) named(i *signerInfo) bool {
	signed := i.Algorithm.Algorithm
	return i.Digest.Algorithm.Equal(s.digest.Algorithm) && (signed.Equal(s.signed.Algorithm) ||
		s == schemeRSA && signed.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}))
}
