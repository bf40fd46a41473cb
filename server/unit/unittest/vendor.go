package unittest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// testTrees: BIP32's test vector 1 and SLIP-0010's for its seed.
func testTrees(t *testing.T, k *kit) {
	if !k.has(ck.CKM_IBM_BTC_DERIVE) {
		return
	}
	seed, err := k.secret(ck.CKK_GENERIC_SECRET, unhex("000102030405060708090a0b0c0d0e0f"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, curve                    string
		master, child                  uint64
		chain, key, hardChain, hardKey string
	}{
		{"BIP32", "SECP256K1", ck.CK_IBM_BIP0032_MASTERK, ck.CK_IBM_BIP0032_PRV2PRV,
			"873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508", "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35",
			"47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141", "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"},
		{"SLIP-0010 on secp256k1", "SECP256K1", ck.CK_IBM_SLIP0010_MASTERK, ck.CK_IBM_SLIP0010_PRV2PRV,
			"873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508", "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35",
			"47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141", "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"},
		{"SLIP-0010 on P-256", "P-256", ck.CK_IBM_SLIP0010_MASTERK, ck.CK_IBM_SLIP0010_PRV2PRV,
			"beeb672fe4621673f722f38529c07392fecaa61015c80c34f29ce8b41b3cb6ea", "612091aaa12e22dd2abef664f8a01a82cae99ad7441b7ef8110424915c268bc2",
			"3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11", "6939694369114c67917a182c59ddb8cafc3004e63ca5d3b84403ba8613debc0c"},
		{"SLIP-0010 on Ed25519", "ed25519", ck.CK_IBM_SLIP0010_MASTERK, ck.CK_IBM_SLIP0010_PRV2PRV,
			"90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
			"8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69", "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"},
	} {
		tmpl := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, []byte(c.curve)), ck.Ulong(ck.CKA_VALUE_LEN, 0),
			ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SENSITIVE, false)}
		root, err := k.derive(seed.Blob, &mech.BTC{Type: c.master, Version: 1}, tmpl)
		if err != nil || !bytes.Equal(root.CheckSum, unhex(c.chain)) || !bytes.Equal(k.value(t, root.Blob), unhex(c.key)) {
			t.Fatalf("%s: chain code %x, %v", c.name, root.CheckSum, err)
		}
		step := &mech.BTC{Type: c.child, Index: 1 << 31, ChainCode: root.CheckSum, Version: 1}
		child, err := k.derive(root.Blob, step, tmpl)
		if err != nil || !bytes.Equal(child.CheckSum, unhex(c.hardChain)) || !bytes.Equal(k.value(t, child.Blob), unhex(c.hardKey)) {
			t.Errorf("%s, child 0': %x, %v", c.name, child.CheckSum, err)
		}
		step.Type++ // to the public child
		pub, err := k.derive(root.Blob, step, tmpl)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		m := mech.Mechanism{Type: ck.CKM_ECDSA}
		if c.curve == "ed25519" {
			m.Type = ck.CKM_IBM_ED25519_SHA512
		}
		sig, err := k.sign(m, child.Blob, text)
		if err != nil || k.verify(m, pub.Blob, text, sig) != nil {
			t.Errorf("%s: public and private child do not fit: %v", c.name, err)
		}
	}
	testPublicTree(t, k, seed)
}

func (k *kit) derive(base unit.Blob, p *mech.BTC, t ck.Template) (unit.Key, error) {
	return k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_BTC_DERIVE, Param: p}, base, nil, t)
}

// testPublicTree: a public child of the public parent is the private child's, and
// what is not to be derived is refused.
func testPublicTree(t *testing.T, k *kit, seed unit.Key) {
	tmpl := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, []byte("SECP256K1")), ck.Bool(ck.CKA_DERIVE, true)}
	do := func(base unit.Key, typ, index uint64, chain []byte) unit.Key {
		t.Helper()
		key, err := k.derive(base.Blob, &mech.BTC{Type: typ, Index: index, ChainCode: chain, Version: 1}, tmpl)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	root := do(seed, ck.CK_IBM_BIP0032_MASTERK, 0, nil)
	prv := do(root, ck.CK_IBM_BIP0032_PRV2PRV, 7, root.CheckSum)
	pub := do(root, ck.CK_IBM_BIP0032_PRV2PUB, 7, root.CheckSum)
	a := do(prv, ck.CK_IBM_BIP0032_PRV2PUB, 9, prv.CheckSum)
	b := do(pub, ck.CK_IBM_BIP0032_PUB2PUB, 9, pub.CheckSum)
	if !bytes.Equal(a.Attributes.Bytes(ck.CKA_EC_POINT), b.Attributes.Bytes(ck.CKA_EC_POINT)) || !bytes.Equal(a.CheckSum, b.CheckSum) {
		t.Error("PUB2PUB is not PRV2PUB")
	}
	for _, c := range []struct {
		name string
		base unit.Key
		p    mech.BTC
		want error
	}{
		{"a hardened child of a public key", pub, mech.BTC{Type: ck.CK_IBM_BIP0032_PUB2PUB, Index: 1 << 31, ChainCode: pub.CheckSum, Version: 1}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"SLIP-0010 PUB2PUB", pub, mech.BTC{Type: ck.CK_IBM_SLIP0010_PUB2PUB, ChainCode: pub.CheckSum, Version: 1}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a short chain code", prv, mech.BTC{Type: ck.CK_IBM_BIP0032_PRV2PRV, ChainCode: prv.CheckSum[1:], Version: 1}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"another version", prv, mech.BTC{Type: ck.CK_IBM_BIP0032_PRV2PRV, ChainCode: prv.CheckSum}, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a private child of a public key", pub, mech.BTC{Type: ck.CK_IBM_BIP0032_PRV2PRV, ChainCode: pub.CheckSum, Version: 1}, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"an index beyond 32 bits", prv, mech.BTC{Type: ck.CK_IBM_BIP0032_PRV2PRV, Index: 1 << 32, ChainCode: prv.CheckSum, Version: 1}, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		if _, err := k.derive(c.base.Blob, &c.p, tmpl); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// testSchnorr verifies with another library's arithmetic on secp256k1, as the
// Zilliqa software and TR-03111 define the two forms.
func testSchnorr(t *testing.T, k *kit) {
	if !k.has(ck.CKM_IBM_ECDSA_OTHER) {
		return
	}
	message := make([]byte, 6000)
	rand.Read(message)
	for _, typ := range []uint64{mech.ECSGSchnorr, mech.ECSGSchnorrMulti} {
		m := mech.Mechanism{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: typ}}
		for _, curve := range []string{"SECP256K1", "P-256", "BP-256R", "BP-256T"} {
			pub, priv := k.ec(t, curve)
			sig, err := k.sign(m, priv.Blob, message)
			if err != nil || len(sig) != 64 || k.verify(m, pub.Blob, message, sig) != nil {
				t.Errorf("type %d on %s: %v", typ, curve, err)
				continue
			}
			if curve == "SECP256K1" && !schnorrOutside(t, typ, pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:], message, sig) {
				t.Errorf("type %d does not verify outside", typ)
			}
			for _, i := range []int{0, 40} {
				bad := bytes.Clone(sig)
				bad[i] ^= 1
				if err := k.verify(m, pub.Blob, message, bad); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
					t.Errorf("type %d on %s, altered: %v", typ, curve, err)
				}
			}
			if err := k.verify(m, pub.Blob, message, make([]byte, 64)); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
				t.Errorf("type %d, zeros: %v", typ, err)
			}
		}
	}
	_, priv := k.ec(t, "P-384")
	if _, err := k.sign(mech.Mechanism{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: 3}}, priv.Blob, text); !errors.Is(err, ck.CKR_CURVE_NOT_SUPPORTED) {
		t.Errorf("on P-384: %v", err)
	}
	if _, err := k.sign(mech.Mechanism{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: 4}}, priv.Blob, text); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
		t.Errorf("of type 4: %v", err)
	}
}

func schnorrOutside(t *testing.T, typ uint64, point, message, sig []byte) bool {
	pub, err := secp256k1.ParsePubKey(point)
	if err != nil {
		t.Fatal(err)
	}
	var r, s secp256k1.ModNScalar
	r.SetByteSlice(sig[:32])
	s.SetByteSlice(sig[32:])
	factor := r
	if typ == mech.ECSGSchnorr {
		factor.Negate()
	}
	var p, sg, rp, q secp256k1.JacobianPoint
	pub.AsJacobian(&p)
	secp256k1.ScalarBaseMultNonConst(&s, &sg)
	secp256k1.ScalarMultNonConst(&factor, &p, &rp)
	secp256k1.AddNonConst(&sg, &rp, &q)
	q.ToAffine()
	sum := secp256k1.NewPublicKey(&q.X, &q.Y)
	input := append(sum.SerializeCompressed(), pub.SerializeCompressed()...)
	if typ == mech.ECSGSchnorr {
		input = sum.SerializeUncompressed()[1:]
	}
	h := sha256.Sum256(append(input, message...))
	var want secp256k1.ModNScalar
	want.SetByteSlice(h[:])
	return want.Equals(&r)
}

func testBLS(t *testing.T, k *kit) {
	if !k.has(ck.CKM_IBM_EC_AGGREGATE) || !k.has(ck.CKM_IBM_ECDSA_OTHER) {
		return
	}
	m := mech.Mechanism{Type: ck.CKM_IBM_ECDSA_OTHER, Param: &mech.ECSG{Type: mech.ECSGBLS}}
	var blobs, sigs []byte
	var size int
	for range 4 {
		pub, priv := k.ec(t, "BLS12-381")
		sig, err := k.sign(m, priv.Blob, text)
		if err != nil || k.verify(m, pub.Blob, text, sig) != nil {
			t.Fatalf("one signature: %v", err)
		}
		if !blsOutside(t, pub.Attributes.Bytes(ck.CKA_EC_POINT)[2:], text, sig) {
			t.Error("the signature does not verify with another library")
		}
		if err := k.verify(m, pub.Blob, text[1:], sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
			t.Errorf("over another message: %v", err)
		}
		size = len(pub.Blob)
		blobs, sigs = append(blobs, pub.Blob...), append(sigs, sig...)
	}
	aggregate := func(sigs []byte) []byte {
		t.Helper()
		p := &mech.ECAGG{Mode: mech.AggregateSign, PerElement: 192, Elements: sigs}
		out, err := k.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_IBM_EC_AGGREGATE, Param: p}, nil, unit.Input{Data: text})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	keys := &mech.ECAGG{Mode: mech.AggregateKeys, PerElement: uint64(size), Elements: blobs}
	sum, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_EC_AGGREGATE, Param: keys}, nil, nil, ck.Template{ck.Bool(ck.CKA_VERIFY, true)})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]unit.Blob{"the sum of the keys": sum.Blob, "the keys in a row": blobs} {
		if err := k.verify(m, key, text, aggregate(sigs)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := k.verify(m, key, text, aggregate(sigs[192:])); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
			t.Errorf("%s, one did not sign: %v", name, err)
		}
	}
	keys.PerElement--
	if _, err := k.DeriveKey(ctx, mech.Mechanism{Type: ck.CKM_IBM_EC_AGGREGATE, Param: keys}, nil, nil, nil); err == nil {
		t.Error("elements cut wrongly are taken")
	}
	_, ec := k.ec(t, "P-256")
	if _, err := k.sign(m, ec.Blob, text); !errors.Is(err, ck.CKR_KEY_TYPE_INCONSISTENT) {
		t.Errorf("BLS with a P-256 key: %v", err)
	}
	_, key := k.ec(t, "BLS12-381")
	if _, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, key.Blob, text); !errors.Is(err, ck.CKR_KEY_TYPE_INCONSISTENT) {
		t.Errorf("ECDSA with a BLS key: %v", err)
	}
}

func blsOutside(t *testing.T, point, message, sig []byte) bool {
	var pub bls.G1Affine
	var s bls.G2Affine
	if len(point) == 98 || len(point) == 97 {
		point = point[len(point)-96:]
	}
	if _, err := pub.SetBytes(point); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetBytes(sig); err != nil {
		t.Fatal(err)
	}
	h, err := bls.HashToG2(message, []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, g, _ := bls.Generators()
	g.Neg(&g)
	ok, err := bls.PairingCheck([]bls.G1Affine{pub, g}, []bls.G2Affine{h, s})
	return err == nil && ok
}

func testAttributeBound(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_IBM_ATTRIBUTEBOUND_WRAP}
	if !k.has(m.Type) {
		return
	}
	bound, out := ck.Bool(ck.CKA_IBM_ATTRBOUND, true), ck.Bool(ck.CKA_EXTRACTABLE, true)
	key := k.aes(t, bound, out, ck.Bool(ck.CKA_DECRYPT, false), ck.Ulongs(ck.CKA_ALLOWED_MECHANISMS, []ck.MechanismType{ck.CKM_AES_CBC_PAD}))
	mac := k.generate(t, ck.CKM_GENERIC_SECRET_KEY_GEN, bound, ck.Ulong(ck.CKA_VALUE_LEN, 32))
	other := k.generate(t, ck.CKM_GENERIC_SECRET_KEY_GEN, bound, ck.Ulong(ck.CKA_VALUE_LEN, 32))
	pub, priv, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN},
		ck.Template{ck.Ulong(ck.CKA_MODULUS_BITS, 2048), ck.Bool(ck.CKA_WRAP, true), bound}, ck.Template{ck.Bool(ck.CKA_UNWRAP, true), bound})
	if err != nil {
		t.Fatal(err)
	}
	_, ecKey := k.ec2(t, ck.Template{bound}, ck.Template{bound, out})
	tmpl := ck.Template{ck.Bool(ck.CKA_DECRYPT, true)}
	for _, one := range []unit.Key{key, ecKey} {
		w, err := k.WrapKey(ctx, m, one.Blob, pub.Blob, mac.Blob)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.UnwrapKey(ctx, m, w, priv.Blob, mac.Blob, tmpl)
		if err != nil || !bytes.HasPrefix(got.CheckSum, one.CheckSum) {
			t.Fatalf("checksums %x and %x, %v", got.CheckSum, one.CheckSum, err)
		}
		for _, a := range []ck.AttributeType{ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_IBM_ATTRBOUND, ck.CKA_ALLOWED_MECHANISMS} {
			if !bytes.Equal(got.Attributes.Bytes(a), one.Attributes.Bytes(a)) {
				t.Errorf("%v did not travel", a)
			}
		}
		if _, err := k.UnwrapKey(ctx, m, w, priv.Blob, other.Blob, tmpl); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
			t.Errorf("another MAC key: %v", err)
		}
		for _, i := range []int{0, 10, len(w) / 2, len(w) - 1} {
			bad := bytes.Clone(w)
			bad[i] ^= 1
			if _, err := k.UnwrapKey(ctx, m, bad, priv.Blob, mac.Blob, tmpl); !errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
				t.Errorf("byte %d altered: %v", i, err)
			}
		}
	}
	if _, err := k.WrapKey(ctx, m, k.aes(t, out).Blob, pub.Blob, mac.Blob); !errors.Is(err, ck.CKR_KEY_NOT_WRAPPABLE) {
		t.Errorf("a key that is not bound: %v", err)
	}
	if _, err := k.WrapKey(ctx, m, key.Blob, k.kek, mac.Blob); !errors.Is(err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) {
		t.Errorf("a KEK that is not bound: %v", err)
	}
	if _, err := k.WrapKey(ctx, m, key.Blob, pub.Blob, nil); !errors.Is(err, ck.CKR_ARGUMENTS_BAD) {
		t.Errorf("no MAC key: %v", err)
	}
}

func (k *kit) ec2(t *testing.T, pub, priv ck.Template) (unit.Key, unit.Key) {
	t.Helper()
	a, b, err := k.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, append(pub, ck.Bytes(ck.CKA_EC_PARAMS, []byte("P-256"))), priv)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// testX931 undoes the signature with Go's big integers and looks at the block.
func testX931(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_SHA1_RSA_X9_31}
	if !k.has(m.Type) {
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.software(t, ck.CKK_RSA, key)
	h := sha1.Sum(text)
	want := append(append(append([]byte{0x6b}, bytes.Repeat([]byte{0xbb}, 232)...), 0xba), h[:]...)
	want = append(want, 0x33, 0xcc)
	k.testSignature(t, m, pub, priv, func(sig []byte) error {
		s := new(big.Int).SetBytes(sig)
		em := new(big.Int).Exp(s, big.NewInt(int64(key.E)), key.N)
		if em.Bit(0) == 1 {
			em.Sub(key.N, em)
		}
		if !bytes.Equal(em.FillBytes(make([]byte, 256)), want[:256]) {
			return errors.New("another block")
		}
		return nil
	}, func() ([]byte, error) { return nil, nil })
	trailed := append(h[:], 0x33) // what the bare form takes from its caller
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_RSA_X9_31}, priv, trailed)
	if err != nil || k.verify(m, pub, text, sig) != nil || k.verify(mech.Mechanism{Type: ck.CKM_RSA_X9_31}, pub, trailed, sig) != nil {
		t.Errorf("over a digest: %v", err)
	}
}
