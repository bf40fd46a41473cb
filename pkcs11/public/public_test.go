package public

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// keys of Go's crypto, and the same through the attributes of objects.
type pair struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey

	pubRSA, pubEC, pubEd *Key
}

func newPair(t *testing.T) *pair {
	t.Helper()
	var p pair
	var err error
	if p.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if p.ec, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	edPub, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.ed = ed
	p.pubRSA = parse(t, ck.CKK_RSA, ck.Template{ck.Bytes(ck.CKA_MODULUS, p.rsa.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})})
	point, err := p.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p.pubEC = parse(t, ck.CKK_EC, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oid(1, 3, 132, 0, 34)), ck.Bytes(ck.CKA_EC_POINT, Point(point, false))})
	p.pubEd = parse(t, ck.CKK_EC_EDWARDS, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, printable("edwards25519")), ck.Bytes(ck.CKA_EC_POINT, edPub)})
	return &p
}

func parse(t *testing.T, kt ck.KeyType, a ck.Template) *Key {
	t.Helper()
	k, err := Parse(kt, a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// rs is r and s, padded to the order's length.
func (p *pair) rs(digest []byte) []byte {
	r, s, err := ecdsa.Sign(rand.Reader, p.ec, digest)
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 96)
	r.FillBytes(sig[:48])
	s.FillBytes(sig[48:])
	return sig
}

func TestVerify(t *testing.T) {
	p := newPair(t)
	data := []byte("a message")
	d256, d512 := sha256.Sum256(data), sha512.Sum512(data)
	pss := &mech.PSS{Hash: ck.CKM_SHA512, MGF: ck.CKG_MGF1_SHA512, SaltLen: 20}
	pssSig := must(rsa.SignPSS(rand.Reader, p.rsa, crypto.SHA512, d512[:], &rsa.PSSOptions{SaltLength: 20}))
	pkcs := must(rsa.SignPKCS1v15(nil, p.rsa, crypto.SHA256, d256[:]))
	plain := must(rsa.SignPKCS1v15(nil, p.rsa, 0, data))
	raw := new(big.Int).Exp(new(big.Int).SetBytes(data), p.rsa.D, p.rsa.N).FillBytes(make([]byte, 256))
	ec, ed := p.rs(d256[:]), ed25519.Sign(p.ed, data)
	bad := func(sig []byte) []byte {
		out := bytes.Clone(sig)
		out[len(out)-1] ^= 1
		return out
	}
	for _, c := range []struct {
		name      string
		key       *Key
		m         mech.Mechanism
		data, sig []byte
		prehashed bool
		want      error
	}{
		{"PKCS #1 over a hash", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, data, pkcs, false, nil},
		{"PKCS #1 over a digest given", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, d256[:], pkcs, true, nil},
		{"a digest of another length", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, d512[:], pkcs, true, ck.CKR_DATA_LEN_RANGE},
		{"PKCS #1 altered", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, data, bad(pkcs), false, ck.CKR_SIGNATURE_INVALID},
		{"PKCS #1 of another message", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, data[1:], pkcs, false, ck.CKR_SIGNATURE_INVALID},
		{"PKCS #1 cut short", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, data, pkcs[1:], false, ck.CKR_SIGNATURE_LEN_RANGE},
		{"plain PKCS #1", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_PKCS}, data, plain, false, nil},
		{"plain PKCS #1 of too much", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_PKCS}, make([]byte, 246), plain, false, ck.CKR_DATA_LEN_RANGE},
		{"raw RSA", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_X_509}, data, raw, false, nil},
		{"raw RSA with leading zeros", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_X_509}, append(make([]byte, 20), data...), raw, false, nil},
		{"raw RSA altered", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_X_509}, data, bad(raw), false, ck.CKR_SIGNATURE_INVALID},
		{"PSS", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA512_RSA_PKCS_PSS, Param: pss}, data, pssSig, false, nil},
		{"PSS of a digest", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_PKCS_PSS, Param: pss}, d512[:], pssSig, false, nil},
		{"PSS of something else than a digest", p.pubRSA, mech.Mechanism{Type: ck.CKM_RSA_PKCS_PSS, Param: pss}, data, pssSig, false, ck.CKR_DATA_LEN_RANGE},
		{"PSS with another salt", p.pubRSA, mech.Mechanism{Type: ck.CKM_SHA512_RSA_PKCS_PSS, Param: &mech.PSS{Hash: ck.CKM_SHA512, MGF: ck.CKG_MGF1_SHA512, SaltLen: 64}}, data, pssSig, false, ck.CKR_SIGNATURE_INVALID},
		{"ECDSA over a hash", p.pubEC, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, data, ec, false, nil},
		{"ECDSA of a digest", p.pubEC, mech.Mechanism{Type: ck.CKM_ECDSA}, d256[:], ec, false, nil},
		{"ECDSA altered", p.pubEC, mech.Mechanism{Type: ck.CKM_ECDSA}, d256[:], bad(ec), false, ck.CKR_SIGNATURE_INVALID},
		{"ECDSA of zeros", p.pubEC, mech.Mechanism{Type: ck.CKM_ECDSA}, d256[:], make([]byte, 96), false, ck.CKR_SIGNATURE_INVALID},
		{"ECDSA in DER", p.pubEC, mech.Mechanism{Type: ck.CKM_ECDSA}, d256[:], ec[:95], false, ck.CKR_SIGNATURE_LEN_RANGE},
		{"Ed25519", p.pubEd, mech.Mechanism{Type: ck.CKM_EDDSA}, data, ed, false, nil},
		{"Ed25519 altered", p.pubEd, mech.Mechanism{Type: ck.CKM_EDDSA}, data, bad(ed), false, ck.CKR_SIGNATURE_INVALID},
		{"Ed25519 with a context is left to the unit", p.pubEd, mech.Mechanism{Type: ck.CKM_EDDSA, Param: &mech.EdDSA{Context: []byte("x")}}, data, ed, false, ck.CKR_MECHANISM_INVALID},
		{"RSA with an EC key is left to the unit", p.pubEC, mech.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, data, pkcs, false, ck.CKR_MECHANISM_INVALID},
		{"no key can do anything", nil, mech.Mechanism{Type: ck.CKM_ECDSA}, data, ec, false, ck.CKR_MECHANISM_INVALID},
	} {
		if err := c.key.Verify(c.m, c.data, c.sig, c.prehashed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestEncrypt(t *testing.T) {
	p := newPair(t)
	data := []byte("a secret")
	oaep := &mech.OAEP{Hash: ck.CKM_SHA256, MGF: ck.CKG_MGF1_SHA256, Source: ck.CKZ_DATA_SPECIFIED, Label: []byte("label")}
	back := func(out []byte) []byte {
		return new(big.Int).Exp(new(big.Int).SetBytes(out), p.rsa.D, p.rsa.N).Bytes()
	}
	for _, c := range []struct {
		name    string
		m       mech.Mechanism
		data    []byte
		decrypt func([]byte) []byte
		want    error
	}{
		{"PKCS #1", mech.Mechanism{Type: ck.CKM_RSA_PKCS}, data, func(c []byte) []byte { return must(rsa.DecryptPKCS1v15(nil, p.rsa, c)) }, nil},
		{"PKCS #1 of too much", mech.Mechanism{Type: ck.CKM_RSA_PKCS}, make([]byte, 246), nil, ck.CKR_DATA_LEN_RANGE},
		{"OAEP with a label", mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: oaep}, data, func(c []byte) []byte { return must(rsa.DecryptOAEP(sha256.New(), nil, p.rsa, c, []byte("label"))) }, nil},
		{"OAEP of too much", mech.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Param: oaep}, make([]byte, 191), nil, ck.CKR_DATA_LEN_RANGE},
		{"raw RSA", mech.Mechanism{Type: ck.CKM_RSA_X_509}, data, back, nil},
		{"raw RSA of a number that is too large", mech.Mechanism{Type: ck.CKM_RSA_X_509}, bytes.Repeat([]byte{255}, 256), nil, ck.CKR_DATA_INVALID},
		{"raw RSA of too much", mech.Mechanism{Type: ck.CKM_RSA_X_509}, make([]byte, 257), nil, ck.CKR_DATA_LEN_RANGE},
	} {
		out, err := p.pubRSA.Encrypt(c.m, c.data)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
			continue
		}
		if err == nil && !bytes.Equal(c.decrypt(out), c.data) {
			t.Errorf("%s: comes back changed", c.name)
		}
	}
}

func TestPoints(t *testing.T) {
	weier := append([]byte{4}, bytes.Repeat([]byte{7}, 64)...)
	odd := append([]byte{4, 63}, bytes.Repeat([]byte{4}, 63)...) // reads as an OCTET STRING of 63 bytes
	wrapped := append([]byte{4, 65}, weier...)
	bits := append([]byte{3, 66, 0}, weier...)
	ed := bytes.Repeat([]byte{9}, 32)
	for _, c := range []struct {
		name      string
		in        []byte
		wrapAll   bool
		raw, want []byte
	}{
		{"a raw point is wrapped", weier, false, weier, wrapped},
		{"an OCTET STRING stays", wrapped, false, weier, wrapped},
		{"a BIT STRING is read", bits, false, weier, wrapped},
		{"a raw point that looks like a string is a point", odd, false, odd, append([]byte{4, 65}, odd...)},
		{"an Edwards point stays raw", ed, false, ed, ed},
		{"an Edwards point in a string comes out", append([]byte{4, 32}, ed...), false, ed, ed},
		{"an Edwards point is wrapped by setting", ed, true, ed, append([]byte{4, 32}, ed...)},
		{"nothing stays nothing", nil, true, nil, nil},
	} {
		if got := Raw(c.in); !bytes.Equal(got, c.raw) {
			t.Errorf("%s: raw %x", c.name, got)
		}
		if got := Point(c.in, c.wrapAll); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x", c.name, got)
		}
	}
}

func FuzzPoint(f *testing.F) {
	f.Add([]byte{4, 2, 1, 2}, true)
	f.Add([]byte{3, 2, 0, 4}, false)
	f.Fuzz(func(t *testing.T, value []byte, wrapAll bool) {
		once := Point(value, wrapAll)
		if again := Point(once, wrapAll); isPoint(Raw(value)) && !bytes.Equal(once, again) {
			t.Errorf("%x becomes %x, then %x", value, once, again)
		}
	})
}

// Parse takes whatever attributes an object has.
func FuzzParse(f *testing.F) {
	f.Add(uint64(ck.CKK_RSA), []byte{255, 1}, []byte{1, 0, 1})
	f.Add(uint64(ck.CKK_EC), oid(1, 2, 840, 10045, 3, 1, 7), append([]byte{4, 65, 4}, make([]byte, 64)...))
	f.Add(uint64(ck.CKK_EC_EDWARDS), oid(1, 3, 101, 112), make([]byte, 32))
	f.Fuzz(func(t *testing.T, kind uint64, a, b []byte) {
		k, err := Parse(ck.KeyType(kind), ck.Template{
			ck.Bytes(ck.CKA_MODULUS, a), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, b), ck.Bytes(ck.CKA_EC_PARAMS, a), ck.Bytes(ck.CKA_EC_POINT, b),
		})
		if err == nil && len(k.Info()) == 0 {
			t.Error("a key without SubjectPublicKeyInfo")
		}
	})
}
