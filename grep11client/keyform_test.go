package grep11client

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
)

// oidP256 is CKA_EC_PARAMS of P-256.
var oidP256 = unhex("06082a8648ce3d030107")

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func rsaTemplate(k *rsa.PrivateKey) ck.Template {
	return ck.Template{
		ck.Bytes(ck.CKA_MODULUS, k.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		ck.Bytes(ck.CKA_PRIVATE_EXPONENT, k.D.Bytes()),
		ck.Bytes(ck.CKA_PRIME_1, k.Primes[0].Bytes()), ck.Bytes(ck.CKA_PRIME_2, k.Primes[1].Bytes()),
	}
}

func TestRSAKeysAreCompleted(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	full := rsaTemplate(k)
	unusual := full.Set(ck.Bytes(ck.CKA_PRIVATE_EXPONENT, inverse(big.NewInt(65539), k).Bytes()))
	for name, row := range map[string]struct {
		in ck.Template
		rv ck.RV
	}{
		"with everything":                      {full, ck.CKR_OK},
		"without primes":                       {full.Without(ck.CKA_PRIME_1, ck.CKA_PRIME_2), ck.CKR_OK},
		"with one prime":                       {full.Without(ck.CKA_PRIME_2), ck.CKR_OK},
		"without the public exponent":          {full.Without(ck.CKA_PUBLIC_EXPONENT), ck.CKR_OK},
		"without the private exponent":         {full.Without(ck.CKA_PRIVATE_EXPONENT), ck.CKR_OK},
		"without a modulus":                    {full.Without(ck.CKA_MODULUS), ck.CKR_TEMPLATE_INCOMPLETE},
		"without both exponents":               {full.Without(ck.CKA_PRIVATE_EXPONENT, ck.CKA_PUBLIC_EXPONENT), ck.CKR_TEMPLATE_INCOMPLETE},
		"with modulus and private exponent":    {full.Without(ck.CKA_PRIME_1, ck.CKA_PRIME_2, ck.CKA_PUBLIC_EXPONENT), ck.CKR_OK},
		"with these and an unusual exponent":   {unusual.Without(ck.CKA_PRIME_1, ck.CKA_PUBLIC_EXPONENT), ck.CKR_TEMPLATE_INCOMPLETE},
		"with a prime of another key":          {full.Set(ck.Bytes(ck.CKA_PRIME_1, []byte{0xd})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with exponents that do not match":     {full.Set(ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{3})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with a wrong exponent and no primes":  {full.Without(ck.CKA_PRIME_1).Set(ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{5})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with an even modulus and no primes":   {full.Without(ck.CKA_PRIME_1).Set(ck.Bytes(ck.CKA_MODULUS, []byte{1, 2, 4})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with an exponent of another prime":    {full.Set(ck.Bytes(ck.CKA_EXPONENT_1, []byte{3})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with a coefficient of other primes":   {full.Set(ck.Bytes(ck.CKA_COEFFICIENT, []byte{3})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with a modulus beyond all reason":     {full.Set(ck.Bytes(ck.CKA_MODULUS, make([]byte, 5000))), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with exponents of one and no primes":  {full.Without(ck.CKA_PRIME_1).Set(ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1})).Set(ck.Bytes(ck.CKA_PRIVATE_EXPONENT, []byte{1})), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"with leading zeros in each component": {zeroLed(full), ck.CKR_OK},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := pkcs8(ck.CKK_RSA, row.in)
			if ck.RVOf(err) != row.rv {
				t.Fatalf("got %v, want %v", err, row.rv)
			}
			if err != nil {
				return
			}
			got, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				t.Fatal(err)
			}
			if g := got.(*rsa.PrivateKey); g.Validate() != nil || g.N.Cmp(k.N) != 0 {
				t.Errorf("another key: %v", g.Validate())
			}
		})
	}
	der, err := spki(ck.CKK_RSA, full)
	if want, _ := x509.MarshalPKIXPublicKey(k.Public()); err != nil || !bytes.Equal(der, want) {
		t.Errorf("public key: %x, %v", der, err)
	}
}

// inverse gives the private exponent of another public one.
func inverse(e *big.Int, k *rsa.PrivateKey) *big.Int {
	p1 := new(big.Int).Sub(k.Primes[0], one)
	q1 := new(big.Int).Sub(k.Primes[1], one)
	return new(big.Int).ModInverse(e, p1.Mul(p1, q1))
}

func zeroLed(t ck.Template) ck.Template {
	var out ck.Template
	for _, a := range t {
		out = append(out, ck.Bytes(a.Type, append([]byte{0}, a.Value...)))
	}
	return out
}

func TestECKeys(t *testing.T) {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	secret, _ := k.ECDH()
	point, _ := asn1.Marshal(secret.PublicKey().Bytes())
	der, err := pkcs8(ck.CKK_EC, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bytes(ck.CKA_VALUE, secret.Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := x509.ParsePKCS8PrivateKey(der); err != nil || !got.(*ecdsa.PrivateKey).Equal(k) {
		t.Errorf("private key came back as %v, %v", got, err)
	}
	want, _ := x509.MarshalPKIXPublicKey(k.Public())
	for name, p := range map[string][]byte{"in an OCTET STRING": point, "bare": secret.PublicKey().Bytes()} {
		if der, err := spki(ck.CKK_EC, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bytes(ck.CKA_EC_POINT, p)}); err != nil || !bytes.Equal(der, want) {
			t.Errorf("public key %s: %x, %v", name, der, err)
		}
	}
}

func TestEdwardsKeys(t *testing.T) {
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	wrapped, _ := asn1.Marshal([]byte(pub))
	bits, _ := asn1.Marshal(asn1.BitString{Bytes: pub, BitLength: 256})
	want, _ := x509.MarshalPKIXPublicKey(pub)
	for name, params := range map[string][]byte{"an OID": unhex("06032b6570"), "a name": append([]byte{0x13, 12}, "edwards25519"...)} {
		for _, value := range [][]byte{priv.Seed(), priv} {
			der, err := pkcs8(ck.CKK_EC_EDWARDS, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, params), ck.Bytes(ck.CKA_VALUE, value)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := x509.ParsePKCS8PrivateKey(der); err != nil || !got.(ed25519.PrivateKey).Equal(priv) {
				t.Errorf("curve by %s, %d bytes: came back as %v, %v", name, len(value), got, err)
			}
		}
		for _, point := range [][]byte{pub, wrapped, bits} {
			der, err := spki(ck.CKK_EC_EDWARDS, ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, params), ck.Bytes(ck.CKA_EC_POINT, point)})
			if err != nil || !bytes.Equal(der, want) {
				t.Errorf("curve by %s: public key %x, %v", name, der, err)
			}
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	params, value := ck.Bytes(ck.CKA_EC_PARAMS, oidP256), ck.Bytes(ck.CKA_VALUE, []byte{1})
	for name, row := range map[string]struct {
		kt ck.KeyType
		in ck.Template
		rv ck.RV
	}{
		"a curve that is missing":          {ck.CKK_EC, ck.Template{value}, ck.CKR_TEMPLATE_INCOMPLETE},
		"a curve that is not DER":          {ck.CKK_EC, ck.Template{value, ck.Bytes(ck.CKA_EC_PARAMS, []byte{6})}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a curve spelled out":              {ck.CKK_EC, ck.Template{value, ck.Bytes(ck.CKA_EC_PARAMS, []byte{0x30, 0})}, ck.CKR_CURVE_NOT_SUPPORTED},
		"a value that is missing":          {ck.CKK_EC, ck.Template{params}, ck.CKR_TEMPLATE_INCOMPLETE},
		"a value beyond the order":         {ck.CKK_EC, ck.Template{params, ck.Bytes(ck.CKA_VALUE, bytes.Repeat([]byte{1}, 33))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"an Edwards value of a wrong size": {ck.CKK_EC_EDWARDS, ck.Template{value, ck.Bytes(ck.CKA_EC_PARAMS, unhex("06032b6570"))}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a key type that has no form":      {ck.CKK_SEED, ck.Template{value}, ck.CKR_KEY_TYPE_INCONSISTENT},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pkcs8(row.kt, row.in); ck.RVOf(err) != row.rv {
				t.Errorf("got %v, want %v", err, row.rv)
			}
		})
	}
}

func FuzzKeyForms(f *testing.F) {
	f.Add([]byte{1, 0, 1}, []byte{3}, []byte{0x0f}, []byte{3}, []byte{5}, oidP256)
	f.Add(make([]byte, 32), []byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte{}, []byte{}, []byte{}, []byte{}) // ML-DSA-44's seed and set
	f.Add(make([]byte, 64), []byte{0, 0, 0, 0, 0, 0, 0, 3}, []byte{}, []byte{}, []byte{}, []byte{}) // ML-KEM-1024's
	f.Fuzz(func(t *testing.T, e, d, n, p, q, params []byte) {
		if len(n)+len(p)+len(q)+len(d)+len(e) > 600 {
			return
		}
		rsa := ck.Template{ck.Bytes(ck.CKA_MODULUS, n), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, e), ck.Bytes(ck.CKA_PRIVATE_EXPONENT, d),
			ck.Bytes(ck.CKA_PRIME_1, p), ck.Bytes(ck.CKA_PRIME_2, q)}
		_, _ = pkcs8(ck.CKK_RSA, rsa)
		_, _ = pkcs8(ck.CKK_RSA, rsa.Without(ck.CKA_PRIME_1))
		_, _ = spki(ck.CKK_RSA, rsa)
		ec := ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, params), ck.Bytes(ck.CKA_VALUE, n), ck.Bytes(ck.CKA_EC_POINT, d)}
		for _, kt := range []ck.KeyType{ck.CKK_EC, ck.CKK_EC_EDWARDS} {
			_, _ = pkcs8(kt, ec)
			_, _ = spki(kt, ec)
		}
		pqc := ck.Template{ck.Bytes(ck.CKA_SEED, e), ck.Bytes(ck.CKA_PARAMETER_SET, d), ck.Bytes(ck.CKA_VALUE, n), ck.Bytes(ck.CKA_IBM_PQC_PARAMS, params)}
		for _, kt := range []ck.KeyType{ck.CKK_ML_KEM, ck.CKK_ML_DSA, ck.CKK_SLH_DSA, ck.CKK_IBM_PQC_KYBER} {
			_, _ = pqcPKCS8(kt, pqc)
			_, _ = pqcSPKI(kt, pqc)
			_, _ = pqcSPKI(kt, pqc.Without(ck.CKA_PARAMETER_SET))
		}
	})
}
