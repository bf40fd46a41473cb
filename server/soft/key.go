package soft

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"

	"grep11/pkcs11/ck"
	"grep11/server/unit"
)

// notGenerated is CKA_KEY_GEN_MECHANISM of a key that came from outside.
const notGenerated = ck.MechanismType(ck.CK_UNAVAILABLE_INFORMATION)

// key is an opened key. It does not change once it is made.
type key struct {
	class   ck.ObjectClass
	typ     ck.KeyType
	bits    unit.Bits
	gen     ck.MechanismType
	allowed []ck.MechanismType // CKA_ALLOWED_MECHANISMS; nil: all
	// value is the secret: a secret key's bytes, an RSA key's RSAPrivateKey
	// (RFC 8017), the scalar, seed or x of others. Nil for public keys.
	value ck.Secret
	// spki is the public key of a private or public key, in the blob's form
	// (grep11-wire 10.3).
	spki []byte

	once   sync.Once
	opened any // made of value or spki by the family's own code, under once
	err    error
}

// wipeLater overwrites the secret when nobody holds the key any more.
func (k *key) wipeLater() *key {
	runtime.AddCleanup(k, func(s ck.Secret) { s.Wipe() }, k.value)
	return k
}

// open gives what a family makes of a key to compute with, made once.
func open[T any](k *key, parse func(*key) (T, error)) (T, error) {
	k.once.Do(func() { k.opened, k.err = parse(k) })
	v, ok := k.opened.(T)
	if k.err == nil && !ok {
		return v, fmt.Errorf("%v key used as another kind: %w", k.typ, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	return v, k.err
}

const keyFormat = 1

// marshal gives what is sealed of a secret or private key; the bits are in the
// blob's header.
func (k *key) marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 64+len(k.value)+len(k.spki)))
	b.AddUint8(keyFormat)
	b.AddUint32(uint32(k.class))
	b.AddUint32(uint32(k.typ))
	b.AddUint32(uint32(k.gen))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, m := range k.allowed {
			b.AddUint32(uint32(m))
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.spki) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.value) })
	return b.Bytes()
}

func unmarshalKey(bits unit.Bits, sealed []byte) (*key, error) {
	s := cryptobyte.String(sealed)
	var format uint8
	var class, typ, gen uint32
	var allowed, spki, value cryptobyte.String
	if !s.ReadUint8(&format) || format != keyFormat || !s.ReadUint32(&class) || !s.ReadUint32(&typ) || !s.ReadUint32(&gen) ||
		!s.ReadUint16LengthPrefixed(&allowed) || !s.ReadUint16LengthPrefixed(&spki) ||
		!s.ReadUint24LengthPrefixed(&value) || !s.Empty() {
		return nil, fmt.Errorf("sealed key has another format: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	k := &key{class: ck.ObjectClass(class), typ: ck.KeyType(typ), gen: genOf(gen), bits: bits,
		value: ck.Secret(value), spki: spki}
	for !allowed.Empty() {
		var m uint32
		if !allowed.ReadUint32(&m) {
			return nil, fmt.Errorf("sealed list of mechanisms: %w", ck.CKR_IBM_BLOB_ERROR)
		}
		k.allowed = append(k.allowed, ck.MechanismType(m))
	}
	return k, nil
}

func genOf(n uint32) ck.MechanismType {
	if n == uint32(notGenerated&0xffffffff) {
		return notGenerated
	}
	return ck.MechanismType(n)
}

// seal makes the key's blob under the current wrapping key.
func (u *Unit) seal(k *key) (unit.Blob, error) {
	wk, err := u.sealing()
	if err != nil {
		return nil, err
	}
	return sealUnder(wk, k)
}

func sealUnder(wk *unit.WrappingKey, k *key) (unit.Blob, error) {
	if k.class == ck.CKO_PUBLIC_KEY {
		return wk.SealPublic(unit.Public{SPKI: k.spki, Bits: k.bits, Gen: k.gen, Allowed: k.allowed})
	}
	b, err := k.marshal()
	if err != nil {
		return nil, fmt.Errorf("key too large: %w", ck.CKR_KEY_SIZE_RANGE)
	}
	defer clear(b)
	return wk.SealKey(k.bits, b)
}

// openKey opens a blob, or finds it opened.
func (u *Unit) openKey(b unit.Blob) (*key, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("no key: %w", ck.CKR_KEY_HANDLE_INVALID)
	}
	if k, ok := u.keys.get(b); ok {
		return k, nil
	}
	k, err := u.openBlob(slices.Clone(b))
	if err != nil {
		return nil, err
	}
	u.keys.add(b, k)
	return k, nil
}

func (u *Unit) openBlob(b unit.Blob) (*key, error) {
	id, err := b.WKID()
	if err != nil {
		return nil, err
	}
	wk, err := u.of(id)
	if err != nil {
		return nil, err
	}
	if b.Public() {
		p, err := wk.OpenPublic(b)
		if err != nil {
			return nil, err
		}
		return publicKey(p)
	}
	bits, sealed, err := wk.OpenKey(b)
	if err != nil {
		return nil, err
	}
	k, err := unmarshalKey(bits, sealed)
	if err != nil {
		return nil, err
	}
	return k.wipeLater(), nil
}

// publicKey reads an opened public blob; the SPKI says what key it is.
func publicKey(p unit.Public) (*key, error) {
	k := &key{class: ck.CKO_PUBLIC_KEY, bits: p.Bits, gen: p.Gen, allowed: p.Allowed, spki: p.SPKI}
	info, err := parseSPKI(p.SPKI)
	if err != nil {
		return nil, err
	}
	k.typ = info.family.typ
	return k, nil
}
