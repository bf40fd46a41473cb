package admin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"

	"grep11/server/admin/command"
)

// maxCertificate is EP11's bound in bytes.
const maxCertificate = 12288

// administrator is a key that signs commands, known by its certificate.
type administrator struct {
	ski  command.SKI
	key  crypto.PublicKey
	cert []byte
	keyFacts
}

// keyFacts are what attributes restrict: bits of indexes 7 and 8, and the
// strength in bits (NIST SP 800-57 part 1, table 2).
type keyFacts struct{ kind, family, strength uint32 }

func parseAdministrator(der []byte) (a administrator, err error) {
	if len(der) == 0 || len(der) > maxCertificate {
		return a, command.Refuse(command.XCP_RSC_CERT_FMT, "%d bytes", len(der))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return a, command.Refuse(command.XCP_RSC_CERT_FMT, "%v", err)
	}
	var ok bool
	if a.keyFacts, ok = factsOf(cert.PublicKey); !ok {
		return a, command.Refuse(command.XCP_RSC_CERT_TYPE_INVALID, "%T", cert.PublicKey)
	}
	a.key, a.cert = cert.PublicKey, der
	a.ski, err = command.SKIOf(cert.PublicKey)
	return a, err
}

func factsOf(pub crypto.PublicKey) (keyFacts, bool) {
	const ecc = command.XCP_ADMK_KTYPE_ECC
	switch k := pub.(type) {
	case *rsa.PublicKey:
		for _, s := range []struct {
			bits     int
			strength uint32
		}{{15360, 256}, {7680, 192}, {3072, 128}, {2048, 112}} {
			if n := k.N.BitLen(); n >= s.bits && n <= 16384 {
				return keyFacts{command.XCP_ADMK_KTYPE_RSA, 0, s.strength}, true
			}
		}
	case ed25519.PublicKey:
		return keyFacts{ecc, command.XCP_ADME_KTYPE_ECC_ED, 128}, true
	case *ecdsa.PublicKey:
		strength := map[elliptic.Curve]uint32{elliptic.P256(): 128, elliptic.P384(): 192, elliptic.P521(): 256}[k.Curve]
		return keyFacts{ecc, command.XCP_ADME_KTYPE_ECC_NIST, strength}, strength != 0
	}
	return keyFacts{}, false
}

func (s *state) find(ski command.SKI) int {
	for i := range s.admins {
		if s.admins[i].ski == ski {
			return i
		}
	}
	return -1
}

func (s *state) skis() []byte {
	var out []byte
	for i := range s.admins {
		out = append(out, s.admins[i].ski[:]...)
	}
	return out
}

func addAdministrator(x *transition) ([]byte, error) {
	a, err := parseAdministrator(x.payload)
	if err != nil {
		return nil, err
	}
	if x.find(a.ski) >= 0 {
		return nil, command.Refuse(command.XCP_RSC_SKI_FOUND, "%v", a.ski)
	}
	if len(x.admins) == command.MaxSigners {
		return nil, command.Refuse(command.XCP_RSC_ADMINLIST_FULL, "%d administrators", len(x.admins))
	}
	if err := permits(x.attributes, &a); err != nil {
		return nil, err
	}
	x.admins = append(x.admins, a)
	return x.skis(), nil
}

func removeAdministrator(x *transition) ([]byte, error) {
	i, err := x.named(x.payload)
	if err != nil {
		return nil, err
	}
	left := uint32(len(x.admins) - 1)
	thresholds := max(x.attributes[command.XCP_ADMINT_SIGN_THR], x.attributes[command.XCP_ADMINT_REVOKE_THR])
	switch {
	case x.imprint():
	case left == 0:
		return nil, command.Refuse(command.XCP_RSC_LOGOUT_LAST_ADMIN, "")
	case left == 1 && !x.has(command.XCP_ADMP_1SIGN):
		return nil, command.Refuse(command.XCP_RSC_LOGOUT_NO_SINGLE_SIGN, "")
	case left < thresholds:
		return nil, command.Refuse(command.XCP_RSC_LOGOUT_BELOW_THRESHOLD, "%d left, threshold %d", left, thresholds)
	}
	x.admins = append(x.admins[:i], x.admins[i+1:]...)
	return x.skis(), nil
}

// replaceAdministrator takes the SKI of the one who goes and the certificate of
// the one who comes, in one step that no threshold stands in the way of.
func replaceAdministrator(x *transition) ([]byte, error) {
	if len(x.payload) < len(command.SKI{}) {
		return nil, command.Refuse(command.XCP_RSC_SKI_MALFORMED, "%d bytes", len(x.payload))
	}
	i, err := x.named(x.payload[:len(command.SKI{})])
	if err != nil {
		return nil, err
	}
	a, err := parseAdministrator(x.payload[len(command.SKI{}):])
	if err != nil {
		return nil, err
	}
	if x.find(a.ski) >= 0 {
		return nil, command.Refuse(command.XCP_RSC_SKI_FOUND, "%v", a.ski)
	}
	if err := permits(x.attributes, &a); err != nil {
		return nil, err
	}
	x.admins[i] = a
	return x.skis(), nil
}

// named finds the administrator a payload names.
func (s *state) named(ski []byte) (int, error) {
	if len(ski) != len(command.SKI{}) {
		return 0, command.Refuse(command.XCP_RSC_SKI_MALFORMED, "%d bytes", len(ski))
	}
	i := s.find(command.SKI(ski))
	if i < 0 {
		return 0, command.Refuse(command.XCP_RSC_SKI_NOT_FOUND, "%x", ski)
	}
	return i, nil
}

func (a *administrator) signed(sig *command.Signature, block []byte) bool {
	return sig.Verify(a.key, block)
}
