package command

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
)

// ImporterType is the kind of a domain's importer key.
type ImporterType uint32

// GenerateImporter makes an importer key: *rsa.PrivateKey or *ecdh.PrivateKey.
// The Brainpool types are unknown here, as to Go.
func GenerateImporter(rand io.Reader, t ImporterType) (crypto.PrivateKey, error) {
	switch t {
	case XCP_IMPRKEY_RSA_2048:
		return rsa.GenerateKey(rand, 2048)
	case XCP_IMPRKEY_RSA_3072:
		return rsa.GenerateKey(rand, 3072)
	case XCP_IMPRKEY_RSA_4096:
		return rsa.GenerateKey(rand, 4096)
	case XCP_IMPRKEY_EC_P256:
		return ecdh.P256().GenerateKey(rand)
	case XCP_IMPRKEY_EC_P521, XCP_IMPRKEY_EC_P521_TKE:
		return ecdh.P521().GenerateKey(rand)
	}
	return nil, Refuse(XCP_RSC_IMPORTER_INVD_TYPE, "importer type %d", uint32(t))
}

// ImporterPublic gives an importer's public key: *rsa.PublicKey or *ecdh.PublicKey.
func ImporterPublic(key crypto.PrivateKey) crypto.PublicKey {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k.Public()
	case *ecdh.PrivateKey:
		return k.PublicKey()
	}
	return nil
}

// ParseImporter reads the SubjectPublicKeyInfo a unit answers with.
func ParseImporter(spki []byte) (crypto.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("importer key: %w", err)
	}
	return usableImporter(pub)
}

func usableImporter(pub crypto.PublicKey) (crypto.PublicKey, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		p, err := k.ECDH()
		if err != nil {
			return nil, fmt.Errorf("importer key: %w", err)
		}
		return usableImporter(p)
	case *ecdh.PublicKey:
		if k.Curve() == ecdh.P256() || k.Curve() == ecdh.P521() {
			return k, nil
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 4096 {
			return k, nil
		}
	}
	return nil, fmt.Errorf("importer key: unknown type %T", pub)
}
