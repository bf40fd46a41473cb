package pkcs11

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/public"
)

// object is what the module knows of an object. Nothing of it changes; a
// changed object is a new one under the same handle.
type object struct {
	grep11client.Object
	class ck.ObjectClass
	kind  uint64 // key type, certificate type
	owner ck.SessionHandle
	read  time.Time

	parse  sync.Once
	public *public.Key // after parse; nil if Go's crypto cannot use it
}

// sessionObjectBit is set in handles of session objects, never in those of
// stored ones.
const sessionObjectBit ck.ObjectHandle = 1 << 48

func newObject(o grep11client.Object) *object {
	n := &object{Object: o, read: time.Now()}
	class, _, _ := o.Attributes.Ulong(ck.CKA_CLASS)
	n.class = ck.ObjectClass(class)
	kind := ck.CKA_KEY_TYPE
	if n.class == ck.CKO_CERTIFICATE {
		kind = ck.CKA_CERTIFICATE_TYPE
	}
	n.kind, _, _ = o.Attributes.Ulong(kind)
	return n
}

func (o *object) keyType() ck.KeyType { return ck.KeyType(o.kind) }

func (o *object) isKey() bool { return classOf[o.class]&keys != 0 }

func (o *object) onToken() bool { return o.owner == 0 }

func (o *object) String() string {
	if o.isKey() {
		return fmt.Sprintf("%v %v (handle %#x)", o.class, o.keyType(), uint64(o.Handle))
	}
	return fmt.Sprintf("%v (handle %#x)", o.class, uint64(o.Handle))
}

// is tells whether a Boolean attribute is CK_TRUE.
func (o *object) is(at ck.AttributeType) bool {
	a, err := o.attribute(at)
	if err != nil {
		return false
	}
	v, _ := a.Bool()
	return v
}

// readable tells whether secret values may leave: CKA_SENSITIVE false and
// CKA_EXTRACTABLE true.
func (o *object) readable() bool {
	return !o.is(ck.CKA_SENSITIVE) && o.is(ck.CKA_EXTRACTABLE)
}

// attribute gives an attribute as the service holds it, computes it, or gives
// the rule's default. A secret one is CKR_ATTRIBUTE_SENSITIVE here, even when
// the service would tell it; see secretValues.
func (o *object) attribute(at ck.AttributeType) (ck.Attribute, error) {
	switch at { // what a copy's attributes may say otherwise
	case ck.CKA_TOKEN:
		return ck.Bool(at, o.onToken()), nil
	case ck.CKA_UNIQUE_ID:
		return ck.Bytes(at, o.uniqueID()), nil
	}
	r, _ := ruleFor(at, o.class, o.kind)
	if r == nil {
		return ck.Attribute{}, fmt.Errorf("%v of %v: %w", at, o, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	if r.Is&secret != 0 {
		return ck.Attribute{}, fmt.Errorf("%v of %v: %w", at, o, ck.CKR_ATTRIBUTE_SENSITIVE)
	}
	if a, ok := o.Attributes.Get(at); ok {
		return a, nil
	}
	if compute := computers[at]; compute != nil {
		if v := compute(o); v != nil {
			return ck.Bytes(at, v), nil
		}
	}
	if r.Default == nil {
		return ck.Attribute{}, fmt.Errorf("%v of %v is not known: %w", at, o, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
	return ck.Bytes(at, r.Default), nil
}

// computers make attributes that follow from others.
var computers map[ck.AttributeType]func(*object) []byte

func init() {
	computers = map[ck.AttributeType]func(*object) []byte{
		ck.CKA_CHECK_VALUE:     checkValue,
		ck.CKA_PUBLIC_KEY_INFO: publicKeyInfo,
		ck.CKA_MODULUS_BITS:    bitsOf(ck.CKA_MODULUS),
		ck.CKA_PRIME_BITS:      bitsOf(ck.CKA_PRIME),
		ck.CKA_SUBPRIME_BITS:   bitsOf(ck.CKA_SUBPRIME),
	}
}

func (o *object) uniqueID() []byte {
	if len(o.ID) > 0 {
		return []byte(hex.EncodeToString(o.ID))
	}
	return fmt.Appendf(nil, "session-%x", uint64(o.Handle&^sessionObjectBit))
}

// checkValue is that of certificates, §4.7; the service says those of keys.
func checkValue(o *object) []byte {
	switch classOf[o.class] {
	case certs:
		sum := sha1.Sum(o.Attributes.Bytes(ck.CKA_VALUE))
		return sum[:3]
	case secrets:
		return empty
	}
	return nil
}

func publicKeyInfo(o *object) []byte {
	if o.class == ck.CKO_CERTIFICATE {
		return public.InfoOfCertificate(o.Attributes.Bytes(ck.CKA_VALUE))
	}
	if k := o.publicKey(); k != nil {
		return k.Info()
	}
	return empty
}

// bitsOf makes the length of a number.
func bitsOf(number ck.AttributeType) func(*object) []byte {
	return func(o *object) []byte {
		n := new(big.Int).SetBytes(o.Attributes.Bytes(number)).BitLen()
		if n == 0 {
			return nil
		}
		return ulong(uint64(n))
	}
}

// publicKey is the public key in a public or private key object, nil if there
// is none that Go's crypto can use.
func (o *object) publicKey() *public.Key {
	o.parse.Do(func() {
		if classOf[o.class]&pairs != 0 {
			o.public, _ = public.Parse(o.keyType(), o.Attributes)
		}
	})
	return o.public
}

// matches tells whether all attributes of a (normal) search are as given. Secret ones
// never match: a search must not be a way to guess them.
func (o *object) matches(t ck.Template) bool {
	for _, want := range t {
		have, err := o.attribute(want.Type)
		if err != nil || !normal(have).Equal(want) {
			return false
		}
	}
	return true
}
