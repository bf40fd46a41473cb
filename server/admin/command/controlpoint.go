package command

import (
	"encoding/hex"
	"fmt"
)

// ControlPoint is one switch of a domain's policy.
type ControlPoint uint32

func (p ControlPoint) String() string {
	if name, ok := pointNames[p]; ok {
		return name
	}
	return fmt.Sprintf("%d", uint32(p))
}

// ControlPoints is a set: point n is in byte n/8, mask 0x80 >> n%8.
type ControlPoints [XCP_CP_BYTES]byte

// Has tells whether a point is on.
func (s ControlPoints) Has(p ControlPoint) bool {
	return p < XCP_CPBLOCK_BITS && s[p/8]&(0x80>>(p%8)) != 0
}

func (s *ControlPoints) add(points ...ControlPoint) {
	for _, p := range points {
		s[p/8] |= 0x80 >> (p % 8)
	}
}

func (s ControlPoints) each(f func(a, b byte) byte, t ControlPoints) ControlPoints {
	for i := range s {
		s[i] = f(s[i], t[i])
	}
	return s
}

// Union, Minus are the sets' own.
func (s ControlPoints) Union(t ControlPoints) ControlPoints {
	return s.each(func(a, b byte) byte { return a | b }, t)
}
func (s ControlPoints) Minus(t ControlPoints) ControlPoints {
	return s.each(func(a, b byte) byte { return a &^ b }, t)
}

// Empty tells whether no point is on.
func (s ControlPoints) Empty() bool { return s == ControlPoints{} }

func (s ControlPoints) String() string { return hex.EncodeToString(s[:]) }

// Points lists those that are on, in their order.
func (s ControlPoints) Points() []ControlPoint {
	var all []ControlPoint
	for p := ControlPoint(0); p < XCP_CPBLOCK_BITS; p++ {
		if s.Has(p) {
			all = append(all, p)
		}
	}
	return all
}

// SetOf makes a set.
func SetOf(points ...ControlPoint) (s ControlPoints) {
	s.add(points...)
	return s
}

// ParseControlPoints expects 16 bytes with known points only.
func ParseControlPoints(b []byte) (s ControlPoints, err error) {
	if len(b) != len(s) {
		return s, Refuse(XCP_RSC_CPS_FMT, "%d bytes", len(b))
	}
	copy(s[:], b)
	if unknown := s.Minus(known); !unknown.Empty() {
		return s, Refuse(XCP_RSC_CP_SET_INVALID, "%v", unknown.Points())
	}
	return s, nil
}

// Profiles are ready policies. Under "compatible", the policy of a new unit,
// IBM's public GREP11 clients and old PKCS#11 applications work unchanged.
// "strict" has no single DES and nothing else under 112 bits, no SHA-1
// signatures, no keys that both wrap and decrypt, no PKCS#1 v1.5 decryption.
var Profiles = map[string]ControlPoints{
	"compatible": known.Minus(NotSupported),
	"strict":     known.Minus(NotSupported).Minus(lax),
}

// ProfileOf names the profile a set is, if it is one.
func ProfileOf(s ControlPoints) string {
	for name, p := range Profiles {
		if p == s {
			return name
		}
	}
	return "custom"
}

var (
	known = func() (s ControlPoints) {
		for p := range pointNames {
			s.add(p)
		}
		return s
	}()
	// NotSupported is the point for what these units do not do: protected keys of
	// a mainframe's CPU.
	NotSupported = SetOf(XCP_CPB_CPACF_PK)
	// lax is what "strict" lacks: SHA-1 signatures (outside FIPS 2011), PKCS#1 v1.5
	// decryption (outside FIPS 2024), weak keys, raw RSA, and shortcuts.
	lax = SetOf(
		XCP_CPB_ALG_NFIPS2009, XCP_CPB_ALG_NBSI2009, XCP_CPB_ALG_NFIPS2011, XCP_CPB_ALG_NBSI2011, XCP_CPB_ALG_NFIPS2024,
		XCP_CPB_KEYSZ_HMAC_ANY, XCP_CPB_KEYSZ_BELOW80BIT, XCP_CPB_KEYSZ_80BIT, XCP_CPB_KEYSZ_RSA65536, XCP_CPB_ALG_RAW_RSA,
		XCP_CPB_WRAP_CRYPT_KEYS, XCP_CPB_SKIP_KEYTESTS, XCP_CPB_ALG_SKIP_CROSSCHK, XCP_CPB_RNG_SEED,
		XCP_CPB_USER_SET_TRUSTED, XCP_CPB_ALLOW_PASSPHRASE, XCP_CPB_ALLOW_LOGIN_PRE_F2021)
)

// Needs says which point another one depends on.
var Needs = map[ControlPoint]ControlPoint{
	XCP_CPB_ALG_EC_BPOOLCRV: XCP_CPB_ALG_EC, XCP_CPB_ALG_EC_NISTCRV: XCP_CPB_ALG_EC,
	XCP_CPB_ALG_EC_SECGCRV: XCP_CPB_ALG_EC, XCP_CPB_ALG_EC_25519: XCP_CPB_ALG_EC,
	XCP_CPB_ALG_EC_PAIRING_FRIENDLY: XCP_CPB_ALG_EC, XCP_CPB_ECDSA_OTHER: XCP_CPB_ALG_EC,
	XCP_CPB_ALG_RAW_RSA: XCP_CPB_ALG_RSA, XCP_CPB_ALG_RSA_OAEP: XCP_CPB_ALG_RSA,
	XCP_CPB_KEYSZ_RSA65536: XCP_CPB_ALG_RSA, XCP_CPB_DSA_PARAMETER_GEN: XCP_CPB_ALG_DSA,
}

// Consistent checks a whole set.
func (s ControlPoints) Consistent() error {
	if off := s.each(func(a, b byte) byte { return a & b }, NotSupported); !off.Empty() {
		return Refuse(XCP_RSC_CP_MODE_SET, "%v", off.Points())
	}
	for _, p := range s.Points() {
		if q, ok := Needs[p]; ok && !s.Has(q) {
			return Refuse(XCP_RSC_CPS_SET_INCONSISTENT, "%v without %v", p, q)
		}
	}
	return nil
}

// PointByName finds a point by its name.
func PointByName(name string) (ControlPoint, bool) {
	for p, n := range pointNames {
		if n == name {
			return p, true
		}
	}
	return 0, false
}

// PointNames lists all known points' names in their order.
func PointNames() []string {
	var names []string
	for _, p := range known.Points() {
		names = append(names, p.String())
	}
	return names
}
