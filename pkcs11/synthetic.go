package pkcs11

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/public"
)

// Java's key store and others see a private key only beside a certificate with
// the same CKA_ID. With synthetic_certificates = true in the configuration, a
// stored private key that has none is shown with one made here: unsigned (RFC
// 9925), without an end, with the key's subject or else its label as name. It is
// no object of the service. It is gone as soon as a certificate with that id is
// stored, and C_DestroyObject hides it from this process, for that is how
// applications replace a certificate. Keys that share their id, or have none,
// get no certificate: with one Java would refuse the whole token.

// syntheticBit, with a private key's handle, is its certificate's.
const syntheticBit ck.ObjectHandle = 1 << 49

// findSynthetic adds the synthetic certificates that a search asks for.
func (s *session) findSynthetic(ctx context.Context, f *search) error {
	class, given, _ := f.match.Ulong(ck.CKA_CLASS)
	user, _ := s.slot.who()
	if !s.slot.service.synthetic || user != loggedUser || given && ck.ObjectClass(class) != ck.CKO_CERTIFICATE {
		return nil
	}
	query := slices.DeleteFunc(slices.Clone(f.match), func(a ck.Attribute) bool { return a.Type != ck.CKA_ID })
	certificates, err := s.stored(ctx, query.With(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_CERTIFICATE))}))
	if err != nil {
		return err
	}
	keys, err := s.stored(ctx, query.With(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))}))
	if err != nil {
		return err
	}
	users := map[string]int{"": 1} // of an id
	for _, o := range append(certificates, keys...) {
		users[string(o.Attributes.Bytes(ck.CKA_ID))]++
	}
	for _, key := range keys {
		if users[string(key.Attributes.Bytes(ck.CKA_ID))] > 1 || s.slot.objects.hides(key.Handle|syntheticBit) {
			continue
		}
		if c := newSynthetic(key); c != nil && c.matches(f.match) {
			f.found = append(f.found, c.Handle)
		}
	}
	return nil
}

// stored lists all stored objects that a search finds.
func (s *session) stored(ctx context.Context, query ck.Template) (found []*object, err error) {
	for after, more := ck.ObjectHandle(0), true; more; {
		var page []grep11client.Object
		if page, more, err = s.slot.token().FindObjects(ctx, query, after, lenPage); err != nil {
			return nil, err
		}
		for _, o := range page {
			after = o.Handle
			found = append(found, s.slot.objects.know(o))
		}
		more = more && len(page) > 0
	}
	return found, nil
}

// newSynthetic makes a private key's certificate, nil if the key's public half
// is not known.
func newSynthetic(key *object) *object {
	info, err := key.attribute(ck.CKA_PUBLIC_KEY_INFO)
	if err != nil || len(info.Value) == 0 {
		return nil
	}
	label, id := key.Attributes.Bytes(ck.CKA_LABEL), key.Attributes.Bytes(ck.CKA_ID)
	if len(label) == 0 {
		label = []byte(hex.EncodeToString(id))
	}
	subject := key.Attributes.Bytes(ck.CKA_SUBJECT)
	if len(subject) == 0 {
		if subject, err = public.Name(string(label)); err != nil {
			return nil
		}
	}
	der, serial, err := public.Unsigned(info.Value, subject)
	if err != nil {
		return nil
	}
	return newObject(grep11client.Object{Handle: key.Handle | syntheticBit, Key: grep11client.Key{ID: append([]byte("synthetic"), key.ID...)}, Attributes: ck.Template{
		ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_CERTIFICATE)), ck.Ulong(ck.CKA_CERTIFICATE_TYPE, uint64(ck.CKC_X_509)),
		ck.Bool(ck.CKA_MODIFIABLE, false), ck.Bool(ck.CKA_COPYABLE, false),
		ck.Bytes(ck.CKA_LABEL, label), ck.Bytes(ck.CKA_ID, id), ck.Bytes(ck.CKA_VALUE, der),
		ck.Bytes(ck.CKA_SUBJECT, subject), ck.Bytes(ck.CKA_ISSUER, subject), ck.Bytes(ck.CKA_SERIAL_NUMBER, serial),
	}})
}

// hides tells whether a synthetic certificate was destroyed in this process.
func (k *keystore) hides(h ck.ObjectHandle) bool {
	_, hidden := k.hidden.Load(h)
	return hidden
}

// synthetic is the certificate with a handle that a search gave out. Caller
// holds s.mu.
func (s *session) synthetic(ctx context.Context, h ck.ObjectHandle) (*object, error) {
	key, err := s.object(ctx, h&^syntheticBit, false)
	if err == nil && s.slot.service.synthetic && key.class == ck.CKO_PRIVATE_KEY && !s.slot.objects.hides(h) {
		if c := newSynthetic(key); c != nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("handle %#x: %w", uint64(h), ck.CKR_OBJECT_HANDLE_INVALID)
}
