package unittest

import (
	"bytes"
	"crypto/mlkem"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// rawPKCS8 writes PrivateKeyInfo around what a post-quantum algorithm has there.
func rawPKCS8(oid, inner []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(0)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(oid) })
		b.AddASN1OctetString(inner)
	})
	return b.BytesOrPanic()
}

// The forms of RFC 9881 and 9935.
func seedForm(seed []byte) []byte  { return tagged(casn1.Tag(0).ContextSpecific(), seed) }
func expandedForm(v []byte) []byte { return tagged(casn1.OCTET_STRING, v) }
func bothForm(seed, v []byte) []byte {
	return tagged(casn1.SEQUENCE, append(expandedForm(seed), expandedForm(v)...))
}

func tagged(tag casn1.Tag, v []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(v) })
	return b.BytesOrPanic()
}

// rawSPKI is a post-quantum public key.
func rawSPKI(oid, public []byte) []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(oid) })
		b.AddASN1BitString(public)
	})
	return b.BytesOrPanic()
}

// named makes the template that names a parameter set.
func named(s *mech.ParameterSet) ck.Template {
	if s.ID == 0 {
		return ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, s.OID)}
	}
	return ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, s.ID)}
}

func (k *kit) pqcPair(t testing.TB, m ck.MechanismType, s *mech.ParameterSet, rights ...ck.Attribute) (pub, priv unit.Key) {
	t.Helper()
	readable := ck.Template{ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SENSITIVE, false)}
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: m}, named(s).With(rights), readable.With(rights))
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return pub, priv
}

// eachSet runs a test for each parameter set of a key type.
func eachSet(t *testing.T, kt ck.KeyType, test func(*testing.T, *mech.ParameterSet)) {
	all := mech.ParameterSets()
	for i := range all {
		if all[i].Key == kt {
			t.Run(all[i].Name, func(t *testing.T) { test(t, &all[i]) })
		}
	}
}

func kem(m ck.MechanismType, mode uint64, ct []byte) mech.Mechanism {
	return mech.Mechanism{Type: m, Param: &mech.Kyber{Mode: mode, KDF: ck.CKD_NULL, CipherText: ct}}
}

// kemRound encapsulates and decapsulates and gives the ciphertext and the secret.
func (k *kit) kemRound(t *testing.T, m ck.MechanismType, pub, priv unit.Blob) (ct, secret []byte) {
	t.Helper()
	e, err := k.DeriveKey(ctx, kem(m, ck.CK_IBM_KEM_ENCAPSULATE, nil), pub, nil, readable(32))
	if err != nil || len(e.CheckSum) < 7 {
		t.Fatalf("encapsulate: %v", err)
	}
	ct = e.CheckSum[7:]
	d, err := k.DeriveKey(ctx, kem(m, ck.CK_IBM_KEM_DECAPSULATE, ct), priv, nil, readable(32))
	if err != nil || !bytes.Equal(d.CheckSum, e.CheckSum[:7]) {
		t.Fatalf("decapsulate: %v", err)
	}
	if secret = k.value(t, d.Blob); !bytes.Equal(secret, k.value(t, e.Blob)) {
		t.Error("the two sides have different secrets")
	}
	return ct, secret
}

// testMLKEM: 768 and 1024 against Go's own implementation in both directions, 512
// against itself (Wycheproof has vectors for it); all key forms.
func testMLKEM(t *testing.T, k *kit) {
	if !k.has(ck.CKM_ML_KEM) {
		return
	}
	eachSet(t, ck.CKK_ML_KEM, func(t *testing.T, s *mech.ParameterSet) {
		pub, priv := k.pqcPair(t, ck.CKM_ML_KEM_KEY_PAIR_GEN, s)
		ct, secret := k.kemRound(t, ck.CKM_ML_KEM, pub.Blob, priv.Blob)
		if len(ct) != s.LenOut || len(pub.Attributes.Bytes(ck.CKA_VALUE)) != s.LenPublic {
			t.Errorf("ciphertext of %d bytes, public key of %d", len(ct), len(pub.Attributes.Bytes(ck.CKA_VALUE)))
		}
		k.againstGo(t, s, pub, priv, ct, secret)
		testKEMForms(t, k, s, priv, ct, secret)
		testKEMRefusals(t, k, s, pub, priv, ct)
	})
	testVendorKEM(t, k)
}

func (k *kit) secretParts(t *testing.T, priv unit.Blob) (seed, expanded []byte) {
	t.Helper()
	a, err := k.Attributes(ctx, priv, []ck.AttributeType{ck.CKA_SEED, ck.CKA_VALUE})
	if err != nil {
		t.Fatal(err)
	}
	return a.Bytes(ck.CKA_SEED), a.Bytes(ck.CKA_VALUE)
}

// againstGo opens the unit's ciphertext with Go, and has the unit open Go's.
func (k *kit) againstGo(t *testing.T, s *mech.ParameterSet, pub, priv unit.Key, ct, secret []byte) {
	t.Helper()
	seed, _ := k.secretParts(t, priv.Blob)
	var opened, goSecret, goCT []byte
	var err error
	switch s.ID {
	case ck.CKP_ML_KEM_768:
		dk, errKey := mlkem.NewDecapsulationKey768(seed)
		if errKey != nil || !bytes.Equal(dk.EncapsulationKey().Bytes(), pub.Attributes.Bytes(ck.CKA_VALUE)) {
			t.Fatalf("Go has another public key for the seed: %v", errKey)
		}
		opened, err = dk.Decapsulate(ct)
		goSecret, goCT = dk.EncapsulationKey().Encapsulate()
	case ck.CKP_ML_KEM_1024:
		dk, errKey := mlkem.NewDecapsulationKey1024(seed)
		if errKey != nil || !bytes.Equal(dk.EncapsulationKey().Bytes(), pub.Attributes.Bytes(ck.CKA_VALUE)) {
			t.Fatalf("Go has another public key for the seed: %v", errKey)
		}
		opened, err = dk.Decapsulate(ct)
		goSecret, goCT = dk.EncapsulationKey().Encapsulate()
	default:
		return
	}
	if err != nil || !bytes.Equal(opened, secret) {
		t.Errorf("Go opens the ciphertext otherwise: %v", err)
	}
	d, err := k.DeriveKey(ctx, kem(ck.CKM_ML_KEM, ck.CK_IBM_KEM_DECAPSULATE, goCT), priv.Blob, nil, readable(32))
	if err != nil || !bytes.Equal(k.value(t, d.Blob), goSecret) {
		t.Errorf("the unit opens Go's ciphertext otherwise: %v", err)
	}
}

// testKEMForms imports the key in each form, and by its own export.
func testKEMForms(t *testing.T, k *kit, s *mech.ParameterSet, priv unit.Key, ct, secret []byte) {
	seed, expanded := k.secretParts(t, priv.Blob)
	exported, err := k.export(priv.Blob)
	if err != nil || !bytes.Equal(exported, rawPKCS8(s.OID, seedForm(seed))) {
		t.Errorf("export: %d bytes, %v", len(exported), err)
	}
	for name, inner := range map[string][]byte{"seed": seedForm(seed), "expanded": expandedForm(expanded), "both": bothForm(seed, expanded)} {
		got, err := k.private(s.Key, rawPKCS8(s.OID, inner))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d, err := k.DeriveKey(ctx, kem(ck.CKM_ML_KEM, ck.CK_IBM_KEM_DECAPSULATE, ct), got.Blob, nil, readable(32))
		if err != nil || !bytes.Equal(k.value(t, d.Blob), secret) {
			t.Errorf("%s: another secret, %v", name, err)
		}
	}
	other := bytes.Clone(seed)
	other[0] ^= 1
	torn := bytes.Clone(expanded)
	torn[len(torn)-40] ^= 1 // the public key's hash
	for name, inner := range map[string][]byte{"seed and expanded key of two keys": bothForm(other, expanded), "a torn expanded key": expandedForm(torn),
		"a short seed": seedForm(seed[1:]), "no form": seed, "an empty seed": seedForm(nil), "bytes behind it": append(seedForm(seed), 0)} {
		if _, err := k.private(s.Key, rawPKCS8(s.OID, inner)); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testKEMRefusals(t *testing.T, k *kit, s *mech.ParameterSet, pub, priv unit.Key, ct []byte) {
	over := bytes.Clone(pub.Attributes.Bytes(ck.CKA_VALUE))
	over[0], over[1] = 0xff, over[1]|0x0f // a coefficient of 4095
	for name, public := range map[string][]byte{"a coefficient above the modulus": over, "a short public key": over[1:]} {
		if _, err := k.public(rawSPKI(s.OID, public)); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		name string
		base unit.Key
		p    *mech.Kyber
		want error
	}{
		{"a short ciphertext", priv, &mech.Kyber{Mode: 2, KDF: ck.CKD_NULL, CipherText: ct[1:]}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"no mode", priv, &mech.Kyber{KDF: ck.CKD_NULL}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"another version", pub, &mech.Kyber{Version: 1, Mode: 1, KDF: ck.CKD_NULL}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a hybrid KDF", pub, &mech.Kyber{Mode: 1, KDF: ck.CKD_IBM_HYBRID_SHA256_KDF, Blob: priv.Blob}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"shared data without a KDF", pub, &mech.Kyber{Mode: 1, KDF: ck.CKD_NULL, Shared: ct}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"to decapsulate with a public key", pub, &mech.Kyber{Mode: 2, KDF: ck.CKD_NULL, CipherText: ct}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"to encapsulate with a private key", priv, &mech.Kyber{Mode: 1, KDF: ck.CKD_NULL}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_ML_KEM, Param: c.p}, c.base.Blob, nil, readable(32)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_ML_KEM}, pub.Blob, nil, readable(32)); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) && !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("no parameter: %v", err)
	}
	shut, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN}, named(s).Set(ck.Bool(ck.CKA_ENCAPSULATE, false)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.DeriveKey(ctx, kem(ck.CKM_ML_KEM, 1, nil), shut.Blob, nil, readable(32)); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("ENCAPSULATE false: %v", err)
	}
}

// testVendorKEM: Kyber and the vendor's ML-KEM go by DERIVE and mix secrets in.
func testVendorKEM(t *testing.T, k *kit) {
	derive := ck.Bool(ck.CKA_DERIVE, true)
	eachSet(t, ck.CKK_IBM_PQC_KYBER, func(t *testing.T, s *mech.ParameterSet) {
		pub, priv := k.pqcPair(t, ck.CKM_IBM_KYBER, s, derive)
		ct, _ := k.kemRound(t, ck.CKM_IBM_KYBER, pub.Blob, priv.Blob)
		if len(ct) != s.LenOut || !bytes.Equal(priv.Attributes.Bytes(ck.CKA_IBM_PQC_PARAMS), s.OID) {
			t.Errorf("ciphertext of %d bytes, strength %x", len(ct), priv.Attributes.Bytes(ck.CKA_IBM_PQC_PARAMS))
		}
		testHybrid(t, k, ck.CKM_IBM_KYBER, pub, priv)
	})
	s := mech.SetByID(ck.CKK_ML_KEM, ck.CKP_ML_KEM_768)
	pub, priv := k.pqcPair(t, ck.CKM_IBM_ML_KEM_KEY_PAIR_GEN, s, derive)
	k.kemRound(t, ck.CKM_IBM_ML_KEM, pub.Blob, priv.Blob)
	testHybrid(t, k, ck.CKM_IBM_ML_KEM, pub, priv)
	_, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_IBM_KYBER}, ck.Template{ck.Bytes(ck.CKA_IBM_PQC_PARAMS, s.OID)}, nil)
	if !errors.Is(err, ck.CKR_IBM_PQC_PARAMS_NOT_SUPPORTED) {
		t.Errorf("a strength that is not Kyber's: %v", err)
	}
}

func testHybrid(t *testing.T, k *kit, m ck.MechanismType, pub, priv unit.Key) {
	mixed := k.generate(t, ck.CKM_GENERIC_SECRET_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 28), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true))
	seen := map[string]bool{}
	for _, kdf := range []uint64{ck.CKD_IBM_HYBRID_SHA1_KDF, ck.CKD_IBM_HYBRID_SHA224_KDF, ck.CKD_IBM_HYBRID_SHA256_KDF, ck.CKD_IBM_HYBRID_SHA384_KDF, ck.CKD_IBM_HYBRID_SHA512_KDF} {
		p := mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE, KDF: kdf, Blob: mixed.Blob, Shared: []byte("info"), Prepend: kdf == ck.CKD_IBM_HYBRID_SHA1_KDF}
		e, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &p}, pub.Blob, nil, readable(40))
		if err != nil {
			t.Fatal(err)
		}
		q := p
		q.Mode, q.CipherText = ck.CK_IBM_KEM_DECAPSULATE, e.CheckSum[7:]
		for _, prepend := range []bool{p.Prepend, !p.Prepend} {
			q.Prepend = prepend
			d, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &q}, priv.Blob, nil, readable(40))
			if err != nil || bytes.Equal(k.value(t, d.Blob), k.value(t, e.Blob)) != (prepend == p.Prepend) {
				t.Errorf("KDF %x: secrets agree exactly when the order does: %v", kdf, err)
			}
		}
		seen[string(k.value(t, e.Blob))] = true
	}
	null := mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE, KDF: ck.CKD_IBM_HYBRID_NULL, Blob: mixed.Blob}
	if e, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &null}, pub.Blob, nil, readable(60)); err != nil || len(k.value(t, e.Blob)) != 60 {
		t.Errorf("both secrets without a KDF: %v", err)
	}
	private := k.generate(t, ck.CKM_GENERIC_SECRET_KEY_GEN, ck.Ulong(ck.CKA_VALUE_LEN, 28))
	for name, c := range map[string]struct {
		blob unit.Blob
		want error
	}{"nothing to mix in": {nil, ck.CKR_MECHANISM_PARAM_INVALID}, "a secret that is not data": {private.Blob, ck.CKR_KEY_FUNCTION_NOT_PERMITTED}, "a public key": {pub.Blob, ck.CKR_KEY_TYPE_INCONSISTENT}} {
		p := mech.Kyber{Mode: ck.CK_IBM_KEM_ENCAPSULATE, KDF: ck.CKD_IBM_HYBRID_SHA256_KDF, Blob: c.blob}
		if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: m, Param: &p}, pub.Blob, nil, readable(32)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
