package pkcs11_test

import (
	"bytes"
	"crypto/dsa"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha3"
	"encoding/hex"
	"math/big"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

func TestSHA3(t *testing.T) {
	u := start(t)
	m := mechanism(ck.CKM_SHA3_256)
	want := sha3.Sum256([]byte("x"))
	wants(t, "init", u.m.DigestInit(t.Context(), u.h, &m), nil)
	got, err := output(t, func(o *pkcs11.Output) error { return u.m.Digest(t.Context(), u.h, []byte("x"), o) })
	if err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("%x, %v", got, err)
	}
}

// Every signature mechanism of the service signs what it verifies, at once and
// in parts, and gives as many bytes as it said.
func TestEverySignature(t *testing.T) {
	u := start(t)
	ctx := t.Context()
	may := []ck.Attribute{ck.Bool(ck.CKA_SIGN, true)}
	verify := ck.Bool(ck.CKA_VERIFY, true)
	keys := map[ck.KeyType][2]ck.ObjectHandle{}
	for kind, c := range map[ck.KeyType]struct {
		m   ck.MechanismType
		pub ck.Template
	}{
		ck.CKK_RSA:        {ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048)}},
		ck.CKK_EC:         {ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256)}},
		ck.CKK_EC_EDWARDS: {ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, ed25519)}},
		ck.CKK_DSA:        {ck.CKM_DSA_KEY_PAIR_GEN, u.group(ck.CKM_DSA_PARAMETER_GEN)},
		ck.CKK_ML_DSA:     {ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_DSA_44)}},
		ck.CKK_SLH_DSA:    {ck.CKM_SLH_DSA_KEY_PAIR_GEN, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_SLH_DSA_SHA2_128F)}},

		ck.CKK_IBM_PQC_DILITHIUM: {ck.CKM_IBM_DILITHIUM, ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, dilithium)}},
	} {
		pub, priv, err := u.m.GenerateKeyPair(ctx, u.h, mechanism(c.m), append(c.pub, verify), may)
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		keys[kind] = [2]ck.ObjectHandle{pub, priv}
	}
	for kind, m := range map[ck.KeyType]ck.MechanismType{ck.CKK_AES: ck.CKM_AES_KEY_GEN, ck.CKK_DES3: ck.CKM_DES3_KEY_GEN, ck.CKK_GENERIC_SECRET: ck.CKM_GENERIC_SECRET_KEY_GEN} {
		tmpl := append(ck.Template{verify}, may...)
		if kind != ck.CKK_DES3 {
			tmpl = append(tmpl, ck.Ulong(ck.CKA_VALUE_LEN, 16)) // SipHash has no other length
		}
		k, err := u.m.GenerateKey(ctx, u.h, mechanism(m), tmpl)
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		keys[kind] = [2]ck.ObjectHandle{k, k}
	}
	list, err := u.m.GetMechanismList(ctx, 0)
	wants(t, "mechanisms", err, nil)
	done := 0
	for _, mt := range list {
		row, err := mech.Lookup(mt)
		if err != nil || row.Use&ck.CKF_SIGN == 0 || row.Use&ck.CKF_VERIFY == 0 || row.Param == mech.ParamECSG {
			continue
		}
		m := mechanism(mt)
		data := []byte("the twenty bytes....")
		switch row.Param {
		case mech.ParamPSS:
			m.Param = pssOf(row)
		case mech.ParamMACLen:
			m.Param = &mech.MACLen{Bytes: 8}
		case mech.ParamGCM:
			m.Param = &mech.GCM{IV: make([]byte, 12), TagBits: 128}
		case mech.ParamHashContext:
			m.Param, data = &mech.SignContext{Hash: ck.CKM_SHA3_224}, append(data, "8 more.."...)
		}
		for _, kind := range row.Keys {
			pair, ok := keys[kind]
			if !ok || mt == ck.CKM_IBM_ED448_SHA3 {
				continue
			}
			for _, parts := range []int{0, 7} {
				sig, err := u.sign(m, pair[1], data, parts)
				wants(t, mt.String()+" signs", err, nil)
				wants(t, mt.String()+" verifies", u.verify(m, pair[0], data, sig, 7-parts), nil)
				done++
			}
		}
	}
	if done < 120 {
		t.Errorf("only %d signatures", done)
	}
}

// pssOf gives a PSS mechanism the parameter of its own hash, SHA-1 if it has none.
func pssOf(row *mech.Row) *mech.PSS {
	for _, r := range mech.All() {
		if r.Use&ck.CKF_DIGEST == 0 || r.Hash != row.Hash && (row.Hash != 0 || r.Type != ck.CKM_SHA_1) {
			continue
		}
		for mgf := uint64(1); mgf < 16; mgf++ {
			if h, ok := mech.MGFHash(mgf); ok && h == r.Hash {
				return &mech.PSS{Hash: r.Type, MGF: mgf, SaltLen: 20}
			}
		}
	}
	return nil
}

// group makes domain parameters and gives their numbers.
func (u *user) group(m ck.MechanismType) ck.Template {
	u.t.Helper()
	o, err := u.m.GenerateKey(u.t.Context(), u.h, mechanism(m), ck.Template{ck.Ulong(ck.CKA_PRIME_BITS, 2048)})
	if err != nil {
		u.t.Fatal(err)
	}
	numbers := []ck.AttributeType{ck.CKA_PRIME, ck.CKA_BASE}
	if m == ck.CKM_DSA_PARAMETER_GEN {
		numbers = append(numbers, ck.CKA_SUBPRIME)
	}
	var out ck.Template
	for _, at := range numbers {
		v, err := u.get(o, at)
		wants(u.t, at.String(), err, nil)
		out = append(out, ck.Bytes(at, v))
	}
	return out
}

func TestDSAAgainstGo(t *testing.T) {
	u := start(t)
	group := u.group(ck.CKM_DSA_PARAMETER_GEN)
	pub, priv, err := u.m.GenerateKeyPair(t.Context(), u.h, mechanism(ck.CKM_DSA_KEY_PAIR_GEN), group, ck.Template{ck.Bool(ck.CKA_SIGN, true)})
	wants(t, "pair", err, nil)
	sig, err := u.sign(mechanism(ck.CKM_DSA_SHA1), priv, []byte("x"), 0)
	wants(t, "signature", err, nil)
	number := func(at ck.AttributeType) *big.Int { return new(big.Int).SetBytes(group.Bytes(at)) }
	y, err := u.get(pub, ck.CKA_VALUE)
	wants(t, "public value", err, nil)
	key := &dsa.PublicKey{Parameters: dsa.Parameters{P: number(ck.CKA_PRIME), Q: number(ck.CKA_SUBPRIME), G: number(ck.CKA_BASE)}, Y: new(big.Int).SetBytes(y)}
	digest := sha1.Sum([]byte("x"))
	if half := len(sig) / 2; !dsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])) {
		t.Error("Go does not verify")
	}
}

func TestX25519AgainstGo(t *testing.T) {
	u := start(t)
	x25519 := []byte{6, 3, 0x2b, 0x65, 0x6e}
	pub, priv, err := u.m.GenerateKeyPair(t.Context(), u.h, mechanism(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN), ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, x25519)}, ck.Template{ck.Bool(ck.CKA_DERIVE, true)})
	wants(t, "pair", err, nil)
	point, err := u.get(pub, ck.CKA_EC_POINT)
	if err != nil || len(point) != 32 {
		t.Fatalf("point %x, %v", point, err)
	}
	mine, _ := ecdh.X25519().GenerateKey(rand.Reader)
	theirs, err := ecdh.X25519().NewPublicKey(point)
	wants(t, "point", err, nil)
	want, _ := mine.ECDH(theirs)
	made, err := u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_ECDH1_DERIVE, &mech.ECDH1{KDF: ck.CKD_NULL, Public: mine.PublicKey().Bytes()}), priv,
		ck.Template{ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true)})
	wants(t, "derive", err, nil)
	if got, err := u.get(made, ck.CKA_VALUE); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}

// One mechanism makes keys on all curves; their type goes by the curve.
func TestCurvesOfOneMechanism(t *testing.T) {
	u := start(t)
	pub, priv := u.pair(ck.CKM_EC_KEY_PAIR_GEN, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, ed25519), ck.Bool(ck.CKA_VERIFY, true)})
	if kind, err := u.get(priv, ck.CKA_KEY_TYPE); err != nil || kind[0] != byte(ck.CKK_EC_EDWARDS) {
		t.Errorf("type %x, %v", kind, err)
	}
	sig, err := u.sign(mechanism(ck.CKM_EDDSA), priv, []byte("x"), 0)
	wants(t, "sign", err, nil)
	wants(t, "verify", u.verify(mechanism(ck.CKM_EDDSA), pub, []byte("x"), sig, 0), nil)
}

// TestHKDFToData is RFC 5869, A.1, as OpenSSL's provider asks for it: with nobody logged in.
func TestHKDFToData(t *testing.T) {
	u := open(t, newStack(t).module(""), rw)
	hexed := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	secret := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)}
	ikm := u.create(secret.With(ck.Template{ck.Bytes(ck.CKA_VALUE, bytes.Repeat([]byte{0x0b}, 22)), ck.Bool(ck.CKA_DERIVE, true)}))
	m := mechanism(ck.CKM_HKDF_DATA, &mech.HKDF{Extract: true, Expand: true, Hash: ck.CKM_SHA256, SaltType: uint64(ck.CKF_HKDF_SALT_DATA),
		Salt: hexed("000102030405060708090a0b0c"), Info: hexed("f0f1f2f3f4f5f6f7f8f9")})
	label, length := ck.Bytes(ck.CKA_LABEL, []byte("okm")), ck.Ulong(ck.CKA_VALUE_LEN, 42)
	made, err := u.m.DeriveKey(t.Context(), u.h, m, ikm, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), length, label})
	wants(t, "derive", err, nil)
	want := hexed("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
	if got, err := u.get(made, ck.CKA_VALUE); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
	if class, err := u.get(made, ck.CKA_CLASS); err != nil || ck.ObjectClass(class[0]) != ck.CKO_DATA {
		t.Errorf("class %x, %v", class, err)
	}
	_, err = u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_HKDF_DATA, &mech.HKDF{Expand: true, Hash: ck.CKM_SHA256}), ikm, ck.Template{length})
	wants(t, "no kind of salt where none is used", err, nil)
	_, err = u.m.DeriveKey(t.Context(), u.h, mechanism(ck.CKM_HKDF_DATA, &mech.HKDF{Extract: true, Hash: ck.CKM_SHA256}), ikm, ck.Template{})
	wants(t, "no kind of salt where one is used", err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, err = u.m.DeriveKey(t.Context(), u.h, m, ikm, secret.With(ck.Template{length}))
	wants(t, "a key of a mechanism for data", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = u.m.DeriveKey(t.Context(), u.h, m, ikm, ck.Template{length, ck.Bytes(ck.CKA_VALUE, want)})
	wants(t, "with a value", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = u.m.DeriveKey(t.Context(), u.h, m, ikm, ck.Template{length, ck.Bool(ck.CKA_PRIVATE, true)})
	wants(t, "private data of nobody", err, ck.CKR_USER_NOT_LOGGED_IN)
}
