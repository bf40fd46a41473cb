package vectors

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Service is a way to a crypto unit: GREP11 (OverGREP11) or the library's C
// functions (ThroughModule). A refusal is a ck.RV.
type Service interface {
	offers(t ck.MechanismType) bool
	importSecret(ctx context.Context, kt ck.KeyType, value []byte) (key, error)
	importPrivate(ctx context.Context, kt ck.KeyType, pkcs8 []byte) (key, error)
	importPublic(ctx context.Context, spki []byte) (key, error)
	// publicInfo is CKA_PUBLIC_KEY_INFO, of either half.
	publicInfo(ctx context.Context, k key) ([]byte, error)
	decrypt(ctx context.Context, k key, t ck.MechanismType, p mech.Param, ct []byte) ([]byte, error)
	sign(ctx context.Context, k key, t ck.MechanismType, p mech.Param, data []byte) ([]byte, error)
	verify(ctx context.Context, k key, t ck.MechanismType, p mech.Param, data, sig []byte) error
	// derive makes a generic secret that may be read, and reads it.
	derive(ctx context.Context, base key, t ck.MechanismType, p mech.Param, lenBytes int) ([]byte, error)
	encapsulate(ctx context.Context, public key) (secret, ct []byte, err error)
	decapsulate(ctx context.Context, private key, ct []byte) (secret []byte, err error)
	// forget lets go of all keys that were brought in.
	forget()
}

// key is a service's: a blob over GREP11, a handle in a module.
type key struct {
	blob   []byte
	handle uintptr
}

// runner runs cases, with the keys of the group at hand.
type runner struct {
	Service
	keys map[string]key
}

// need leaves a case out when the service lacks its mechanism.
func (r *runner) need(t ck.MechanismType) error {
	if !r.offers(t) {
		return leftOut(fmt.Sprintf("the service does not offer %v", t))
	}
	return nil
}

// once keeps the key that a group's cases share.
func (r *runner) once(name string, get func() (key, error)) (key, error) {
	if k, ok := r.keys[name]; ok {
		return k, nil
	}
	k, err := get()
	if err == nil {
		r.keys[name] = k
	}
	return k, err
}

// Templates of keys that are brought in, and of one whose value is compared.
func secretKey(kt ck.KeyType) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kt),
		ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true),
		ck.Bool(ck.CKA_DERIVE, true)}
}

func privateKey(kt ck.KeyType) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), ck.Ulong(ck.CKA_KEY_TYPE, kt),
		ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_DECAPSULATE, true)}
}

func readable(lenBytes int) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Ulong(ck.CKA_VALUE_LEN, lenBytes), ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}
}
