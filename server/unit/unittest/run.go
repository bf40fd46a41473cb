package unittest

import (
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Run runs the whole suite against a unit that has a wrapping key. other is a
// unit of the same service, which must continue what the first began; it may
// be the same one. It tells which mechanisms were used.
func Run(t *testing.T, u, other unit.Unit) *Used {
	used := &Used{seen: map[ck.MechanismType]bool{}}
	k := newKit(t, &watched{u, used})
	cases := []struct {
		name string
		run  func(*testing.T, *kit)
	}{
		{"life", testLife},
		{"digests", testDigests},
		{"MACs", testMACs},
		{"ciphers", testCiphers},
		{"AEADs", testGCM},
		{"modes", testModes},
		{"MACs of general length", testGeneralMACs},
		{"RSA signatures", testRSASignatures},
		{"combined signatures", testCombined},
		{"key wraps", testKeyWraps},
		{"new keys", testNewKeys},
		{"RSA encryption", testRSAEncryption},
		{"ECDSA", testECDSA},
		{"EdDSA", testEdDSA},
		{"ECDH", testECDH},
		{"CMAC", testCMAC},
		{"Ed448, X25519, X448", testRawCurves},
		{"more curves", testMoreCurves},
		{"DSA and DH", testFiniteFields},
		{"secret key derivation", testSecretDerivation},
		{"derivations", testDerivations},
		{"rights of derived keys", testDerivedRights},
		{"passwords", testPasswords},
		{"agreements that leave wrapped", testRawAgreements},
		{"multiples of points", testMultiply},
		{"RSA and AES key wrap", testRSAAES},
		{"BIP32 and SLIP-0010", testTrees},
		{"Schnorr", testSchnorr},
		{"BLS", testBLS},
		{"attribute-bound wrap", testAttributeBound},
		{"retained keys", testRetained},
		{"ML-KEM and Kyber", testMLKEM},
		{"ML-DSA and Dilithium", testMLDSA},
		{"SLH-DSA", testSLHDSA},
		{"X9.31", testX931},
		{"secret key generation", testSecretGeneration},
		{"key pair generation", testPairGeneration},
		{"export and import", testExportImport},
		{"refused mechanisms", testRefusals},
		{"rights", testRights},
		{"allowed mechanisms", testAllowedMechanisms},
		{"templates of wrapping keys", testTemplates},
		{"templates of base keys", testDeriveTemplates},
		{"attributes", testAttributes},
		{"changed attributes", testSetAttributes},
		{"bad blobs", testBadBlobs},
		{"reencrypt", testReencrypt},
		{"states", func(t *testing.T, k *kit) { testStates(t, k, other) }},
		{"states that go from unit to unit", func(t *testing.T, k *kit) { testHandover(t, k, other) }},
	}
	ran := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ran++
			c.run(t, k)
		})
	}
	used.partly = ran < len(cases)
	return used
}

func (k *kit) generate(t testing.TB, m ck.MechanismType, attrs ...ck.Attribute) unit.Key {
	t.Helper()
	key, err := k.GenerateKey(ctx, mech.Mechanism{Type: m}, attrs)
	if err != nil {
		t.Fatalf("%v: %v", m, err)
	}
	return key
}

func (k *kit) aes(t testing.TB, attrs ...ck.Attribute) unit.Key {
	return k.generate(t, ck.CKM_AES_KEY_GEN, append(attrs, ck.Ulong(ck.CKA_VALUE_LEN, 32))...)
}

func (k *kit) ec(t testing.TB, curve string, priv ...ck.Attribute) (pub, private unit.Key) {
	t.Helper()
	pub, private, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN},
		ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, []byte(curve))}, priv)
	if err != nil {
		t.Fatalf("%s: %v", curve, err)
	}
	return pub, private
}

func testLife(t *testing.T, k *kit) {
	if err := k.Check(ctx); err != nil {
		t.Error(err)
	}
	if p, err := k.WrappingKey(); err != nil || len(p) != 32 {
		t.Errorf("pattern of %d bytes, %v", len(p), err)
	}
	if rows := k.Mechanisms(); len(rows) == 0 || rows[0].Type != ck.CKM_RSA_PKCS {
		t.Error("the first mechanism must be CKM_RSA_PKCS (grep11-wire 13.2)")
	}
	if b, err := k.GenerateRandom(ctx, 4096); err != nil || len(b) != 4096 {
		t.Errorf("%d random bytes, %v", len(b), err)
	}
	for _, n := range []int{0, -1, 1_000_001} {
		if _, err := k.GenerateRandom(ctx, n); ck.RVOf(err) != ck.CKR_ARGUMENTS_BAD {
			t.Errorf("%d random bytes: %v", n, err)
		}
	}
}
