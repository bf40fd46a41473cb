package soft

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/bits"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func init() {
	provide(engine{generate: generateAES}, ck.CKM_AES_KEY_GEN)
	provide(engine{generate: generateDES(ck.CKK_DES3, 24)}, ck.CKM_DES3_KEY_GEN)
	provide(engine{generate: generateDES(ck.CKK_DES2, 16)}, ck.CKM_DES2_KEY_GEN)
	provide(engine{generate: generateGeneric, derive: deriveGeneric}, ck.CKM_GENERIC_SECRET_KEY_GEN)
}

// GenerateKey makes a secret key.
func (u *Unit) GenerateKey(ctx context.Context, m mech.Mechanism, t ck.Template) (unit.Key, error) {
	e, _, err := u.engineOf(m, ck.CKF_GENERATE)
	if err != nil {
		return unit.Key{}, err
	}
	if err := u.policy.Load().generates(m); err != nil {
		return unit.Key{}, err
	}
	if e.parameters != nil {
		return u.generateParameters(ctx, e, m, t)
	}
	if e.generate == nil {
		return unit.Key{}, invalidMechanism(m, "does not generate a key")
	}
	r, err := readRequest(t, ck.CKO_SECRET_KEY)
	if err != nil {
		return unit.Key{}, err
	}
	k, err := e.generate(m, r)
	if err != nil {
		return unit.Key{}, err
	}
	k.gen = m.Type
	if err := k.take(r, secretDefaults); err != nil {
		return unit.Key{}, err
	}
	k.bits = born(k.bits)
	return u.answer(k, k.checkValue())
}

// take gives a new key the rights that its template asks for.
func (k *key) take(r *request, defaults unit.Bits) (err error) {
	k.class = r.class
	if k.bits, err = r.readBits(defaults); err != nil {
		return err
	}
	if k.allowed, err = r.readAllowed(); err != nil {
		return err
	}
	k.rules, err = r.readRules()
	return err
}

// answer seals a new key.
func (u *Unit) answer(k *key, checkSum []byte) (unit.Key, error) {
	if err := u.policy.Load().makes(k); err != nil {
		return unit.Key{}, err
	}
	if u.dev != nil && k.value != nil {
		if err := u.moveIn(k); err != nil {
			return unit.Key{}, err
		}
	}
	return u.sealed(k, checkSum)
}

func (u *Unit) sealed(k *key, checkSum []byte) (unit.Key, error) {
	b, err := u.seal(k)
	if err != nil {
		return unit.Key{}, err
	}
	t, err := k.attributes()
	return unit.Key{Blob: b, CheckSum: checkSum, Attributes: t}, err
}

func secretOf(typ ck.KeyType, n int) *key {
	k := &key{typ: typ, value: make(ck.Secret, n)}
	rand.Read(k.value)
	return k
}

// readAES and its like settle the type of a new key, and give its length.
func readAES(r *request) (int, error) { return r.lenOf(ck.CKK_AES) }

func (r *request) lenOf(types ...ck.KeyType) (int, error) {
	if err := r.want(types...); err != nil {
		return 0, err
	}
	n, err := r.ulong(ck.CKA_VALUE_LEN)
	if err != nil {
		return 0, err
	}
	return int(n), checkSecretLen(r.typ, n)
}

func generateAES(_ mech.Mechanism, r *request) (*key, error) {
	n, err := readAES(r)
	if err != nil {
		return nil, err
	}
	return secretOf(ck.CKK_AES, n), nil
}

// readDES ignores VALUE_LEN, which examples set to anything (grep11-wire 8.3).
func readDES(typ ck.KeyType, n int) func(*request) (int, error) {
	return func(r *request) (int, error) { return n, r.want(typ) }
}

func generateDES(typ ck.KeyType, n int) func(mech.Mechanism, *request) (*key, error) {
	return func(_ mech.Mechanism, r *request) (*key, error) {
		if err := r.want(typ); err != nil {
			return nil, err
		}
		for {
			k := secretOf(typ, n)
			oddParity(k.value)
			if !weakDES(k.value) {
				return k, nil
			}
		}
	}
}

// oddParity sets the lowest bit of each byte as DES keys have it.
func oddParity(v ck.Secret) {
	for i, b := range v {
		v[i] = b&^1 | byte(bits.OnesCount8(b&^1)&1^1)
	}
}

// weakDES: two equal parts next to each other undo one another.
func weakDES(v ck.Secret) bool {
	for i := 8; i+8 <= len(v); i += 8 {
		if sameBytes(v[i-8:i], v[i:i+8]) {
			return true
		}
	}
	return false
}

var hmacTypes = []ck.KeyType{ck.CKK_GENERIC_SECRET, ck.CKK_SHA_1_HMAC, ck.CKK_SHA224_HMAC, ck.CKK_SHA256_HMAC,
	ck.CKK_SHA384_HMAC, ck.CKK_SHA512_HMAC, ck.CKK_SHA512_224_HMAC, ck.CKK_SHA512_256_HMAC,
	ck.CKK_SHA3_224_HMAC, ck.CKK_SHA3_256_HMAC, ck.CKK_SHA3_384_HMAC, ck.CKK_SHA3_512_HMAC, ck.CKK_HKDF}

func readGeneric(r *request) (int, error) { return r.lenOf(hmacTypes...) }

func generateGeneric(_ mech.Mechanism, r *request) (*key, error) {
	n, err := readGeneric(r)
	if err != nil {
		return nil, err
	}
	return secretOf(r.typ, n), nil
}

// maxGeneric bounds a generic secret, in bytes.
const maxGeneric = 16 << 10

// secretLens are the lengths of keys of fixed size.
var secretLens = map[ck.KeyType][]uint64{
	ck.CKK_AES:      {16, 24, 32},
	ck.CKK_CHACHA20: {32},
	ck.CKK_DES3:     {24},
	ck.CKK_DES2:     {16},
}

func checkSecretLen(typ ck.KeyType, n uint64) error {
	lens, ok := secretLens[typ]
	if !ok && n >= 1 && n <= maxGeneric {
		return nil
	}
	for _, l := range lens {
		if l == n {
			return nil
		}
	}
	return fmt.Errorf("%v key of %d bytes: %w", typ, n, ck.CKR_KEY_SIZE_RANGE)
}
