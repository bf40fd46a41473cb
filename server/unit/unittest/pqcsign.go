package unittest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func inContext(m ck.MechanismType, hedge uint64, context string) mech.Mechanism {
	return mech.Mechanism{Type: m, Param: &mech.SignContext{Hedge: hedge, Context: []byte(context)}}
}

// prehashes are the pre-hashed mechanisms of the two standards and what their
// digests are called: the last arc of the OID.
var prehashes = []struct {
	name     string
	ml, slh  ck.MechanismType
	digest   ck.MechanismType // 0: none that PKCS#11 has a number for
	oid, len byte
}{
	{"SHA2-256", ck.CKM_HASH_ML_DSA_SHA256, ck.CKM_HASH_SLH_DSA_SHA256, ck.CKM_SHA256, 1, 32},
	{"SHA2-384", ck.CKM_HASH_ML_DSA_SHA384, ck.CKM_HASH_SLH_DSA_SHA384, ck.CKM_SHA384, 2, 48},
	{"SHA2-512", ck.CKM_HASH_ML_DSA_SHA512, ck.CKM_HASH_SLH_DSA_SHA512, ck.CKM_SHA512, 3, 64},
	{"SHA2-224", ck.CKM_HASH_ML_DSA_SHA224, ck.CKM_HASH_SLH_DSA_SHA224, ck.CKM_SHA224, 4, 28},
	{"SHA2-512/224", 0, 0, ck.CKM_SHA512_224, 5, 28},
	{"SHA2-512/256", 0, 0, ck.CKM_SHA512_256, 6, 32},
	{"SHA3-224", ck.CKM_HASH_ML_DSA_SHA3_224, ck.CKM_HASH_SLH_DSA_SHA3_224, ck.CKM_SHA3_224, 7, 28},
	{"SHA3-256", ck.CKM_HASH_ML_DSA_SHA3_256, ck.CKM_HASH_SLH_DSA_SHA3_256, ck.CKM_SHA3_256, 8, 32},
	{"SHA3-384", ck.CKM_HASH_ML_DSA_SHA3_384, ck.CKM_HASH_SLH_DSA_SHA3_384, ck.CKM_SHA3_384, 9, 48},
	{"SHA3-512", ck.CKM_HASH_ML_DSA_SHA3_512, ck.CKM_HASH_SLH_DSA_SHA3_512, ck.CKM_SHA3_512, 10, 64},
	{"SHAKE-128", ck.CKM_HASH_ML_DSA_SHAKE128, ck.CKM_HASH_SLH_DSA_SHAKE128, 0, 11, 32},
	{"SHAKE-256", ck.CKM_HASH_ML_DSA_SHAKE256, ck.CKM_HASH_SLH_DSA_SHAKE256, 0, 12, 64},
}

func digestOf(name string, digest ck.MechanismType, n byte, data []byte) []byte {
	switch name {
	case "SHAKE-128":
		return sha3.SumSHAKE128(data, int(n))
	case "SHAKE-256":
		return sha3.SumSHAKE256(data, int(n))
	}
	h, _ := mech.HashOf(digest)
	return sum(h, data)
}

// mldsaSets are another implementation's parameters: Go's own, published apart
// from it as filippo.io/mldsa. It shares nothing with the unit's.
var mldsaSets = map[uint64]mldsa.Parameters{ck.CKP_ML_DSA_44: mldsa.MLDSA44(), ck.CKP_ML_DSA_65: mldsa.MLDSA65(), ck.CKP_ML_DSA_87: mldsa.MLDSA87()}

// testMLDSA: against filippo.io/mldsa in both directions; deterministic
// signatures are the same bytes, pre-hashed ones by way of its external mu.
func testMLDSA(t *testing.T, k *kit) {
	if !k.has(ck.CKM_ML_DSA) {
		return
	}
	eachSet(t, ck.CKK_ML_DSA, func(t *testing.T, s *mech.ParameterSet) {
		pub, priv := k.pqcPair(t, ck.CKM_ML_DSA_KEY_PAIR_GEN, s)
		seed, expanded := k.secretParts(t, priv.Blob)
		other, err := mldsa.NewPrivateKey(mldsaSets[s.ID], seed)
		if err != nil || !bytes.Equal(other.PublicKey().Bytes(), pub.Attributes.Bytes(ck.CKA_VALUE)) {
			t.Fatalf("another public key for the seed: %v", err)
		}
		testPureML(t, k, s, pub, priv, other)
		testHashML(t, k, pub, priv, other)
		testSignForms(t, k, s, pub, seed, expanded)
	})
	if _, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_ML_DSA_KEY_PAIR_GEN}, ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, 4)}, nil); !errors.Is(err, ck.CKR_PARAMETER_SET_NOT_SUPPORTED) {
		t.Errorf("an unknown parameter set: %v", err)
	}
	if _, _, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_ML_DSA_KEY_PAIR_GEN}, nil, nil); !errors.Is(err, ck.CKR_TEMPLATE_INCOMPLETE) {
		t.Errorf("no parameter set: %v", err)
	}
	testDilithium(t, k)
}

func testPureML(t *testing.T, k *kit, s *mech.ParameterSet, pub, priv unit.Key, other *mldsa.PrivateKey) {
	for _, context := range []string{"", "a context", strings.Repeat("c", 255)} {
		m := inContext(ck.CKM_ML_DSA, ck.CKH_DETERMINISTIC_REQUIRED, context)
		sig, err := k.sign(m, priv.Blob, text)
		want, errOther := other.SignDeterministic(text, &mldsa.Options{Context: context})
		if err != nil || errOther != nil || !bytes.Equal(sig, want) {
			t.Errorf("context %q: another signature: %v, %v", context, err, errOther)
		}
		m = inContext(ck.CKM_ML_DSA, ck.CKH_HEDGE_REQUIRED, context)
		hedged, err := k.sign(m, priv.Blob, text)
		if err != nil || bytes.Equal(hedged, sig) || mldsa.Verify(other.PublicKey(), text, hedged, &mldsa.Options{Context: context}) != nil {
			t.Errorf("context %q, hedged: %v", context, err)
		}
		theirs, err := other.Sign(nil, text, &mldsa.Options{Context: context})
		if err != nil || k.verify(m, pub.Blob, text, theirs) != nil {
			t.Errorf("context %q: the other's signature is refused: %v", context, err)
		}
		if err := k.verify(inContext(ck.CKM_ML_DSA, 0, context+"x"[:1]), pub.Blob, text, sig); context != "" && len(context) < 255 && !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
			t.Errorf("another context: %v", err)
		}
	}
	plain := mech.Mechanism{Type: ck.CKM_ML_DSA}
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_IBM_ML_DSA}, priv.Blob, nil)
	if err != nil || k.verify(plain, pub.Blob, nil, sig) != nil || len(sig) != s.LenOut {
		t.Errorf("no data, the vendor's number: %v", err)
	}
	sig[5] ^= 1
	if err := k.verify(plain, pub.Blob, nil, sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
		t.Errorf("altered: %v", err)
	}
	for _, bad := range [][]byte{nil, sig[1:], append(sig, 0)} {
		if err := k.verify(plain, pub.Blob, nil, bad); !errors.Is(err, ck.CKR_SIGNATURE_LEN_RANGE) {
			t.Errorf("a signature of %d bytes: %v", len(bad), err)
		}
	}
	for _, bad := range []mech.Mechanism{inContext(ck.CKM_ML_DSA, 3, ""), inContext(ck.CKM_ML_DSA, 0, strings.Repeat("c", 256)), {Type: ck.CKM_HASH_ML_DSA}} {
		if _, err := k.sign(bad, priv.Blob, text); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// testHashML: mu of a pre-hashed message is ours, the signature the other's.
func testHashML(t *testing.T, k *kit, pub, priv unit.Key, other *mldsa.PrivateKey) {
	const context = "prehashed"
	tr := sha3.SumSHAKE256(other.PublicKey().Bytes(), 64)
	for _, p := range prehashes {
		digest := digestOf(p.name, p.digest, p.len, text)
		msg := append(append([]byte{1, byte(len(context))}, context...), 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, p.oid)
		mu := sha3.SumSHAKE256(append(append(bytes.Clone(tr), msg...), digest...), 64)
		want, err := other.SignDeterministic(mu, mldsacrypto.MLDSAMu)
		if err != nil {
			t.Fatal(err)
		}
		if p.ml != 0 {
			m := inContext(p.ml, ck.CKH_DETERMINISTIC_REQUIRED, context)
			got, err := k.sign(m, priv.Blob, text)
			parts, errParts := k.inParts(mech.OpSign, m, priv.Blob, text)
			if err != nil || errParts != nil || !bytes.Equal(got, want) || !bytes.Equal(parts, want) || k.verify(m, pub.Blob, text, want) != nil {
				t.Errorf("%s: another signature: %v, %v", p.name, err, errParts)
			}
		}
		if p.digest != 0 {
			m := mech.Mechanism{Type: ck.CKM_HASH_ML_DSA, Param: &mech.SignContext{Hedge: ck.CKH_DETERMINISTIC_REQUIRED, Context: []byte(context), Hash: p.digest}}
			got, err := k.sign(m, priv.Blob, digest)
			if err != nil || !bytes.Equal(got, want) || k.verify(m, pub.Blob, digest, want) != nil {
				t.Errorf("%s of a ready digest: another signature: %v", p.name, err)
			}
			if _, err := k.sign(m, priv.Blob, digest[1:]); !errors.Is(err, ck.CKR_DATA_LEN_RANGE) {
				t.Errorf("%s, a short digest: %v", p.name, err)
			}
		}
	}
	weak := mech.Mechanism{Type: ck.CKM_HASH_ML_DSA, Param: &mech.SignContext{Hash: ck.CKM_SHA_1}}
	if _, err := k.sign(weak, priv.Blob, make([]byte, 20)); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
		t.Errorf("SHA-1: %v", err)
	}
}

// testSignForms imports a lattice key in each form and refuses torn ones.
func testSignForms(t *testing.T, k *kit, s *mech.ParameterSet, pub unit.Key, seed, expanded []byte) {
	m := mech.Mechanism{Type: ck.CKM_ML_DSA}
	if s.ID == 0 {
		m.Type = ck.CKM_IBM_DILITHIUM
	}
	for name, inner := range map[string][]byte{"seed": seedForm(seed), "expanded": expandedForm(expanded), "both": bothForm(seed, expanded)} {
		got, err := k.private(s.Key, rawPKCS8(s.OID, inner))
		if err != nil || len(got.CheckSum) < s.LenPublic {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sig, err := k.sign(m, got.Blob, text)
		if err != nil || k.verify(m, pub.Blob, text, sig) != nil || len(sig) != s.LenOut {
			t.Errorf("%s does not sign: %v", name, err)
		}
	}
	torn := func(at int, bits byte) []byte {
		b := bytes.Clone(expanded)
		b[at] |= bits
		if bytes.Equal(b, expanded) {
			b[at] ^= bits
		}
		return expandedForm(b)
	}
	other := bytes.Clone(seed)
	other[0] ^= 1
	for name, inner := range map[string][]byte{"two keys": bothForm(other, expanded), "another hash of the public key": torn(70, 1),
		"a coefficient out of range": torn(len(expanded)/6, 0xff), "a short seed": seedForm(seed[1:])} {
		if _, err := k.private(s.Key, rawPKCS8(s.OID, inner)); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
	imported, err := k.public(rawSPKI(s.OID, pub.Attributes.Bytes(ck.CKA_VALUE)))
	if err != nil || !bytes.Equal(imported.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO), pub.Attributes.Bytes(ck.CKA_PUBLIC_KEY_INFO)) {
		t.Errorf("the public key: %v", err)
	}
}

// testDilithium is against itself: there is no second implementation at hand.
func testDilithium(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_IBM_DILITHIUM}
	eachSet(t, ck.CKK_IBM_PQC_DILITHIUM, func(t *testing.T, s *mech.ParameterSet) {
		pub, priv := k.pqcPair(t, ck.CKM_IBM_DILITHIUM, s)
		sig, err := k.sign(m, priv.Blob, text)
		if err != nil || k.verify(m, pub.Blob, text, sig) != nil {
			t.Fatalf("%v", err)
		}
		if err := k.verify(m, pub.Blob, text[1:], sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
			t.Errorf("another text: %v", err)
		}
		if err := k.verify(mech.Mechanism{Type: ck.CKM_ML_DSA}, pub.Blob, text, sig); !errors.Is(err, ck.CKR_KEY_TYPE_INCONSISTENT) {
			t.Errorf("as ML-DSA: %v", err)
		}
		seed, expanded := k.secretParts(t, priv.Blob)
		testSignForms(t, k, s, pub, seed, expanded)
	})
}

//go:embed testdata/slhdsa_siggen.json
var slhVectors []byte

// AllSLHDSA is the environment variable that has testSLHDSA run all vectors. The
// race detector makes most sets too slow for every run: without it, only those
// that sign fastest are used.
const AllSLHDSA = "GREP11_TEST_ALL_SLHDSA"

// quickSLHDSA has the sets of a short run, and whether they sign in it.
var quickSLHDSA = map[string]bool{"SLH-DSA-SHA2-128f": true, "SLH-DSA-SHA2-192f": true, "SLH-DSA-SHAKE-128f": true,
	"SLH-DSA-SHA2-256f": false, "SLH-DSA-SHAKE-192f": false, "SLH-DSA-SHAKE-256f": false}

// testSLHDSA: NIST's vectors. Deterministic signatures are compared whole, by
// their hash; importing a key makes its public key again.
func testSLHDSA(t *testing.T, k *kit) {
	if !k.has(ck.CKM_SLH_DSA) {
		return
	}
	var file struct {
		Tests []struct {
			Set, Hash, SigSHA256 string
			ID                   int `json:"tcId"`
			SK, Message, Context hexBytes
		}
	}
	if err := json.Unmarshal(slhVectors, &file); err != nil {
		t.Fatal(err)
	}
	sets := map[string]*mech.ParameterSet{}
	eachSet(t, ck.CKK_SLH_DSA, func(_ *testing.T, s *mech.ParameterSet) { sets[s.Name] = s })
	all := os.Getenv(AllSLHDSA) != ""
	for _, v := range file.Tests {
		s := sets[v.Set]
		signs, listed := quickSLHDSA[v.Set]
		if !all && !listed {
			continue
		}
		priv, err := k.private(ck.CKK_SLH_DSA, rawPKCS8(s.OID, v.SK))
		if err != nil {
			t.Errorf("%s, case %d: %v", s.Name, v.ID, err)
			continue
		}
		if !all && !signs {
			continue
		}
		pub, err := k.public(rawSPKI(s.OID, v.SK[len(v.SK)/2:]))
		if err != nil {
			t.Fatal(err)
		}
		m, data := slhMechanism(v.Hash, v.Message, string(v.Context))
		sig, err := k.sign(m, priv.Blob, data)
		if got := sha256.Sum256(sig); err != nil || hex.EncodeToString(got[:]) != v.SigSHA256 || len(sig) != s.LenOut {
			t.Errorf("%s %s, case %d: another signature: %v", s.Name, v.Hash, v.ID, err)
		}
		if err := k.verify(m, pub.Blob, data, sig); err != nil {
			t.Errorf("%s %s, case %d: %v", s.Name, v.Hash, v.ID, err)
		}
	}
	testSLHKeys(t, k, sets)
}

// slhMechanism is the mechanism for a vector, and what it signs.
func slhMechanism(hash string, message []byte, context string) (mech.Mechanism, []byte) {
	for _, p := range prehashes {
		switch {
		case p.name != hash:
		case p.slh != 0:
			return inContext(p.slh, ck.CKH_DETERMINISTIC_REQUIRED, context), message
		default:
			return mech.Mechanism{Type: ck.CKM_HASH_SLH_DSA, Param: &mech.SignContext{Hedge: ck.CKH_DETERMINISTIC_REQUIRED, Context: []byte(context), Hash: p.digest}},
				digestOf(p.name, p.digest, p.len, message)
		}
	}
	return inContext(ck.CKM_SLH_DSA, ck.CKH_DETERMINISTIC_REQUIRED, context), message
}

func testSLHKeys(t *testing.T, k *kit, sets map[string]*mech.ParameterSet) {
	s := sets["SLH-DSA-SHA2-128f"]
	pub, priv := k.pqcPair(t, ck.CKM_SLH_DSA_KEY_PAIR_GEN, s)
	der, err := k.export(priv.Blob)
	if err != nil {
		t.Fatal(err)
	}
	back, err := k.private(s.Key, der)
	if err != nil {
		t.Fatal(err)
	}
	plain := mech.Mechanism{Type: ck.CKM_SLH_DSA}
	sig, err := k.sign(plain, back.Blob, text)
	if err != nil || k.verify(plain, pub.Blob, text, sig) != nil {
		t.Errorf("there and back: %v", err)
	}
	again, err := k.sign(plain, back.Blob, text)
	if err != nil || bytes.Equal(sig, again) {
		t.Errorf("signatures are not hedged: %v", err)
	}
	sig[0] ^= 1
	if err := k.verify(plain, pub.Blob, text, sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
		t.Errorf("altered: %v", err)
	}
	der[len(der)-1] ^= 1
	if _, err := k.private(s.Key, der); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
		t.Errorf("another root: %v", err)
	}
}
