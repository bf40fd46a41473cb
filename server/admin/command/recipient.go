package command

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"

	"grep11/pkcs11/ck"
)

// keyTransport is the RecipientInfo under an RSA importer: the part is
// encrypted with PKCS#1 v1.5.
type keyTransport struct {
	Version   int
	SKI       []byte `asn1:"tag:0"`
	Algorithm pkix.AlgorithmIdentifier
	Encrypted []byte
}

// keyAgreement is the RecipientInfo under an EC importer, KeyAgreeRecipientInfo
// of CMS as RFC 5753 §3.1 fills it: an ephemeral originator key, one-pass
// ECDH, X9.63 KDF with the wrap's algorithm and length as shared info, AES-256
// key wrap of the part.
type keyAgreement struct {
	Version    int
	Originator asn1.RawValue // [0] EXPLICIT of [1] originatorKey
	UKM        []byte        `asn1:"explicit,tag:1,optional,omitempty"`
	Algorithm  agreementAlgorithm
	Keys       []recipientKey
}

// An originatorKey's parameters are absent or NULL: the curve is the importer's.
type originatorKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Point     asn1.BitString
}

type agreementAlgorithm struct {
	Algorithm asn1.ObjectIdentifier
	Wrap      pkix.AlgorithmIdentifier
}

type recipientKey struct {
	ID        recipientID `asn1:"tag:0"`
	Encrypted []byte
}

type recipientID struct{ SKI []byte }

// sharedInfo is ECC-CMS-SharedInfo, RFC 5753 §7.2.
type sharedInfo struct {
	KeyInfo     pkix.AlgorithmIdentifier
	EntityUInfo []byte `asn1:"explicit,tag:0,optional,omitempty"`
	SuppPubInfo []byte `asn1:"explicit,tag:2"`
}

var (
	ecPublicKey = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}}
	aes256Wrap  = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 45}}
	// dhSinglePass-stdDH-sha256kdf-scheme and its like, SEC 1 appendix C.
	agreements = map[int]crypto.Hash{1: crypto.SHA256, 2: crypto.SHA384, 3: crypto.SHA512}
)

func agreementWith(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 1, 11, n} }

// EncryptPart encrypts a key part to an importer key. The part is LenKey
// bytes, or twice that with the pattern of the whole key after it.
func EncryptPart(importer crypto.PublicKey, part ck.Secret) ([]byte, error) {
	ski, err := SKIOf(importer)
	if err != nil {
		return nil, err
	}
	if pub, ok := importer.(*rsa.PublicKey); ok {
		//lint:ignore SA1019 PKCS#1 v1.5 is the form EP11 prescribes for RSA importers
		encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, pub, part)
		if err != nil {
			return nil, err
		}
		return asn1.Marshal(keyTransport{2, ski[:], rsaEncrypted, encrypted})
	}
	return agreePart(importer.(*ecdh.PublicKey), ski, part)
}

func agreePart(importer *ecdh.PublicKey, ski SKI, part ck.Secret) ([]byte, error) {
	ephemeral, err := importer.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	n := 1
	if importer.Curve() == ecdh.P521() {
		n = 3
	}
	kek, err := agree(ephemeral, importer, agreements[n], aes256Wrap, nil)
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	wrapped, err := wrapKey(kek, part)
	if err != nil {
		return nil, err
	}
	from, err := originator(ephemeral.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	return asn1.MarshalWithParams(keyAgreement{
		Version:    3,
		Originator: from,
		Algorithm:  agreementAlgorithm{agreementWith(n), aes256Wrap},
		Keys:       []recipientKey{{recipientID{ski[:]}, wrapped}},
	}, "tag:1")
}

// originator encodes an ephemeral public key's point.
func originator(point []byte) (v asn1.RawValue, err error) {
	v = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true}
	v.Bytes, err = asn1.MarshalWithParams(originatorKey{ecPublicKey, asn1.BitString{Bytes: point, BitLength: 8 * len(point)}}, "tag:1")
	return v, err
}

// point decodes what originator made.
func (r *keyAgreement) point() ([]byte, bool) {
	var key originatorKey
	v := r.Originator
	if v.Class != asn1.ClassContextSpecific || v.Tag != 0 || !v.IsCompound {
		return nil, false
	}
	rest, err := asn1.UnmarshalWithParams(v.Bytes, &key, "tag:1")
	return key.Point.RightAlign(), err == nil && len(rest) == 0
}

// agree gives the 32-byte key-encryption key of RFC 5753.
func agree(own *ecdh.PrivateKey, peer *ecdh.PublicKey, h crypto.Hash, wrap pkix.AlgorithmIdentifier, ukm []byte) ([]byte, error) {
	secret, err := own.ECDH(peer)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	info, err := asn1.Marshal(sharedInfo{wrap, ukm, u32(8 * LenKey)})
	if err != nil {
		return nil, err
	}
	return kdfX963(h, secret, info, LenKey), nil
}

// DecryptPart opens what EncryptPart made: the part, and the pattern of the
// whole key if the part carries one. Only signed requests get here, so
// the padding errors of RSA tell strangers nothing.
func DecryptPart(importer crypto.PrivateKey, der []byte) (part ck.Secret, pattern []byte, err error) {
	var plain []byte
	switch k := importer.(type) {
	case *rsa.PrivateKey:
		plain, err = transported(k, der)
	case *ecdh.PrivateKey:
		plain, err = agreed(k, der)
	default:
		err = Refuse(XCP_RSC_NO_IMPORTER, "no importer key")
	}
	if err != nil {
		return nil, nil, err
	}
	if len(plain) != LenKey && len(plain) != 2*LenKey {
		n := len(plain)
		clear(plain)
		return nil, nil, Refuse(XCP_RSC_RCPTINFO_KEY_SIZE, "%d bytes", n)
	}
	return ck.Secret(plain[:LenKey:LenKey]), plain[LenKey:], nil
}

func transported(key *rsa.PrivateKey, der []byte) ([]byte, error) {
	var r keyTransport
	rest, err := asn1.Unmarshal(der, &r)
	if err != nil || len(rest) != 0 || r.Version != 2 || !r.Algorithm.Algorithm.Equal(rsaEncrypted.Algorithm) {
		return nil, Refuse(XCP_RSC_RCPTINFO_FMT, "not a key transport RecipientInfo")
	}
	if err := addressed(key.Public(), r.SKI); err != nil {
		return nil, err
	}
	if len(r.Encrypted) != key.Size() {
		return nil, Refuse(XCP_RSC_RCPTINFO_ENCRD_SIZE, "%d bytes under an RSA key of %d", len(r.Encrypted), key.Size())
	}
	//lint:ignore SA1019 PKCS#1 v1.5 is the form EP11 prescribes for RSA importers
	plain, err := rsa.DecryptPKCS1v15(nil, key, r.Encrypted)
	if err != nil {
		return nil, Refuse(XCP_RSC_RCPTINFO_KEY_SIZE, "RSA decryption failed")
	}
	return plain, nil
}

func agreed(key *ecdh.PrivateKey, der []byte) ([]byte, error) {
	var r keyAgreement
	rest, err := asn1.UnmarshalWithParams(der, &r, "tag:1")
	point, ok := r.point()
	if err != nil || !ok || len(rest) != 0 || r.Version != 3 || len(r.Keys) != 1 {
		return nil, Refuse(XCP_RSC_RCPTINFO_FMT, "not a key agreement RecipientInfo")
	}
	if err := addressed(key.PublicKey(), r.Keys[0].ID.SKI); err != nil {
		return nil, err
	}
	h, err := r.Algorithm.hash()
	if err != nil {
		return nil, err
	}
	peer, err := key.Curve().NewPublicKey(point)
	if err != nil {
		return nil, Refuse(XCP_RSC_RCPTINFO_ECDH_SRC, "originator key: %v", err)
	}
	kek, err := agree(key, peer, h, r.Algorithm.Wrap, r.UKM)
	if err != nil {
		return nil, Refuse(XCP_RSC_RCPTINFO_ECDH_SRC, "key agreement: %v", err)
	}
	defer clear(kek)
	plain, err := unwrapKey(kek, r.Keys[0].Encrypted)
	if err != nil {
		return nil, Refuse(XCP_RSC_RCPTINFO_ENCRD_SIZE, "%v", err)
	}
	return plain, nil
}

func (a *agreementAlgorithm) hash() (crypto.Hash, error) {
	for n, h := range agreements {
		if a.Algorithm.Equal(agreementWith(n)) && a.Wrap.Algorithm.Equal(aes256Wrap.Algorithm) {
			return h, nil
		}
	}
	return 0, Refuse(XCP_RSC_RCPTINFO_KDF, "key agreement %v with wrap %v", a.Algorithm, a.Wrap.Algorithm)
}

// addressed checks that a part is for this importer and no earlier one.
func addressed(importer crypto.PublicKey, ski []byte) error {
	want, err := SKIOf(importer)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want[:], ski) != 1 {
		return Refuse(XCP_RSC_NO_IMPORTER, "the part is for importer %x, the unit has %v", ski, want)
	}
	return nil
}
