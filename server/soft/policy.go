package soft

import (
	"crypto"
	"fmt"
	"strings"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/admin/command"
	"grep11/server/unit"
)

// The unit's policy is its domain's control points (package admin/command). An
// operation or a new key needs all points that its row here names. Use of public
// keys cannot be restricted: anybody can do that elsewhere.

// policy is nil where everything is allowed: in memory, and under "compatible".
type policy struct{ on command.ControlPoints }

func newPolicy(p command.ControlPoints) *policy {
	if p == command.Profiles["compatible"] {
		return nil
	}
	return &policy{p}
}

// needs checks control points.
func (p *policy) needs(what string, points ...command.ControlPoint) error {
	for _, c := range points {
		if !p.on.Has(c) {
			return fmt.Errorf("%s: control point %v is off: %w", what, c, ck.CKR_IBM_STATIC_POLICY)
		}
	}
	return nil
}

// uses are the points for what is done with a secret and with a private key.
var uses = map[unit.Bits]struct{ secret, private command.ControlPoint }{
	unit.BitSign:    {command.XCP_CPB_SIGN_SYMM, command.XCP_CPB_SIGN_ASYMM},
	unit.BitVerify:  {command.XCP_CPB_SIGVERIFY_SYMM, command.XCP_CPB_SIGVERIFY_SYMM},
	unit.BitEncrypt: {command.XCP_CPB_ENCRYPT_SYMM, command.XCP_CPB_ENCRYPT_SYMM},
	unit.BitDecrypt: {command.XCP_CPB_DECRYPT_SYMM, command.XCP_CPB_DECRYPT_ASYMM},
	unit.BitWrap:    {command.XCP_CPB_WRAP_SYMM, command.XCP_CPB_WRAP_ASYMM},
	unit.BitUnwrap:  {command.XCP_CPB_UNWRAP_SYMM, command.XCP_CPB_UNWRAP_ASYMM},
	unit.BitDerive:  {command.XCP_CPB_DERIVE, command.XCP_CPB_DERIVE},

	unit.BitDecapsulate: {command.XCP_CPB_DERIVE, command.XCP_CPB_DERIVE},
}

// permits checks what is to be done with a key under a mechanism.
func (p *policy) permits(right unit.Bits, m mech.Mechanism, row *mech.Row, k *key) error {
	if p == nil || k == nil {
		return nil
	}
	if k.class == ck.CKO_PUBLIC_KEY {
		return p.permitsPublic(right, m, k)
	}
	points := []command.ControlPoint{uses[right].secret}
	if k.class == ck.CKO_PRIVATE_KEY {
		points[0] = uses[right].private
	}
	if right == unit.BitWrap || right == unit.BitUnwrap {
		points = append(points, command.XCP_CPB_NON_ATTRBOUND)
	}
	if err := p.needs(m.Type.String(), append(append(points, ownPoints[m.Type]...), byMechanism(right, m, row, k)...)...); err != nil {
		return err
	}
	return p.strong(k)
}

// permitsPublic: what makes a key, or lets one out, is restricted.
func (p *policy) permitsPublic(right unit.Bits, m mech.Mechanism, k *key) error {
	switch right {
	case unit.BitWrap:
		return p.needs(m.Type.String(), command.XCP_CPB_WRAP_ASYMM, command.XCP_CPB_NON_ATTRBOUND)
	case unit.BitDerive, unit.BitEncapsulate:
		return p.needs(m.Type.String(), append([]command.ControlPoint{command.XCP_CPB_DERIVE}, byType[k.typ]...)...)
	}
	return nil
}

// byMechanism are the points of mechanisms that depend on what is done with them.
func byMechanism(right unit.Bits, m mech.Mechanism, row *mech.Row, k *key) []command.ControlPoint {
	switch {
	case m.Type == ck.CKM_RSA_PKCS && (right == unit.BitDecrypt || right == unit.BitUnwrap):
		return []command.ControlPoint{command.XCP_CPB_ALG_NFIPS2024} // SP 800-131A r2 §6
	case right == unit.BitSign && row.Hash == crypto.SHA1 && k.class == ck.CKO_PRIVATE_KEY:
		return []command.ControlPoint{command.XCP_CPB_ALG_NFIPS2011} // SP 800-131A §3
	case right == unit.BitSign && k.class == ck.CKO_SECRET_KEY && row.Hash != 0 && 2*k.size() < row.Hash.Size():
		return []command.ControlPoint{command.XCP_CPB_KEYSZ_HMAC_ANY}
	}
	return nil
}

// combinations of rights that need a point each, in one secret or private key.
var combinations = []struct {
	a, b  unit.Bits
	point command.ControlPoint
}{
	{unit.BitEncrypt | unit.BitDecrypt, unit.BitWrap | unit.BitUnwrap, command.XCP_CPB_WRAP_CRYPT_KEYS},
	{unit.BitEncrypt | unit.BitDecrypt, unit.BitSign | unit.BitVerify, command.XCP_CPB_SIGN_CRYPT_KEYS},
	{unit.BitWrap | unit.BitUnwrap, unit.BitSign | unit.BitVerify, command.XCP_CPB_WRAP_SIGN_KEYS},
	{unit.BitExtractable, unit.BitProtkeyExtractable, command.XCP_CPB_ALLOW_COMBINED_EXTRACT},
}

// makes checks a key that is about to be sealed for the first time.
func (p *policy) makes(k *key) error {
	if p == nil {
		return nil
	}
	if k.class == ck.CKO_PUBLIC_KEY {
		if k.bits.Has(unit.BitAttrBound) && !k.bits.Has(unit.BitLocal) {
			return p.needs("an attribute-bound public key", command.XCP_CPB_USER_SET_ATTRBOUND)
		}
		return nil
	}
	if k.bits.Has(unit.BitLocal) {
		point := command.XCP_CPB_KEYGEN_SYMM
		if k.class == ck.CKO_PRIVATE_KEY {
			point = command.XCP_CPB_KEYGEN_ASYMM
		}
		if err := p.needs("making a key", point); err != nil {
			return err
		}
	}
	return p.keeps(k)
}

// keeps checks a key whose attributes changed.
func (p *policy) keeps(k *key) error {
	if p == nil || k.class == ck.CKO_PUBLIC_KEY {
		return nil
	}
	for _, c := range combinations {
		if k.bits&c.a != 0 && k.bits&c.b != 0 {
			if err := p.needs("a key of several uses", c.point); err != nil {
				return err
			}
		}
	}
	return p.strong(k)
}

// strong checks a key's algorithm and strength, whatever is done with it.
func (p *policy) strong(k *key) error {
	points, strength, err := facts(k)
	if err != nil {
		return err
	}
	// GREP11's calls carry no login session that a key could be bound to.
	points = append(points, sizePoint(strength), command.XCP_CPB_ALLOW_NONSESSION)
	return p.needs(fmt.Sprintf("a key of type %v", k.typ), points...)
}

// byType are the points of key types.
var byType = map[ck.KeyType][]command.ControlPoint{
	ck.CKK_DES2:              {command.XCP_CPB_ALG_NBSI2009},
	ck.CKK_DES3:              {command.XCP_CPB_ALG_NFIPS2021},
	ck.CKK_RSA:               {command.XCP_CPB_ALG_RSA},
	ck.CKK_DSA:               {command.XCP_CPB_ALG_DSA},
	ck.CKK_DH:                {command.XCP_CPB_ALG_DH},
	ck.CKK_EC:                {command.XCP_CPB_ALG_EC},
	ck.CKK_EC_EDWARDS:        {command.XCP_CPB_ALG_EC, command.XCP_CPB_ALG_EC_25519},
	ck.CKK_EC_MONTGOMERY:     {command.XCP_CPB_ALG_EC, command.XCP_CPB_ALG_EC_25519},
	ck.CKK_ML_DSA:            {command.XCP_CPB_ALG_PQC},
	ck.CKK_ML_KEM:            {command.XCP_CPB_ALG_PQC},
	ck.CKK_SLH_DSA:           {command.XCP_CPB_ALG_PQC},
	ck.CKK_IBM_PQC_DILITHIUM: {command.XCP_CPB_ALG_PQC},
	ck.CKK_IBM_PQC_KYBER:     {command.XCP_CPB_ALG_PQC},
	ck.CKK_IBM_ML_DSA:        {command.XCP_CPB_ALG_PQC},
	ck.CKK_IBM_ML_KEM:        {command.XCP_CPB_ALG_PQC},
}

// secretStrength are the types whose strength is not their length.
var secretStrength = map[ck.KeyType]int{ck.CKK_DES2: 80, ck.CKK_DES3: 112}

// facts are a key's points and its strength in bits (SP 800-57 part 1, table 2).
func facts(k *key) (points []command.ControlPoint, strength int, err error) {
	points = append(points, byType[k.typ]...)
	if k.class == ck.CKO_SECRET_KEY {
		if s, ok := secretStrength[k.typ]; ok {
			return points, s, nil
		}
		return points, 8 * k.size(), nil
	}
	info, err := parseSPKI(k.spki)
	if err != nil {
		return nil, 0, err
	}
	if k.typ == ck.CKK_RSA && smallExponent(info) {
		points = append(points, command.XCP_CPB_KEYSZ_RSA65536)
	}
	switch k.typ {
	case ck.CKK_RSA, ck.CKK_DSA, ck.CKK_DH:
		return points, integerStrength(info.bits()), nil
	case ck.CKK_EC:
		return append(points, curvePoint(info.curve)), info.curve.bits / 2, nil
	case ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY:
		return points, (info.curve.bits + 1) / 2, nil
	}
	return points, info.set().Strength, nil
}

func curvePoint(c *curve) command.ControlPoint {
	switch {
	case strings.HasPrefix(c.name, "P-"):
		return command.XCP_CPB_ALG_EC_NISTCRV
	case strings.HasPrefix(c.name, "BP-"):
		return command.XCP_CPB_ALG_EC_BPOOLCRV
	case strings.HasPrefix(c.name, "BLS"):
		return command.XCP_CPB_ALG_EC_PAIRING_FRIENDLY
	}
	return command.XCP_CPB_ALG_EC_SECGCRV
}

func integerStrength(modulus int) int {
	for _, s := range []struct{ bits, strength int }{{15360, 256}, {7680, 192}, {3072, 128}, {2048, 112}, {1024, 80}} {
		if modulus >= s.bits {
			return s.strength
		}
	}
	return 0
}

func sizePoint(strength int) command.ControlPoint {
	for _, s := range []struct {
		bits  int
		point command.ControlPoint
	}{
		{256, command.XCP_CPB_KEYSZ_256BIT}, {192, command.XCP_CPB_KEYSZ_192BIT}, {128, command.XCP_CPB_KEYSZ_128BIT},
		{112, command.XCP_CPB_KEYSZ_112BIT}, {80, command.XCP_CPB_KEYSZ_80BIT},
	} {
		if strength >= s.bits {
			return s.point
		}
	}
	return command.XCP_CPB_KEYSZ_BELOW80BIT
}
