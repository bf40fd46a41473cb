package grep11

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gocrypto "crypto"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// The Go suite, third part: wrapping, import and export, TLS.

var kekRights = attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_WRAP: true, ck.CKA_UNWRAP: true}

func (c *client) wrap(m *pb.Mechanism, key, kek *pb.KeyBlob) []byte {
	c.Helper()
	return ok[*pb.WrapKeyResponse](c)(c.WrapKey(c.ctx, &pb.WrapKeyRequest{Mech: m, Key: key, KeK: kek})).Wrapped
}

func (c *client) unwrap(m *pb.Mechanism, wrapped []byte, kek *pb.KeyBlob, a attrs) *pb.UnwrapKeyResponse {
	c.Helper()
	return ok[*pb.UnwrapKeyResponse](c)(c.UnwrapKey(c.ctx, &pb.UnwrapKeyRequest{Mech: m, Wrapped: wrapped, KeK: kek, Template: template(a)}))
}

func TestGoReencrypt(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		a, b := c.aes(kekRights).Key, c.aes(kekRights).Key
		ma, mb := withBytes(ck.CKM_AES_CBC_PAD, c.random(16)), withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
		r := ok[*pb.ReencryptSingleResponse](c)(c.ReencryptSingle(c.ctx, &pb.ReencryptSingleRequest{DecMech: ma, EncMech: mb, DecKey: a, EncKey: b, Ciphered: c.encrypt(ma, a, greeting)}))
		c.same("under the second key", c.decrypt(mb, b, r.Reciphered), greeting)
	})
}

func TestGoWrapAESWithRSA(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		k := c.aes(attrs{ck.CKA_VALUE_LEN: 16, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})
		rsa := c.rsa4096()
		u := c.unwrap(mechanism(ck.CKM_RSA_PKCS), c.wrap(mechanism(ck.CKM_RSA_PKCS), k.Key, rsa.PubKey), rsa.PrivKey,
			attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})
		c.same("checksum", u.CheckSum[:3], k.CheckSum[:3])
	})
}

func TestGoAttributeBound(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		c.needs(ck.CKM_IBM_ATTRIBUTEBOUND_WRAP)
		bound := func(a attrs) attrs { a[ck.CKA_IBM_ATTRBOUND] = true; return a }
		mac := c.key(ck.CKM_GENERIC_SECRET_KEY_GEN, bound(attrs{ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE_LEN: 32}))
		k := c.aes(bound(attrs{ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true}))
		rsa := c.pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, bound(attrs{ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: 65537, ck.CKA_WRAP: true, ck.CKA_VERIFY: true}), bound(attrs{ck.CKA_UNWRAP: true, ck.CKA_SIGN: true}))
		m := mechanism(ck.CKM_IBM_ATTRIBUTEBOUND_WRAP)
		w := ok[*pb.WrapKeyResponse](c)(c.WrapKey(c.ctx, &pb.WrapKeyRequest{Mech: m, Key: k.Key, KeK: rsa.PubKey, MacKey: mac.Key})).Wrapped
		u := ok[*pb.UnwrapKeyResponse](c)(c.UnwrapKey(c.ctx, &pb.UnwrapKeyRequest{Mech: m, Wrapped: w, KeK: rsa.PrivKey, MacKey: mac.Key,
			Template: template(bound(attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32, ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true}))}))
		c.same("checksum", u.CheckSum[:3], k.CheckSum[:3])
	})
}

func TestGoImportExportAES(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		value, _ := hex.DecodeString("84eb31c1b1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829304d64")
		kek, m := c.aes(kekRights).Key, withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
		u := c.unwrap(m, c.encrypt(m, kek, value), kek, attrs{ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32,
			ck.CKA_ENCRYPT: true, ck.CKA_DECRYPT: true, ck.CKA_EXTRACTABLE: true})
		iv := withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
		c.same("decrypted with the imported key", c.decrypt(iv, u.Unwrapped, c.encrypt(iv, u.Unwrapped, greeting)), greeting)
		c.same("exported", c.decrypt(m, kek, c.wrap(m, u.Unwrapped, kek)), value)
	})
}

// export is the PKCS#8 that a private key is wrapped as.
func (c *client) export(k *pb.KeyBlob) any {
	c.Helper()
	kek, m := c.aes(kekRights).Key, withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
	key, err := x509.ParsePKCS8PrivateKey(c.decrypt(m, kek, c.wrap(m, k, kek)))
	if err != nil {
		c.Fatal(err)
	}
	return key
}

func TestGoExportPrivateKeys(t *testing.T) {
	overBoth(t, func(_ *testing.T, c *client) {
		pair := c.rsa4096()
		key, isRSA := c.export(pair.PrivKey).(*rsa.PrivateKey)
		if !isRSA || key.Validate() != nil {
			c.Fatal("the RSA key is not valid")
		}
		ciphered := c.encrypt(mechanism(ck.CKM_RSA_PKCS), pair.PubKey, greeting)
		plain, err := key.Decrypt(nil, ciphered, nil)
		if err != nil {
			c.Fatal(err)
		}
		c.same("decrypted with the exported key", plain, greeting)
		c.same("decrypted with the original", c.decrypt(mechanism(ck.CKM_RSA_PKCS), pair.PrivKey, ciphered), greeting)

		ec := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true, ck.CKA_EXTRACTABLE: true})
		soft, isEC := c.export(ec.PrivKey).(*ecdsa.PrivateKey)
		if !isEC {
			c.Fatal("no EC key")
		}
		h := sha256.Sum256(sentence)
		sig := c.sign(mechanism(ck.CKM_ECDSA), ec.PrivKey, h[:])
		if !ecdsa.Verify(&soft.PublicKey, h[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
			c.Error("the signature does not fit the exported key")
		}
	})
}

func TestGoImportKeyPairs(t *testing.T) {
	softRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	softEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	overBoth(t, func(_ *testing.T, c *client) {
		for _, row := range []struct {
			key  gocrypto.Signer
			kind ck.KeyType
			mech ck.MechanismType
		}{{softRSA, ck.CKK_RSA, ck.CKM_SHA256_RSA_PKCS}, {softEC, ck.CKK_EC, ck.CKM_ECDSA}} {
			pkcs8, _ := x509.MarshalPKCS8PrivateKey(row.key)
			public, _ := x509.MarshalPKIXPublicKey(row.key.Public())
			kek, m := c.aes(kekRights).Key, withBytes(ck.CKM_AES_CBC_PAD, c.random(16))
			priv := c.unwrap(m, c.encrypt(m, kek, pkcs8), kek, attrs{ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: row.kind, ck.CKA_SIGN: true, ck.CKA_EXTRACTABLE: true})
			pub := c.unwrap(mechanism(ck.CKM_IBM_TRANSPORTKEY), public, kek, attrs{ck.CKA_VERIFY: true, ck.CKA_ENCRYPT: row.kind == ck.CKK_RSA, ck.CKA_WRAP: row.kind == ck.CKK_RSA})
			c.want(row.kind.String(), c.verify(mechanism(row.mech), pub.Unwrapped, sentence, c.sign(mechanism(row.mech), priv.Unwrapped, sentence)), ck.CKR_OK)
		}
	})
}

// remote signs with a key of the service, as the Go TLS helper does.
type remote struct {
	c    *client
	priv *pb.KeyBlob
	pub  *ecdsa.PublicKey
}

func (r remote) Public() gocrypto.PublicKey { return r.pub }

func (r remote) Sign(_ io.Reader, digest []byte, _ gocrypto.SignerOpts) ([]byte, error) {
	resp, err := r.c.SignSingle(r.c.ctx, &pb.SignSingleRequest{Mech: mechanism(ck.CKM_ECDSA), PrivKey: r.priv, Data: digest})
	if err != nil {
		return nil, err
	}
	sig := resp.Signature
	if len(sig)%2 != 0 {
		return nil, errors.New("signature of odd length")
	}
	half := len(sig) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
}

func TestGoTLSServer(t *testing.T) {
	overBoth(t, func(t *testing.T, c *client) {
		p := c.pair(ck.CKM_EC_KEY_PAIR_GEN, attrs{ck.CKA_EC_PARAMS: p256, ck.CKA_VERIFY: true}, attrs{ck.CKA_SIGN: true})
		_, der := c.spki(p.PubKeyBytes)
		pub, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			t.Fatal(err)
		}
		key := remote{c, p.PrivKey, pub.(*ecdsa.PublicKey)}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.pub, key)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(greeting) }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
		s.StartTLS()
		defer s.Close()
		r, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		c.same("over HTTPS", b, greeting)
	})
}
