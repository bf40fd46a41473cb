package unittest

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// software makes a key pair outside and imports both halves.
func (k *kit) software(t *testing.T, typ ck.KeyType, priv crypto.Signer) (pub, private unit.Blob) {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(priv.Public())
	if err != nil {
		t.Fatal(err)
	}
	a, err := k.private(typ, pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.public(spki)
	if err != nil {
		t.Fatal(err)
	}
	return b.Blob, a.Blob
}

var hashNames = map[crypto.Hash]string{crypto.SHA1: "SHA-1", crypto.SHA224: "SHA-224", crypto.SHA256: "SHA-256", crypto.SHA384: "SHA-384", crypto.SHA512: "SHA-512"}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

func testRSASignatures(t *testing.T, k *kit) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.software(t, ck.CKK_RSA, key)
	for h, name := range hashNames {
		n := hashes[name]
		digest := sum(h, text)
		m := mech.Mechanism{Type: n.rsa}
		k.testSignature(t, m, pub, priv, func(sig []byte) error { return rsa.VerifyPKCS1v15(&key.PublicKey, h, digest, sig) },
			func() ([]byte, error) { return rsa.SignPKCS1v15(rand.Reader, key, h, digest) })
		for _, salt := range []int{0, 20, h.Size()} {
			m := mech.Mechanism{Type: n.pss, Param: &mech.PSS{Hash: n.hash, MGF: n.mgf, SaltLen: uint64(salt)}}
			opts := &rsa.PSSOptions{SaltLength: salt, Hash: h}
			if salt == 0 {
				opts.SaltLength = rsa.PSSSaltLengthAuto // 0 is that too; verified below with the exact length
			}
			k.testSignature(t, m, pub, priv, func(sig []byte) error { return rsa.VerifyPSS(&key.PublicKey, h, digest, sig, opts) },
				func() ([]byte, error) {
					if salt == 0 {
						return nil, nil
					}
					return rsa.SignPSS(rand.Reader, key, h, digest, opts)
				})
		}
	}
	sig, err := k.sign(mech.Mechanism{Type: ck.CKM_RSA_PKCS}, priv, text)
	if err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, 0, text, sig) != nil {
		t.Errorf("CKM_RSA_PKCS over any data: %v", err)
	}
	if _, err := k.sign(mech.Mechanism{Type: ck.CKM_RSA_PKCS}, priv, make([]byte, 246)); !errors.Is(err, ck.CKR_DATA_LEN_RANGE) {
		t.Errorf("CKM_RSA_PKCS over too much: %v", err)
	}
}

// testSignature signs in the unit and verifies outside, and the reverse; whole,
// in parts, prehashed; and refuses what was altered.
func (k *kit) testSignature(t *testing.T, m mech.Mechanism, pub, priv unit.Blob, verify func([]byte) error, sign func() ([]byte, error)) {
	t.Helper()
	row := k.listed[m.Type]
	if row == nil {
		return
	}
	sigs := map[string]func() ([]byte, error){
		"whole": func() ([]byte, error) { return k.sign(m, priv, text) },
	}
	if row.Hash != 0 {
		sigs["in parts"] = func() ([]byte, error) { return k.inParts(mech.OpSign, m, priv, text) }
		sigs["prehashed"] = func() ([]byte, error) {
			return k.Single(ctx, mech.OpSign, m, priv, unit.Input{Data: sum(row.Hash, text), Prehashed: true})
		}
	}
	for how, f := range sigs {
		sig, err := f()
		if err != nil {
			t.Errorf("%v %s: %v", m.Type, how, err)
			continue
		}
		if err := verify(sig); err != nil {
			t.Errorf("%v %s does not verify outside: %v", m.Type, how, err)
		}
		if err := k.verify(m, pub, text, sig); err != nil {
			t.Errorf("%v %s: %v", m.Type, how, err)
		}
		sig[len(sig)/2] ^= 4
		if err := k.verify(m, pub, text, sig); !errors.Is(err, ck.CKR_SIGNATURE_INVALID) {
			t.Errorf("%v, altered: %v", m.Type, err)
		}
		if err := k.verify(m, pub, text, sig[1:]); !errors.Is(err, ck.CKR_SIGNATURE_LEN_RANGE) {
			t.Errorf("%v, cut: %v", m.Type, err)
		}
	}
	sig, err := sign()
	if err != nil {
		t.Fatal(err)
	}
	if sig != nil {
		if err := k.verify(m, pub, text, sig); err != nil {
			t.Errorf("%v made outside: %v", m.Type, err)
		}
	}
}

func testRSAEncryption(t *testing.T, k *kit) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.software(t, ck.CKK_RSA, key)
	data := text[:60]
	m := mech.Mechanism{Type: ck.CKM_RSA_PKCS}
	c, err := k.Single(ctx, mech.OpEncrypt, m, pub, unit.Input{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := rsa.DecryptPKCS1v15(nil, key, c); err != nil || !bytes.Equal(p, data) {
		t.Errorf("PKCS #1 outside: %v", err)
	}
	if p, err := k.Single(ctx, mech.OpDecrypt, m, priv, unit.Input{Data: c}); err != nil || !bytes.Equal(p, data) {
		t.Errorf("PKCS #1: %v", err)
	}
	for h, name := range hashNames {
		for _, mgf := range []string{name, "SHA-1"} {
			p := &mech.OAEP{Hash: hashes[name].hash, MGF: hashes[mgf].mgf, Source: ck.CKZ_DATA_SPECIFIED, Label: []byte("label")}
			m := mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: p}
			c, err := k.Single(ctx, mech.OpEncrypt, m, pub, unit.Input{Data: data})
			if err != nil {
				t.Errorf("OAEP %s/%s: %v", name, mgf, err)
				continue
			}
			opts := &rsa.OAEPOptions{Hash: h, MGFHash: h, Label: p.Label}
			if mgf == "SHA-1" {
				opts.MGFHash = crypto.SHA1
			}
			if got, err := key.Decrypt(nil, c, opts); err != nil || !bytes.Equal(got, data) {
				t.Errorf("OAEP %s/%s outside: %v", name, mgf, err)
			}
			if got, err := k.Single(ctx, mech.OpDecrypt, m, priv, unit.Input{Data: c}); err != nil || !bytes.Equal(got, data) {
				t.Errorf("OAEP %s/%s: %v", name, mgf, err)
			}
			c[5] ^= 1
			if _, err := k.Single(ctx, mech.OpDecrypt, m, priv, unit.Input{Data: c}); !errors.Is(err, ck.CKR_ENCRYPTED_DATA_INVALID) {
				t.Errorf("OAEP altered: %v", err)
			}
		}
	}
}

var goCurves = map[string]elliptic.Curve{"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func testECDSA(t *testing.T, k *kit) {
	for name, c := range goCurves {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pub, priv := k.software(t, ck.CKK_EC, key)
		size := (c.Params().N.BitLen() + 7) / 8
		halves := func(digest []byte) func([]byte) error {
			return func(sig []byte) error {
				r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
				if len(sig) != 2*size || !ecdsa.Verify(&key.PublicKey, digest, r, s) {
					return errors.New("no")
				}
				return nil
			}
		}
		outside := func(digest []byte) func() ([]byte, error) {
			return func() ([]byte, error) {
				r, s, err := ecdsa.Sign(rand.Reader, key, digest)
				out := make([]byte, 2*size)
				r.FillBytes(out[:size])
				s.FillBytes(out[size:])
				return out, err
			}
		}
		for h, hn := range hashNames {
			d := sum(h, text)
			k.testSignature(t, mech.Mechanism{Type: hashes[hn].ecdsa}, pub, priv, halves(d), outside(d))
		}
		for _, n := range []int{0, 1, 20, 28, 64, 66, 100} { // any length (grep11-wire 11.1)
			d := make([]byte, n)
			rand.Read(d)
			sig, err := k.sign(mech.Mechanism{Type: ck.CKM_ECDSA}, priv, d)
			if err != nil || halves(d)(sig) != nil || k.verify(mech.Mechanism{Type: ck.CKM_ECDSA}, pub, d, sig) != nil {
				t.Errorf("%s over %d bytes: %v", name, n, err)
			}
		}
	}
}

func testEdDSA(t *testing.T, k *kit) {
	m := mech.Mechanism{Type: ck.CKM_EDDSA}
	if !k.has(m.Type) {
		return
	}
	edPub, edPriv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv := k.software(t, ck.CKK_EC_EDWARDS, edPriv)
	for _, c := range []struct {
		name  string
		param mech.Param
		opts  ed25519.Options
		hash  bool
	}{
		{"pure", nil, ed25519.Options{}, false},
		{"with a context", &mech.EdDSA{Context: []byte("foo")}, ed25519.Options{Context: "foo"}, false},
		{"prehashed", &mech.EdDSA{Prehash: true, Context: []byte("foo")}, ed25519.Options{Hash: crypto.SHA512, Context: "foo"}, true},
	} {
		m.Param = c.param
		data := text
		if c.hash {
			data = sum(crypto.SHA512, text)
		}
		k.testSignature(t, m, pub, priv, func(sig []byte) error { return ed25519.VerifyWithOptions(edPub, data, sig, &c.opts) },
			func() ([]byte, error) { return edPriv.Sign(nil, data, &c.opts) })
	}
}

func testECDH(t *testing.T, k *kit) {
	for name, c := range map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()} {
		peer, err := c.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		own, err := ecdsa.GenerateKey(goCurves[name], rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, priv := k.software(t, ck.CKK_EC, own)
		ownDH, err := own.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		want, err := ownDH.ECDH(peer.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		point := peer.PublicKey().Bytes()
		for _, form := range [][]byte{point, octetString(point), compressed(point), octetString(compressed(point))} {
			m := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: form}}
			z, err := k.DeriveKey(ctx, m, priv, nil, readable(len(want)))
			if err != nil || !bytes.Equal(k.value(t, z.Blob), want) {
				t.Errorf("%s: %v", name, err)
			}
			z, err = k.DeriveKey(ctx, m, priv, nil, readable(16))
			if err != nil || !bytes.Equal(k.value(t, z.Blob), want[len(want)-16:]) {
				t.Errorf("%s cut: %v", name, err)
			}
		}
		point[len(point)-1] ^= 1
		for what, form := range map[string][]byte{
			"a point beside the curve": point, "no point's X coordinate": beside(goCurves[name], compressed(point)), "a compressed point cut short": compressed(point)[1:],
		} {
			m := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: form}}
			if _, err := k.DeriveKey(ctx, m, priv, nil, readable(16)); !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	testX963(t, k)
}

// compressed is the form of ANSI X9.62 that has one coordinate, and the other's parity.
func compressed(point []byte) []byte {
	return append([]byte{2 + point[len(point)-1]&1}, point[1:1+len(point)/2]...)
}

// beside changes a compressed point until no point on the curve has its coordinate.
func beside(c elliptic.Curve, point []byte) []byte {
	for ; ; point[len(point)-1]++ {
		if x, _ := elliptic.UnmarshalCompressed(c, point); x == nil {
			return point
		}
	}
}

func octetString(b []byte) []byte {
	head := []byte{4, byte(len(b))}
	if len(b) > 127 {
		head = []byte{4, 0x81, byte(len(b))}
	}
	return append(head, b...)
}

// testX963 recomputes the KDF of ANSI X9.63 from its definition.
func testX963(t *testing.T, k *kit) {
	pub, priv := k.ec(t, "P-256", allUses...)
	point := pub.Attributes.Bytes(ck.CKA_EC_POINT)
	m := mech.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Param: &mech.ECDH1{KDF: ck.CKD_NULL, Public: point}}
	z, err := k.DeriveKey(ctx, m, priv.Blob, nil, readable(32))
	if err != nil {
		t.Fatal(err)
	}
	m.Param = &mech.ECDH1{KDF: ck.CKD_SHA256_KDF, Public: point, Shared: []byte("info")}
	got, err := k.DeriveKey(ctx, m, priv.Blob, nil, readable(48))
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range byte(2) {
		want = append(want, sum(crypto.SHA256, append(append(bytes.Clone(k.value(t, z.Blob)), 0, 0, 0, i+1), "info"...))...)
	}
	if !bytes.Equal(k.value(t, got.Blob), want[:48]) {
		t.Error("X9.63 KDF")
	}
}
