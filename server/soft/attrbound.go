package soft

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/crypto/cryptobyte"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// CKM_IBM_ATTRIBUTEBOUND_WRAP moves a key with its attributes (grep11-wire 11.5).
// The product's package is not published; this one is:
//
//	1 byte    1
//	2 + n     a random AES-256 key under the KEK: RSA-OAEP with SHA-256, or for
//	          AES KEKs key wrap with padding (RFC 5649)
//	n         the attribute bits (8 bytes) and the key, under AES-256-GCM with
//	          a zero nonce
//	32        HMAC-SHA-256 of all before, with the MAC key
func init() { provide(engine{wrap: wrapBound, unwrap: unwrapBound}, ck.CKM_IBM_ATTRIBUTEBOUND_WRAP) }

const (
	boundFormat = 1
	lenBoundMAC = 32
)

// boundKeys are the checked keys of one call.
type boundKeys struct {
	kek, mac *key
	m        mech.Mechanism
}

func (u *Unit) boundKeys(m mech.Mechanism, kek, mac unit.Blob, kekRight, macRight unit.Bits) (*boundKeys, error) {
	_, row, err := u.engineOf(m, ck.CKF_WRAP|ck.CKF_UNWRAP)
	if err != nil {
		return nil, err
	}
	b := &boundKeys{m: m}
	if b.kek, err = u.openKey(kek); err != nil {
		return nil, err
	}
	if err := b.kek.may(kekRight, m, row); err != nil {
		return nil, err
	}
	if len(mac) == 0 {
		return nil, fmt.Errorf("no MAC key: %w", ck.CKR_ARGUMENTS_BAD)
	}
	if b.mac, err = u.openKey(mac); err != nil {
		return nil, err
	}
	if b.mac.class != ck.CKO_SECRET_KEY {
		return nil, fmt.Errorf("MAC key is %v: %w", b.mac.typ, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if !b.mac.bits.Has(macRight) || !(b.mac.bits & b.kek.bits).Has(unit.BitAttrBound) {
		return nil, fmt.Errorf("KEK and MAC key must be attribute-bound, the MAC key sign or verify: %w", ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	return b, nil
}

func wrapBound(u *Unit, m mech.Mechanism, blob, kek, mac unit.Blob) ([]byte, error) {
	b, err := u.boundKeys(m, kek, mac, unit.BitWrap, unit.BitSign)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(b)
	k, err := u.openKey(blob)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(k)
	switch {
	case k.class == ck.CKO_PUBLIC_KEY || !k.bits.Has(unit.BitAttrBound):
		return nil, fmt.Errorf("the key is not attribute-bound: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	case !k.bits.Has(unit.BitExtractable):
		return nil, fmt.Errorf("EXTRACTABLE is false: %w", ck.CKR_KEY_UNEXTRACTABLE)
	case k.bits.Has(unit.BitWrapWithTrusted) && !b.kek.bits.Has(unit.BitTrusted):
		return nil, fmt.Errorf("the wrapping key is not TRUSTED: %w", ck.CKR_KEY_NOT_WRAPPABLE)
	}
	if err := b.kek.mayTake(k); err != nil {
		return nil, err
	}
	return b.seal(k)
}

func (b *boundKeys) seal(k *key) ([]byte, error) {
	marshalled, err := k.marshal()
	if err != nil {
		return nil, err
	}
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(k.bits)), marshalled...)
	defer clear(plain)
	defer clear(marshalled)
	content := make([]byte, 32)
	defer clear(content)
	rand.Read(content)
	aead, err := contentCipher(content)
	if err != nil {
		return nil, err
	}
	wrapped, err := b.transport(mech.OpEncrypt, content)
	if err != nil {
		return nil, err
	}
	out := cryptobyte.NewBuilder([]byte{boundFormat})
	out.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(wrapped) })
	out.AddBytes(aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil))
	signed, err := out.Bytes()
	if err != nil {
		return nil, err
	}
	return append(signed, b.sum(signed)...), nil
}

func contentCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (b *boundKeys) sum(signed []byte) []byte {
	h := newHMAC(crypto.SHA256, b.mac.value)
	h.Write(signed)
	return h.Sum(nil)
}

// transport moves the content key under the KEK.
func (b *boundKeys) transport(op mech.Op, data []byte) ([]byte, error) {
	if b.kek.typ == ck.CKK_RSA {
		oaep := &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}
		return cryptOAEP(b.kek, mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: oaep}, op, data)
	}
	return cryptKWP(b.kek, mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, op, data)
}

var errBound = fmt.Errorf("the package was altered, or is for other keys: %w", ck.CKR_WRAPPED_KEY_INVALID)

// unwrapBound gives the key the rights it had; the template may only name its
// class and type.
func unwrapBound(u *Unit, m mech.Mechanism, wrapped []byte, kek, mac unit.Blob, t ck.Template) (unit.Key, error) {
	b, err := u.boundKeys(m, kek, mac, unit.BitUnwrap, unit.BitVerify)
	if err != nil {
		return unit.Key{}, err
	}
	defer runtime.KeepAlive(b)
	k, err := b.open(wrapped)
	if err != nil {
		return unit.Key{}, err
	}
	r, err := readRequest(t, k.class)
	if err != nil {
		return unit.Key{}, err
	}
	if err := r.want(k.typ); err != nil {
		return unit.Key{}, err
	}
	if err := b.kek.meets(ck.CKA_UNWRAP_TEMPLATE, k, ck.CKR_TEMPLATE_INCONSISTENT); err != nil {
		return unit.Key{}, err
	}
	k.bits &^= unit.BitLocal | unit.BitNeverExtractable | unit.BitAlwaysSensitive
	if k.class == ck.CKO_SECRET_KEY {
		return u.answer(k, k.checkSum())
	}
	info, err := parseSPKI(k.spki)
	if err != nil {
		return unit.Key{}, errBound
	}
	return u.answer(k, binary.BigEndian.AppendUint32(bytes.Clone(k.spki), uint32(info.bits())))
}

func (b *boundKeys) open(wrapped []byte) (*key, error) {
	n := len(wrapped) - lenBoundMAC
	if n < 0 || !hmac.Equal(b.sum(wrapped[:n]), wrapped[n:]) {
		return nil, errBound
	}
	s := cryptobyte.String(wrapped[:n])
	var format uint8
	var transported cryptobyte.String
	if !s.ReadUint8(&format) || format != boundFormat || !s.ReadUint16LengthPrefixed(&transported) {
		return nil, errBound
	}
	content, err := b.transport(mech.OpDecrypt, transported)
	if err != nil {
		return nil, errBound
	}
	defer clear(content)
	aead, err := contentCipher(content)
	if err != nil {
		return nil, errBound
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), s, nil)
	if err != nil || len(plain) < 8 {
		return nil, errBound
	}
	return unmarshalKey(unit.Bits(binary.BigEndian.Uint64(plain)), plain[8:])
}
