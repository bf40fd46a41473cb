package grep11client

import (
	"context"
	"crypto/aes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// importKey is the passing AES key under which clear values travel to the
// unit that unwraps them. It is made once, and again when the service's
// wrapping key has changed.
type importKey struct {
	mu   sync.Mutex // held while the key is made
	blob []byte
}

var importKeyTemplate = ck.Template{
	ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32),
	ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_UNWRAP, true),
	ck.Bool(ck.CKA_DECRYPT, false), ck.Bool(ck.CKA_WRAP, false), ck.Bool(ck.CKA_DERIVE, false),
	ck.Bool(ck.CKA_SIGN, false), ck.Bool(ck.CKA_VERIFY, false),
	ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_EXTRACTABLE, false),
	ck.Bool(ck.CKA_MODIFIABLE, false), // never to wrap: what it unwraps may be readable
}

// ImportKey makes a key from its value (C_CreateObject): a public key through
// CKM_IBM_TRANSPORTKEY, others encrypted under a passing key of the service and
// unwrapped. The template holds the standard's components of the key type.
func (t *Token) ImportKey(ctx context.Context, tmpl ck.Template) (Object, error) {
	o, err := t.importValue(ctx, tmpl)
	if rv, ok := importCodes[ck.RVOf(err)]; ok && err != nil {
		if rv == ck.CKR_ATTRIBUTE_VALUE_INVALID && foreignCurve(tmpl) {
			rv = ck.CKR_CURVE_NOT_SUPPORTED
		}
		err = fmt.Errorf("%v: %w", err, rv)
	}
	return o, err
}

// importCodes: what unwrapping's errors are called where the caller gave a value.
var importCodes = map[ck.RV]ck.RV{
	ck.CKR_WRAPPED_KEY_INVALID:    ck.CKR_ATTRIBUTE_VALUE_INVALID,
	ck.CKR_WRAPPED_KEY_LEN_RANGE:  ck.CKR_ATTRIBUTE_VALUE_INVALID,
	ck.CKR_KEY_TYPE_INCONSISTENT:  ck.CKR_ATTRIBUTE_VALUE_INVALID,
	ck.CKR_KEY_SIZE_RANGE:         ck.CKR_ATTRIBUTE_VALUE_INVALID,
	ck.CKR_ENCRYPTED_DATA_INVALID: ck.CKR_ATTRIBUTE_VALUE_INVALID,
}

// foreignCurve tells whether a key is on a named curve that nobody here knows.
func foreignCurve(t ck.Template) bool {
	if !t.Has(ck.CKA_EC_PARAMS) {
		return false
	}
	oid, _, err := curve(t)
	return err == nil && orderLen[oid.String()] == 0
}

func (t *Token) importValue(ctx context.Context, tmpl ck.Template) (Object, error) {
	class, ok, err := tmpl.Ulong(ck.CKA_CLASS)
	if err != nil || !ok {
		return Object{}, fmt.Errorf("CKA_CLASS: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	keyType, ok, err := tmpl.Ulong(ck.CKA_KEY_TYPE)
	if err != nil || !ok {
		return Object{}, fmt.Errorf("CKA_KEY_TYPE: %w", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	switch ck.ObjectClass(class) {
	case ck.CKO_PUBLIC_KEY:
		return t.importPublic(ctx, ck.KeyType(keyType), tmpl)
	case ck.CKO_PRIVATE_KEY:
		value, err := pkcs8(ck.KeyType(keyType), tmpl)
		if err != nil {
			return Object{}, err
		}
		return t.importSecret(ctx, value, tmpl)
	case ck.CKO_SECRET_KEY:
		if !tmpl.Has(ck.CKA_VALUE) {
			return Object{}, fmt.Errorf("CKA_VALUE: %w", ck.CKR_TEMPLATE_INCOMPLETE)
		}
		return t.importSecret(ctx, tmpl.Bytes(ck.CKA_VALUE), tmpl)
	}
	return Object{}, fmt.Errorf("import of a %v: %w", ck.ObjectClass(class), ck.CKR_ATTRIBUTE_VALUE_INVALID)
}

// importPublic leaves out what the SPKI says; native libraries insist on that.
func (t *Token) importPublic(ctx context.Context, kt ck.KeyType, tmpl ck.Template) (Object, error) {
	spki, err := spki(kt, tmpl)
	if err != nil {
		return Object{}, err
	}
	rest := tmpl.Without(ck.CKA_KEY_TYPE, ck.CKA_MODULUS, ck.CKA_MODULUS_BITS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_EC_PARAMS, ck.CKA_EC_POINT,
		ck.CKA_PRIME, ck.CKA_SUBPRIME, ck.CKA_BASE, ck.CKA_VALUE)
	o, err := t.UnwrapKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_TRANSPORTKEY}, spki, Key{}, Key{}, rest)
	return withGiven(o, tmpl), err
}

func (t *Token) importSecret(ctx context.Context, value ck.Secret, tmpl ck.Template) (Object, error) {
	rest := tmpl.Without(append(slices.Clone(sensitive), ck.CKA_VALUE_LEN, ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT)...)
	kek, err := t.importKey(ctx, nil)
	if err != nil {
		return Object{}, err
	}
	o, err := t.unwrapUnder(ctx, kek, value, rest)
	if staleKey(err) {
		if kek, err = t.importKey(ctx, kek); err != nil {
			return Object{}, err
		}
		o, err = t.unwrapUnder(ctx, kek, value, rest)
	}
	return withGiven(o, tmpl), err
}

// withGiven adds public components to a key that is not stored, where the
// service did not say them.
func withGiven(o Object, tmpl ck.Template) Object {
	if len(o.ID) == 0 && len(o.Blob) > 0 {
		o.Attributes = tmpl.Without(sensitive...).With(o.Attributes)
	}
	return o
}

func (t *Token) unwrapUnder(ctx context.Context, kek []byte, value ck.Secret, tmpl ck.Template) (Object, error) {
	iv := make(mech.IV, aes.BlockSize)
	_, _ = rand.Read(iv) // never fails
	m := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: iv}
	wrapped, err := t.Single(ctx, mech.OpEncrypt, m, Key{Blob: kek}, value, nil, false)
	if err != nil {
		return Object{}, err
	}
	return t.UnwrapKey(ctx, m, wrapped, Key{Blob: kek}, Key{}, tmpl)
}

// staleKey: the service does not know the import key any more.
func staleKey(err error) bool {
	return errors.Is(err, ck.CKR_IBM_WKID_MISMATCH) || errors.Is(err, ck.CKR_IBM_BLOB_ERROR) || errors.Is(err, ck.CKR_IBM_BLOBKEY_CONFLICT)
}

// importKey gives the client's import key, a new one where the one at hand is stale.
func (t *Token) importKey(ctx context.Context, stale []byte) ([]byte, error) {
	k := &t.c.kek
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.blob) > 0 && !slices.Equal(k.blob, stale) {
		return k.blob, nil
	}
	o, err := t.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, importKeyTemplate)
	if err != nil {
		return nil, err
	}
	k.blob = o.Blob
	return k.blob, nil
}
