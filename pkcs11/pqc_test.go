package pkcs11_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"testing"

	"filippo.io/mldsa"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func kind(kt ck.KeyType, class ck.ObjectClass, set uint64) ck.Template {
	return ck.Template{ck.Ulong(ck.CKA_CLASS, class), ck.Ulong(ck.CKA_KEY_TYPE, kt), ck.Ulong(ck.CKA_PARAMETER_SET, set)}
}

func (u *user) encapsulate(pub ck.ObjectHandle, t ck.Template) (key ck.ObjectHandle, ct []byte, err error) {
	ct, err = output(u.t, func(o *pkcs11.Output) (err error) {
		key, err = u.m.EncapsulateKey(u.t.Context(), u.h, mechanism(ck.CKM_ML_KEM), pub, t, o)
		return err
	})
	return key, ct, err
}

func (u *user) decapsulate(priv ck.ObjectHandle, t ck.Template, ct []byte) (ck.ObjectHandle, error) {
	return u.m.DecapsulateKey(u.t.Context(), u.h, mechanism(ck.CKM_ML_KEM), priv, t, ct)
}

func (u *user) value(o ck.ObjectHandle) []byte {
	u.t.Helper()
	v, err := u.get(o, ck.CKA_VALUE)
	wants(u.t, "value", err, nil)
	return v
}

var shown = ck.Template{ck.Bool(ck.CKA_SENSITIVE, false)}

// Against Go's ML-KEM: its public key and its private one are objects here, by
// seed, expanded key and both, in the session and on the token.
func TestEncapsulate(t *testing.T) {
	u := start(t)
	dk, err := mlkem.GenerateKey768()
	wants(t, "Go's key", err, nil)
	pub := u.create(kind(ck.CKK_ML_KEM, ck.CKO_PUBLIC_KEY, ck.CKP_ML_KEM_768).With(ck.Template{ck.Bytes(ck.CKA_VALUE, dk.EncapsulationKey().Bytes()), ck.Bool(ck.CKA_TOKEN, true)}))
	private := kind(ck.CKK_ML_KEM, ck.CKO_PRIVATE_KEY, ck.CKP_ML_KEM_768).Set(ck.Bytes(ck.CKA_SEED, dk.Bytes()))
	before := len(u.find(nil))
	key, ct, err := u.encapsulate(pub, shown)
	wants(t, "encapsulate", err, nil)
	if n := len(u.find(nil)); n != before+1 {
		t.Errorf("a length query made keys: %d more", n-before)
	}
	want, err := dk.Decapsulate(ct)
	if err != nil || !bytes.Equal(u.value(key), want) {
		t.Errorf("Go has another secret: %v", err)
	}
	for _, at := range []ck.AttributeType{ck.CKA_LOCAL, ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE} {
		if u.flag(key, at) {
			t.Errorf("%v of an encapsulated key is true", at)
		}
	}
	if !u.flag(key, ck.CKA_EXTRACTABLE) {
		t.Error("an encapsulated key is not extractable by default")
	}
	open := u.create(private.With(ck.Template{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)}))
	expanded := ck.Bytes(ck.CKA_VALUE, u.value(open))
	for name, tmpl := range map[string]ck.Template{"seed": private, "value": private.Without(ck.CKA_SEED).Set(expanded), "both, on the token": private.With(ck.Template{expanded, ck.Bool(ck.CKA_TOKEN, true)})} {
		got, err := u.decapsulate(u.create(tmpl), shown, ct)
		wants(t, name, err, nil)
		if err == nil && !bytes.Equal(u.value(got), want) {
			t.Errorf("%s: another secret", name)
		}
	}
	secret, goCT := dk.EncapsulationKey().Encapsulate()
	aes := shown.With(ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_TOKEN, true)})
	got, err := u.decapsulate(open, aes, goCT)
	wants(t, "Go's ciphertext", err, nil)
	if !bytes.Equal(u.value(got), secret) {
		t.Error("Go's ciphertext holds another secret")
	}
}

func TestEncapsulateRefusals(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	set := ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_512)}
	aes := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}
	pair := func(pub, priv ck.Template) (ck.ObjectHandle, ck.ObjectHandle) {
		t.Helper()
		p, q, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(ck.CKM_ML_KEM_KEY_PAIR_GEN), set.With(pub), priv)
		wants(t, "pair", err, nil)
		return p, q
	}
	pub, priv := pair(ck.Template{{Type: ck.CKA_ENCAPSULATE_TEMPLATE, Sub: aes}}, ck.Template{{Type: ck.CKA_DECAPSULATE_TEMPLATE, Sub: aes}})
	shutPub, shutPriv := pair(ck.Template{ck.Bool(ck.CKA_ENCAPSULATE, false)}, ck.Template{ck.Bool(ck.CKA_DECAPSULATE, false)})
	generic := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)}
	key, ct, err := u.encapsulate(pub, aes)
	wants(t, "the templates agree", err, nil)
	if v, err := u.get(key, ck.CKA_KEY_TYPE); err != nil || v[0] != byte(ck.CKK_AES) {
		t.Errorf("key type %x, %v", v, err)
	}
	ec, ecPriv := u.ec()
	encapsulate := func(k ck.ObjectHandle, tmpl ck.Template) error { _, _, err := u.encapsulate(k, tmpl); return err }
	decapsulate := func(k ck.ObjectHandle, tmpl ck.Template, ct []byte) error {
		_, err := u.decapsulate(k, tmpl, ct)
		return err
	}
	var n uint64
	_, param := u.m.EncapsulateKey(ctx, u.h, mechanism(ck.CKM_ML_KEM, &mech.Kyber{}), pub, aes, pkcs11.NewOutput(nil, &n))
	_, derive := u.m.EncapsulateKey(ctx, u.h, mechanism(ck.CKM_ECDH1_DERIVE), pub, aes, pkcs11.NewOutput(nil, &n))
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"against the public key's template", encapsulate(pub, generic), ck.CKR_KEY_HANDLE_INVALID},
		{"against the private key's template", decapsulate(priv, generic, ct), ck.CKR_TEMPLATE_INCONSISTENT},
		{"without the right to encapsulate", encapsulate(shutPub, aes), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"without the right to decapsulate", decapsulate(shutPriv, aes, ct), ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"to encapsulate with a private key", encapsulate(priv, aes), ck.CKR_KEY_TYPE_INCONSISTENT},
		{"to encapsulate with an EC key", encapsulate(ec, aes), ck.CKR_KEY_TYPE_INCONSISTENT},
		{"to decapsulate with an EC key", decapsulate(ecPriv, aes, ct), ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT},
		{"with no key", encapsulate(0, aes), ck.CKR_KEY_HANDLE_INVALID},
		{"with no private key", decapsulate(0, aes, ct), ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID},
		{"a short ciphertext", decapsulate(priv, aes, ct[1:]), ck.CKR_WRAPPED_KEY_LEN_RANGE},
		{"a public key as the result", encapsulate(pub, aes.Set(ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY))), ck.CKR_TEMPLATE_INCONSISTENT},
		{"a parameter", param, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a mechanism that derives", derive, ck.CKR_MECHANISM_INVALID},
	} {
		wants(t, c.name, c.err, c.want)
	}
	// FIPS 203's implicit rejection: another ciphertext is another key, not an error.
	other := bytes.Clone(ct)
	other[0] ^= 1
	got, err := u.decapsulate(priv, shown.With(aes), other)
	wants(t, "an altered ciphertext", err, nil)
	same, err := u.decapsulate(priv, shown.With(aes), ct)
	wants(t, "the ciphertext", err, nil)
	if bytes.Equal(u.value(got), u.value(same)) {
		t.Error("an altered ciphertext gives the same key")
	}
}

// The vendor's KEMs go by CKA_DERIVE.
func TestEncapsulateWithVendorKeys(t *testing.T) {
	u := start(t)
	derive := ck.Bool(ck.CKA_DERIVE, true)
	kyber := append(bytes.Clone(dilithium[:10]), 5, 3, 3) // round 2, 768
	for _, c := range []struct {
		pair, kem ck.MechanismType
		set       ck.Attribute
	}{
		{ck.CKM_IBM_KYBER, ck.CKM_IBM_KYBER, ck.Bytes(ck.CKA_IBM_PQC_PARAMS, kyber)},
		{ck.CKM_IBM_ML_KEM_KEY_PAIR_GEN, ck.CKM_IBM_ML_KEM, ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_512)},
	} {
		pub, priv, err := u.m.GenerateKeyPair(t.Context(), u.h, mechanism(c.pair), ck.Template{c.set, derive}, ck.Template{derive})
		wants(t, c.pair.String(), err, nil)
		var key ck.ObjectHandle
		ct, err := output(t, func(o *pkcs11.Output) (err error) {
			key, err = u.m.EncapsulateKey(t.Context(), u.h, mechanism(c.kem), pub, shown, o)
			return err
		})
		wants(t, c.kem.String()+" encapsulates", err, nil)
		got, err := u.m.DecapsulateKey(t.Context(), u.h, mechanism(c.kem), priv, shown, ct)
		wants(t, c.kem.String()+" decapsulates", err, nil)
		if !bytes.Equal(u.value(key), u.value(got)) {
			t.Errorf("%v: the secrets differ", c.kem)
		}
		_, err = u.m.DecapsulateKey(t.Context(), u.h, mechanism(c.kem, &mech.Kyber{}), priv, shown, ct)
		wants(t, "a parameter", err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}

// Against filippo.io/mldsa: its key is an object here, and both sign.
func TestMLDSAObjects(t *testing.T) {
	u := start(t)
	text := []byte("post-quantum")
	sk, err := mldsa.GenerateKey(mldsa.MLDSA65())
	wants(t, "key", err, nil)
	pub := u.create(kind(ck.CKK_ML_DSA, ck.CKO_PUBLIC_KEY, ck.CKP_ML_DSA_65).Set(ck.Bytes(ck.CKA_VALUE, sk.PublicKey().Bytes())))
	priv := u.create(kind(ck.CKK_ML_DSA, ck.CKO_PRIVATE_KEY, ck.CKP_ML_DSA_65).With(ck.Template{ck.Bytes(ck.CKA_SEED, sk.Bytes()), ck.Bool(ck.CKA_TOKEN, true)}))
	m := mechanism(ck.CKM_ML_DSA, &mech.SignContext{Context: []byte("here")})
	for _, parts := range []int{0, 5} {
		sig, err := u.sign(m, priv, text, parts)
		wants(t, "sign", err, nil)
		wants(t, "the other verifies", mldsa.Verify(sk.PublicKey(), text, sig, &mldsa.Options{Context: "here"}), nil)
	}
	sig, err := sk.Sign(rand.Reader, text, &mldsa.Options{Context: "here"})
	wants(t, "the other signs", err, nil)
	wants(t, "verify", u.verify(m, pub, text, sig, 0), nil)
	wants(t, "verify in parts", u.verify(m, pub, text, sig, 5), nil)
	wants(t, "init", u.m.VerifySignatureInit(t.Context(), u.h, &m, pub, sig), nil)
	wants(t, "update", u.m.VerifySignatureUpdate(t.Context(), u.h, text), nil)
	wants(t, "final", u.m.VerifySignatureFinal(t.Context(), u.h), nil)
	wants(t, "another context", u.verify(mechanism(ck.CKM_ML_DSA), pub, text, sig, 0), ck.CKR_SIGNATURE_INVALID)
	wants(t, "a short signature", u.verify(m, pub, text, sig[1:], 0), ck.CKR_SIGNATURE_LEN_RANGE)
	a, err := u.get(pub, ck.CKA_PUBLIC_KEY_INFO)
	b, errB := u.get(priv, ck.CKA_PUBLIC_KEY_INFO)
	if err != nil || errB != nil || len(a) == 0 || !bytes.Equal(a, b) {
		t.Errorf("PUBLIC_KEY_INFO of the halves: %d and %d bytes, %v, %v", len(a), len(b), err, errB)
	}
	_, err = u.get(priv, ck.CKA_SEED)
	wants(t, "the seed", err, ck.CKR_ATTRIBUTE_SENSITIVE)
	_, err = u.get(priv, ck.CKA_VALUE)
	wants(t, "the value", err, ck.CKR_ATTRIBUTE_SENSITIVE)
}

func TestPQCTemplates(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub := kind(ck.CKK_ML_DSA, ck.CKO_PUBLIC_KEY, ck.CKP_ML_DSA_44)
	priv := kind(ck.CKK_ML_DSA, ck.CKO_PRIVATE_KEY, ck.CKP_ML_DSA_44)
	create := func(tmpl ck.Template) error { _, err := u.m.CreateObject(ctx, u.h, tmpl); return err }
	pair := func(m ck.MechanismType, pub ck.Template) error {
		_, _, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(m), pub, nil)
		return err
	}
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"a public key of another length", create(pub.Set(ck.Bytes(ck.CKA_VALUE, make([]byte, 1311)))), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a public key without value", create(pub), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a private key without value and seed", create(priv), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a seed of another length", create(priv.Set(ck.Bytes(ck.CKA_SEED, make([]byte, 31)))), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an unknown set", create(pub.With(ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, 9), ck.Bytes(ck.CKA_VALUE, []byte{1})})), ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
		{"a private value of zeros", create(priv.Set(ck.Bytes(ck.CKA_VALUE, make([]byte, 2560)))), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a seed of SLH-DSA", create(kind(ck.CKK_SLH_DSA, ck.CKO_PRIVATE_KEY, 1).Set(ck.Bytes(ck.CKA_SEED, make([]byte, 32)))), ck.CKR_TEMPLATE_INCONSISTENT},
		{"a pair without a set", pair(ck.CKM_ML_DSA_KEY_PAIR_GEN, nil), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a pair of an unknown set", pair(ck.CKM_SLH_DSA_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, 13)}), ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
		{"a strength that is none", pair(ck.CKM_IBM_KYBER, ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, p256)}), ck.CKR_IBM_PQC_PARAMS_NOT_SUPPORTED},
	} {
		wants(t, c.name, c.err, c.want)
	}
}
