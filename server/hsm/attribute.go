package hsm

import (
	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/soft"
	"grep11/server/unit"
)

// attributes brings a template to the module's form; values are the same bytes.
func attributes(t ck.Template) []*pkcs11.Attribute {
	out := make([]*pkcs11.Attribute, 0, len(t))
	for _, a := range t {
		out = append(out, pkcs11.NewAttribute(uint(a.Type), a.Value))
	}
	return out
}

func labelled(s string) *pkcs11.Attribute {
	return pkcs11.NewAttribute(pkcs11.CKA_LABEL, []byte(s))
}

func rights(on bool, types ...ck.AttributeType) (t ck.Template) {
	for _, a := range types {
		t = append(t, ck.Bool(a, on))
	}
	return t
}

// inSession is for objects that live in a session, for the unit alone.
func inSession(t ck.Template) ck.Template {
	return append(t, ck.Bool(ck.CKA_TOKEN, false), ck.Bool(ck.CKA_PRIVATE, true))
}

// rightsOf are the HSM's own usage attributes by what they need of the key's
// sealed rights. They are wider than these: the unit checks rights, and does
// with the HSM's key what its own part of an operation needs, such as counter
// mode over ECB encryption, or a padded signature as a bare RSA decryption.
var rightsOf = map[ck.ObjectClass][]struct {
	attribute ck.AttributeType
	any       unit.Bits
}{
	ck.CKO_SECRET_KEY: {
		{ck.CKA_ENCRYPT, unit.BitEncrypt | unit.BitDecrypt | unit.BitWrap | unit.BitUnwrap},
		{ck.CKA_DECRYPT, unit.BitEncrypt | unit.BitDecrypt | unit.BitWrap | unit.BitUnwrap},
		{ck.CKA_SIGN, unit.BitSign | unit.BitVerify},
		{ck.CKA_VERIFY, unit.BitSign | unit.BitVerify},
		{ck.CKA_WRAP, unit.BitWrap},
		{ck.CKA_UNWRAP, unit.BitUnwrap},
		{ck.CKA_DERIVE, unit.BitDerive},
	},
	ck.CKO_PUBLIC_KEY: {{ck.CKA_WRAP, unit.BitWrap}},
	ck.CKO_PRIVATE_KEY: {
		{ck.CKA_SIGN, unit.BitSign},
		{ck.CKA_DECRYPT, unit.BitSign | unit.BitDecrypt | unit.BitUnwrap},
		{ck.CKA_UNWRAP, unit.BitUnwrap},
		{ck.CKA_DERIVE, unit.BitDerive},
	},
}

// decrypts: only RSA keys do; HSMs refuse the right for others.
func decrypts(k soft.Kind, a ck.AttributeType) bool {
	return k.Class != ck.CKO_PRIVATE_KEY || k.Type == ck.CKK_RSA || a != ck.CKA_DECRYPT && a != ck.CKA_UNWRAP
}

// template describes a session object for the HSM.
func template(k soft.Kind) ck.Template {
	t := inSession(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(k.Class)), ck.Ulong(ck.CKA_KEY_TYPE, k.Type)})
	if k.Class != ck.CKO_PUBLIC_KEY {
		t = append(t, ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, k.Extractable))
	}
	for _, r := range rightsOf[k.Class] {
		t = append(t, ck.Bool(r.attribute, k.Bits&r.any != 0 && decrypts(k, r.attribute)))
	}
	return t
}

// mechanism is one with a parameter of plain bytes, or none.
func mechanism(t ck.MechanismType, param []byte) []*pkcs11.Mechanism {
	if len(param) == 0 {
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(t), nil)}
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(t), param)}
}

// mechanismOf writes the parameters that the unit gives to the HSM. free must
// be called after the operation.
func mechanismOf(m mech.Mechanism) (out []*pkcs11.Mechanism, free func()) {
	var param any
	free = func() {}
	switch p := m.Param.(type) {
	case mech.IV:
		param = []byte(p)
	case mech.Raw:
		param, free = stringData(p)
	case *mech.PSS:
		param = pkcs11.NewPSSParams(uint(p.Hash), uint(p.MGF), uint(p.SaltLen))
	case *mech.OAEP:
		param = pkcs11.NewOAEPParams(uint(p.Hash), uint(p.MGF), pkcs11.CKZ_DATA_SPECIFIED, p.Label)
	case *mech.ECDH1:
		param = pkcs11.NewECDH1DeriveParams(uint(p.KDF), p.Shared, p.Public)
	case *mech.GCM:
		g := pkcs11.NewGCMParams(p.IV, p.AAD, int(p.TagBits))
		param, free = g, g.Free
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(m.Type), param)}, free
}
