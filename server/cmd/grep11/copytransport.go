package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// transport is an AES key that both sides hold for the time of a copy: the source
// made it, and wrapped it under an RSA key of the service. Keys travel under it.
type transport struct {
	from *source
	to   *grep11client.Token
	aes  pkcs11.ObjectHandle
	kek  grep11client.Key
}

const transportBits = 3072

// newTransport agrees on a key.
func newTransport(ctx context.Context, from *source, to *grep11client.Token) (*transport, error) {
	pub, priv, err := to.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN},
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, transportBits), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}), ck.Bool(ck.CKA_WRAP, true)},
		ck.Template{ck.Bool(ck.CKA_UNWRAP, true), ck.Bool(ck.CKA_DECRYPT, false), ck.Bool(ck.CKA_SIGN, false), ck.Bool(ck.CKA_EXTRACTABLE, false)})
	if err != nil {
		return nil, fmt.Errorf("make a key for the transport: %w", err)
	}
	t := &transport{from: from, to: to}
	rsa, err := from.create(ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_RSA),
		ck.Bytes(ck.CKA_MODULUS, pub.Attributes.Bytes(ck.CKA_MODULUS)), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, pub.Attributes.Bytes(ck.CKA_PUBLIC_EXPONENT)),
		ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_TOKEN, false)})
	if err != nil {
		return nil, fmt.Errorf("bring the service's public key to the module: %w", err)
	}
	defer func() { _ = from.DestroyObject(from.session, rsa) }()
	t.aes, err = from.GenerateKey(from.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, sourceTemplate(ck.Template{
		ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TOKEN, false), ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_WRAP, true)}))
	if err != nil {
		return nil, fmt.Errorf("make a key for the transport in the module: %w", rvOf(err))
	}
	return t, t.send(ctx, rsa, priv.Key)
}

// send brings the AES key to the service.
func (t *transport) send(ctx context.Context, rsa pkcs11.ObjectHandle, priv grep11client.Key) error {
	var errs []error
	for _, oaep := range []mech.OAEP{{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256}, {Hash: ck.CKM_SHA_1, MGF: ck.CKG_MGF1_SHA1}} {
		m := pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.NewOAEPParams(uint(oaep.Hash), uint(oaep.MGF), pkcs11.CKZ_DATA_SPECIFIED, nil))
		wrapped, err := t.from.WrapKey(t.from.session, []*pkcs11.Mechanism{m}, rsa, t.aes)
		if err != nil {
			errs = append(errs, fmt.Errorf("the module wraps a key by OAEP with %v: %w", oaep.Hash, rvOf(err)))
			continue
		}
		made, err := t.to.UnwrapKey(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: &oaep}, wrapped, priv, grep11client.Key{}, ck.Template{
			ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Bool(ck.CKA_UNWRAP, true),
			ck.Bool(ck.CKA_EXTRACTABLE, false), ck.Bool(ck.CKA_MODIFIABLE, false)}) // it never wraps, so what it unwraps may be readable
		if err != nil {
			return fmt.Errorf("unwrap the key for the transport: %w", err)
		}
		t.kek = made.Key
		return nil
	}
	return errors.Join(errs...)
}

// ways are how the module may wrap, and how the service unwraps that.
var ways = []struct {
	wrap, unwrap ck.MechanismType
	lenIV        int
}{
	{ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_KEY_WRAP_KWP, 0},
	{ckmKeyWrapPad, ck.CKM_AES_KEY_WRAP_KWP, 0},
	{ck.CKM_AES_CBC_PAD, ck.CKM_AES_CBC_PAD, 16},
	{ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP, 0},
}

// ckmKeyWrapPad is CKM_AES_KEY_WRAP_PAD, RFC 5649 of older modules.
const ckmKeyWrapPad = ck.MechanismType(0x210A)

// carry copies a key. The template is the copy's.
func (t *transport) carry(ctx context.Context, o pkcs11.ObjectHandle, copied ck.Template) (made grep11client.Object, err error) {
	err = errors.New("the module has no way to wrap keys that the service knows")
	for _, w := range ways {
		if !t.from.wraps(w.wrap) {
			continue
		}
		var wrapped []byte
		var iv []byte
		m := mech.Mechanism{Type: w.unwrap}
		if w.lenIV > 0 {
			iv = make([]byte, w.lenIV)
			rand.Read(iv)
			m.Param = mech.IV(iv)
		}
		wrapped, err = t.from.WrapKey(t.from.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(uint(w.wrap), iv)}, t.aes, o)
		if err != nil {
			err = fmt.Errorf("the module wraps it: %w", rvOf(err))
			continue
		}
		if made, err = t.to.UnwrapKey(ctx, m, wrapped, t.kek, grep11client.Key{}, copied); err == nil {
			return made, nil
		}
		err = fmt.Errorf("the service unwraps it: %w", err)
	}
	return made, err
}

func (t *transport) close() {
	if t != nil {
		_ = t.from.DestroyObject(t.from.session, t.aes)
	}
}
