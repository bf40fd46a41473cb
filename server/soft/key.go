package soft

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

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
	rules   ck.Template        // for keys that it wraps or makes (rules.go)
	// value is the secret: a secret key's bytes, an RSA key's RSAPrivateKey
	// (RFC 8017), the scalar, seed or x of others. Nil for public keys.
	value ck.Secret
	// remote stands for value where the key lives in a device.
	remote *remote
	// spki is the public key of a private or public key, in the blob's form
	// (grep11-wire 10.3).
	spki []byte

	refs   atomic.Int32 // of the cache and of calls; used for remote keys only
	once   sync.Once
	opened any // made of value or spki by the family's own code, under once
	err    error
}

// retain takes a reference for a call; false: the key was given up meanwhile.
func (k *key) retain() bool {
	for {
		n := k.refs.Load()
		if n == 0 {
			return false
		}
		if k.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release ends a call's or the cache's use of a key: the last one takes a key's
// object out of its device. A key in memory lives until here (runtime.KeepAlive).
func (k *key) release() {
	if k == nil {
		return
	}
	if k.refs.Add(-1) == 0 && k.remote != nil {
		k.remote.drop()
	}
	runtime.KeepAlive(k)
}

// with is the same key with other bits, for another blob.
func (k *key) with(bits unit.Bits) *key {
	return &key{class: k.class, typ: k.typ, bits: bits, gen: k.gen, allowed: k.allowed, rules: k.rules, value: k.value, remote: k.remote.copy(), spki: k.spki}
}

// size is the length of a secret key, in bytes.
func (k *key) size() int {
	if k.remote != nil {
		return k.remote.size
	}
	return len(k.value)
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
	b.AddUint8(k.format(keyFormat))
	k.marshalFacts(b)
	k.marshalRules(b)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.value) })
	return b.Bytes()
}

// marshalFacts writes what is sealed beside the value.
func (k *key) marshalFacts(b *cryptobyte.Builder) {
	b.AddUint32(uint32(k.class))
	b.AddUint32(uint32(k.typ))
	b.AddUint32(uint32(k.gen))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, m := range k.allowed {
			b.AddUint32(uint32(m))
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.spki) })
}

var errSealedFormat = fmt.Errorf("sealed key has another format: %w", ck.CKR_IBM_BLOB_ERROR)

func unmarshalKey(bits unit.Bits, sealed []byte) (*key, error) {
	s := cryptobyte.String(sealed)
	k, err := unmarshalFacts(bits, &s, keyFormat)
	if err != nil {
		return nil, err
	}
	var value cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&value) || !s.Empty() {
		return nil, errSealedFormat
	}
	k.value = ck.Secret(value)
	return k, nil
}

// unmarshalFacts reads format, facts and rules.
func unmarshalFacts(bits unit.Bits, s *cryptobyte.String, plain uint8) (*key, error) {
	ruled, err := readFormat(s, plain)
	if err != nil {
		return nil, err
	}
	var class, typ, gen uint32
	var allowed, spki cryptobyte.String
	if !s.ReadUint32(&class) || !s.ReadUint32(&typ) || !s.ReadUint32(&gen) ||
		!s.ReadUint16LengthPrefixed(&allowed) || !s.ReadUint16LengthPrefixed(&spki) {
		return nil, errSealedFormat
	}
	k := &key{class: ck.ObjectClass(class), typ: ck.KeyType(typ), gen: genOf(gen), bits: bits, spki: spki}
	for !allowed.Empty() {
		var m uint32
		if !allowed.ReadUint32(&m) {
			return nil, fmt.Errorf("sealed list of mechanisms: %w", ck.CKR_IBM_BLOB_ERROR)
		}
		k.allowed = append(k.allowed, ck.MechanismType(m))
	}
	if ruled {
		err = k.unmarshalRules(s)
	}
	return k, err
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
	if k.remote != nil {
		b, err := k.marshalRemote(wk.WKID())
		if err != nil {
			return nil, err
		}
		return wk.SealKey(k.bits, b)
	}
	b, err := k.marshal()
	if err != nil {
		return nil, fmt.Errorf("key too large: %w", ck.CKR_KEY_SIZE_RANGE)
	}
	defer clear(b)
	return wk.SealKey(k.bits, b)
}

// openKey opens a blob, or finds it opened. The caller releases the key.
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
	k.refs.Store(1) // the caller's
	return u.keys.add(b, k), nil
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
	if u.dev != nil {
		return u.unmarshalRemote(id, bits, sealed)
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
