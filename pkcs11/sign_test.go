package pkcs11_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// sign signs at once or, if parts is not 0, in parts of so many bytes.
func (u *user) sign(m mech.Mechanism, key ck.ObjectHandle, data []byte, parts int) ([]byte, error) {
	ctx := u.t.Context()
	if err := u.m.SignInit(ctx, u.h, &m, key); err != nil {
		return nil, err
	}
	if parts == 0 {
		return output(u.t, func(o *pkcs11.Output) error { return u.m.Sign(ctx, u.h, data, o) })
	}
	for len(data) > 0 {
		n := min(parts, len(data))
		if err := u.m.SignUpdate(ctx, u.h, data[:n]); err != nil {
			return nil, err
		}
		data = data[n:]
	}
	return output(u.t, func(o *pkcs11.Output) error { return u.m.SignFinal(ctx, u.h, o) })
}

func (u *user) verify(m mech.Mechanism, key ck.ObjectHandle, data, sig []byte, parts int) error {
	ctx := u.t.Context()
	if err := u.m.VerifyInit(ctx, u.h, &m, key); err != nil {
		return err
	}
	if parts == 0 {
		return u.m.Verify(ctx, u.h, data, sig)
	}
	for len(data) > 0 {
		n := min(parts, len(data))
		if err := u.m.VerifyUpdate(ctx, u.h, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return u.m.VerifyFinal(ctx, u.h, sig)
}

func TestSignatures(t *testing.T) {
	s := newStack(t)
	for _, local := range []bool{true, false} {
		m := s.module(fmt.Sprintf("local_public_ops = %v", local))
		u := login(t, m)
		rsaPub, rsaKey := u.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048), ck.Bool(ck.CKA_VERIFY, true)})
		ecPub, ecKey := u.ec()
		edPub, edKey := u.pair(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, ed25519), ck.Bool(ck.CKA_VERIFY, true)})
		mac := u.aes(ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true))
		pss := &mech.PSS{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, SaltLen: 32}
		long := bytes.Repeat([]byte("0123456789abcdef"), 20000)
		digest := sha256.Sum256(long)
		for _, c := range []struct {
			m         mech.Mechanism
			pub, priv ck.ObjectHandle
			data      []byte
			lenSig    int
		}{
			{mechanism(ck.CKM_SHA256_RSA_PKCS), rsaPub, rsaKey, long, 256},
			{mechanism(ck.CKM_RSA_PKCS), rsaPub, rsaKey, digest[:], 256},
			{mechanism(ck.CKM_RSA_X_509), rsaPub, rsaKey, digest[:], 256},
			{mechanism(ck.CKM_SHA256_RSA_PKCS_PSS, pss), rsaPub, rsaKey, long, 256},
			{mechanism(ck.CKM_RSA_PKCS_PSS, pss), rsaPub, rsaKey, digest[:], 256},
			{mechanism(ck.CKM_ECDSA), ecPub, ecKey, digest[:], 64},
			{mechanism(ck.CKM_ECDSA_SHA512), ecPub, ecKey, long, 64},
			{mechanism(ck.CKM_ECDSA_SHA1), ecPub, ecKey, nil, 64},
			{mechanism(ck.CKM_EDDSA), edPub, edKey, long, 64},
			{mechanism(ck.CKM_SHA384_HMAC), mac, mac, long, 48},
			{mechanism(ck.CKM_SHA_1_HMAC), mac, mac, nil, 20},
		} {
			for _, parts := range []int{0, 7000} {
				name := fmt.Sprintf("%v, local %v, parts of %d", c.m, local, parts)
				sig, err := u.sign(c.m, c.priv, c.data, parts)
				if err != nil || len(sig) != c.lenSig {
					t.Errorf("%s: %d bytes, %v", name, len(sig), err)
					continue
				}
				wants(t, name+": verified", u.verify(c.m, c.pub, c.data, sig, 7000-parts), nil)
				sig[len(sig)-1] ^= 1
				wants(t, name+": altered", u.verify(c.m, c.pub, c.data, sig, parts), ck.CKR_SIGNATURE_INVALID)
				wants(t, name+": cut", u.verify(c.m, c.pub, c.data, sig[1:], parts), ck.CKR_SIGNATURE_LEN_RANGE)
			}
		}
	}
}

func TestSignatureIsGood(t *testing.T) {
	u := start(t)
	pub, key := u.ec()
	info, err := u.get(pub, ck.CKA_PUBLIC_KEY_INFO)
	wants(t, "public key", err, nil)
	private, err := u.get(key, ck.CKA_PUBLIC_KEY_INFO)
	wants(t, "public key of the private one", err, nil)
	if !bytes.Equal(info, private) {
		t.Errorf("public keys differ: %x, %x", info, private)
	}
	parsed, err := x509.ParsePKIXPublicKey(info)
	wants(t, "as X.509 has it", err, nil)
	sig, err := u.sign(mechanism(ck.CKM_ECDSA_SHA256), key, []byte("data"), 0)
	wants(t, "signature", err, nil)
	digest := sha256.Sum256([]byte("data"))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(parsed.(*ecdsa.PublicKey), digest[:], r, s) {
		t.Error("Go does not verify the signature")
	}
}

func TestOperationLife(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	pub, key := u.ec(ck.Bool(ck.CKA_DERIVE, false))
	m, raw := mechanism(ck.CKM_ECDSA_SHA256), mechanism(ck.CKM_ECDSA)
	out := func() *pkcs11.Output {
		n := uint64(100)
		return pkcs11.NewOutput(make([]byte, n), &n)
	}
	wants(t, "nothing is active", u.m.Sign(ctx, u.h, nil, out()), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "nothing to update", u.m.SignUpdate(ctx, u.h, nil), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "no mechanism", u.m.SignInit(ctx, u.h, nil, key), ck.CKR_ARGUMENTS_BAD)
	wants(t, "an unknown mechanism", u.m.SignInit(ctx, u.h, &mech.Mechanism{Type: 0x7fffffff}, key), ck.CKR_MECHANISM_INVALID)
	aes := mechanism(ck.CKM_AES_ECB)
	wants(t, "a mechanism for something else", u.m.SignInit(ctx, u.h, &aes, key), ck.CKR_MECHANISM_INVALID)
	wants(t, "no key", u.m.SignInit(ctx, u.h, &m, 0), ck.CKR_KEY_HANDLE_INVALID)
	wants(t, "a handle nobody has", u.m.SignInit(ctx, u.h, &m, 4711), ck.CKR_KEY_HANDLE_INVALID)
	rsa := mechanism(ck.CKM_SHA256_RSA_PKCS)
	wants(t, "a key of another type", u.m.SignInit(ctx, u.h, &rsa, key), ck.CKR_KEY_TYPE_INCONSISTENT)
	wants(t, "a key of another class", u.m.SignInit(ctx, u.h, &m, pub), ck.CKR_KEY_TYPE_INCONSISTENT)
	bad := mechanism(ck.CKM_ECDSA_SHA256, mech.IV("x"))
	wants(t, "a parameter too many", u.m.SignInit(ctx, u.h, &bad, key), ck.CKR_MECHANISM_PARAM_INVALID)

	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "init again", u.m.SignInit(ctx, u.h, &m, key), ck.CKR_OPERATION_ACTIVE)
	wants(t, "another kind may be active beside it", u.m.VerifyInit(ctx, u.h, &m, pub), nil)
	wants(t, "no mechanism ends it", u.m.SignInit(ctx, u.h, nil, 0), nil)
	wants(t, "ended", u.m.SignFinal(ctx, u.h, out()), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "the other one lives", u.m.VerifyUpdate(ctx, u.h, []byte("x")), nil)
	wants(t, "cancel", u.m.SessionCancel(ctx, u.h, ck.CKF_VERIFY|ck.CKF_SIGN), nil)
	wants(t, "cancelled", u.m.VerifyUpdate(ctx, u.h, []byte("x")), ck.CKR_OPERATION_NOT_INITIALIZED)

	wants(t, "init", u.m.SignInit(ctx, u.h, &m, key), nil)
	wants(t, "update", u.m.SignUpdate(ctx, u.h, []byte("x")), nil)
	wants(t, "parts do not end at once", u.m.Sign(ctx, u.h, nil, out()), ck.CKR_OPERATION_ACTIVE)
	wants(t, "that ended it", u.m.SignUpdate(ctx, u.h, nil), ck.CKR_OPERATION_NOT_INITIALIZED)
	wants(t, "init", u.m.VerifyInit(ctx, u.h, &raw, pub), nil)
	wants(t, "a wrong signature", u.m.Verify(ctx, u.h, []byte("x"), make([]byte, 64)), ck.CKR_SIGNATURE_INVALID)
	wants(t, "ended it", u.m.Verify(ctx, u.h, []byte("x"), make([]byte, 64)), ck.CKR_OPERATION_NOT_INITIALIZED)
}
