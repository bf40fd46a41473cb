package hsm

import (
	"bytes"

	"grep11/pkcs11/ck"
)

// probe finds out what a mechanism list does not say. What an HSM lists and does
// not do is taken off the list.
func (c *connection) probe() {
	c.kwp = ck.CKM_AES_KEY_WRAP_KWP
	if _, ok := c.uses[c.kwp]; !ok {
		c.kwp = ckmKeyWrapPad
	}
	exact := c.wraps(kwpKey, kwpPlain, kwpWrapped)
	c.pads = !exact && c.wraps(make([]byte, 32), make([]byte, 16), zeroWrapped)
	if !exact && !c.pads {
		delete(c.uses, c.kwp)
	}
	if !c.wrapsEdwards() {
		for _, m := range []ck.MechanismType{ck.CKM_EDDSA, ck.CKM_EC_EDWARDS_KEY_PAIR_GEN} {
			delete(c.uses, m)
		}
	}
}

// wraps tells whether a key is wrapped as RFC 5649 says.
func (c *connection) wraps(kek, key, want []byte) bool {
	k, err := c.CreateObject(c.control, attributes(secretObject(ck.CKK_AES, kek, ck.CKA_WRAP)))
	if err != nil {
		return false
	}
	defer c.DestroyObject(c.control, k)
	o, err := c.CreateObject(c.control, attributes(secretObject(ck.CKK_GENERIC_SECRET, key, ck.CKA_SIGN)))
	if err != nil {
		return false
	}
	defer c.DestroyObject(c.control, o)
	w, err := c.WrapKey(c.control, mechanism(c.kwp, nil), k, o)
	return err == nil && bytes.Equal(w, want)
}

// The second example of RFC 5649 §6, and 16 bytes under a key of 32, all zero.
var (
	kwpKey      = []byte{0x58, 0x40, 0xdf, 0x6e, 0x29, 0xb0, 0x2a, 0xf1, 0xab, 0x49, 0x3b, 0x70, 0x5b, 0xf1, 0x6e, 0xa1, 0xae, 0x83, 0x38, 0xf4, 0xdc, 0xc1, 0x76, 0xa8}
	kwpPlain    = []byte{0x46, 0x6f, 0x72, 0x50, 0x61, 0x73, 0x69}
	zeroWrapped = []byte{0x75, 0x41, 0x74, 0xae, 0x3b, 0x34, 0xaf, 0x93, 0x86, 0x95, 0x4f, 0xd3, 0x51, 0x66, 0x30, 0xe8, 0x02, 0xd5, 0xa0, 0xd5, 0xcc, 0xb3, 0x2f, 0x48}
	kwpWrapped  = []byte{0xaf, 0xbe, 0xb0, 0xf0, 0x7d, 0xfb, 0xf5, 0x41, 0x92, 0x00, 0xf2, 0xcc, 0xb5, 0x0b, 0xb2, 0x4f}
)

// secretObject is a session object of a known value, with one right.
func secretObject(typ ck.KeyType, value []byte, right ck.AttributeType) ck.Template {
	return inSession(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, typ),
		ck.Bytes(ck.CKA_VALUE, value), ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(right, true)})
}

// oidEd25519 is the curve's name as CKA_EC_PARAMS has it.
var oidEd25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}

// wrapsEdwards: some HSMs sign with Edwards keys and do not wrap them.
func (c *connection) wrapsEdwards() bool {
	if c.uses[ck.CKM_EC_EDWARDS_KEY_PAIR_GEN] == 0 || c.chooseWrapping() != nil {
		return false
	}
	pub, priv, err := c.GenerateKeyPair(c.control, mechanism(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, nil),
		attributes(inSession(ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidEd25519), ck.Bool(ck.CKA_VERIFY, true)})),
		attributes(inSession(ck.Template{ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SIGN, true)})))
	if err != nil {
		return false
	}
	defer c.DestroyObject(c.control, pub)
	defer c.DestroyObject(c.control, priv)
	kek, err := c.GenerateKey(c.control, mechanism(ck.CKM_AES_KEY_GEN, nil), attributes(inSession(ck.Template{
		ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true)})))
	if err != nil {
		return false
	}
	defer c.DestroyObject(c.control, kek)
	w, err := c.wrap(c.control, kek, priv)
	if err != nil {
		return false
	}
	again, err := c.unwrap(c.control, kek, w, attributes(inSession(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY)),
		ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC_EDWARDS), ck.Bool(ck.CKA_SIGN, true)})))
	if err == nil {
		err = c.DestroyObject(c.control, again)
	}
	return err == nil
}
