package grep11client_test

import (
	"bytes"
	"context"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
)

var ctx = context.Background()

// service is the real server with one emulated unit, on loopback.
type service struct {
	t      testing.TB
	dir    string
	master ck.Secret
}

func newService(t testing.TB) *service {
	s := &service{t, t.TempDir(), make(ck.Secret, 32)}
	_, _ = rand.Read(s.master)
	return s
}

// start runs a server at an address until the test ends or stop is called.
func (s *service) start(address string) (addr string, stop func()) {
	s.t.Helper()
	store, err := keystore.Open(ctx, filepath.Join(s.dir, "keystore.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := soft.New(soft.Config{Name: "unit", MasterKey: s.master})
	if err != nil {
		s.t.Fatal(err)
	}
	srv, err := server.New(server.Defaults(), store, []balancer.Member{{Unit: u, Kind: "soft"}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = srv.ServeOn(l) })
	stop = sync.OnceFunc(func() { _ = srv.Close(); done.Wait() })
	s.t.Cleanup(stop)
	return l.Addr().String(), stop
}

func (s *service) client(addresses ...string) *grep11client.Client {
	return s.clientWith(grep11client.Timeouts{}, addresses...)
}

func (s *service) clientWith(timeouts grep11client.Timeouts, addresses ...string) *grep11client.Client {
	c := grep11client.Config{Timeouts: timeouts}
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, grep11client.Endpoint{Address: a})
	}
	client, err := grep11client.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

const soPIN, userPIN = "87654321", "12345678"

// loggedIn makes a token and logs its user in.
func loggedIn(t testing.TB, c *grep11client.Client) *grep11client.Token {
	t.Helper()
	info, err := c.InitToken(ctx, nil, "test token", ck.Secret(soPIN))
	if err != nil {
		t.Fatal(err)
	}
	tok := c.Token(info.ID)
	must(t, tok.Login(ctx, ck.CKU_SO, ck.Secret(soPIN)))
	must(t, tok.InitPIN(ctx, ck.Secret(userPIN)))
	must(t, tok.Logout(ctx))
	must(t, tok.Login(ctx, ck.CKU_USER, ck.Secret(userPIN)))
	return tok
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err error, rv ck.RV) {
	t.Helper()
	if !errors.Is(err, rv) {
		t.Errorf("got %v (%v), want %v", ck.RVOf(err), err, rv)
	}
}

var (
	p256  = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	ed    = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	token = ck.Bool(ck.CKA_TOKEN, true)
)

func label(s string) ck.Attribute { return ck.Bytes(ck.CKA_LABEL, []byte(s)) }

func signingPair(t testing.TB, tok *grep11client.Token, more ...ck.Attribute) (pub, priv grep11client.Object) {
	t.Helper()
	pub, priv, err := tok.GenerateKeyPair(ctx, mech.Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN},
		append(ck.Template{ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_VERIFY, true)}, more...),
		append(ck.Template{ck.Bool(ck.CKA_SIGN, true)}, more...))
	must(t, err)
	return pub, priv
}

// checkP256 verifies with Go's crypto what a unit signed.
func checkP256(t testing.TB, pub grep11client.Object, digest, sig []byte) {
	t.Helper()
	point := pub.Attributes.Bytes(ck.CKA_EC_POINT)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point[len(point)-65:])
	must(t, err)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
	must(t, err)
	if !ecdsa.VerifyASN1(key, digest, der) {
		t.Error("the signature does not verify")
	}
}

func TestTokensAndLogins(t *testing.T) {
	eachKind(t, testTokensAndLogins)
}

func testTokensAndLogins(t *testing.T, another func() *grep11client.Client) {
	c := another()
	tok := loggedIn(t, c)
	tokens, next, err := c.Tokens(ctx)
	if err != nil || len(tokens) != 1 || tokens[0].Label != "test token" || next != 1 || tokens[0].Flags&ck.CKF_USER_PIN_INITIALIZED == 0 {
		t.Errorf("tokens: %+v, next %d, %v", tokens, next, err)
	}
	if info, err := c.Service(ctx); err != nil || len(info.Mechanisms) == 0 || info.PINMinBytes != 4 {
		t.Errorf("service: %+v, %v", info, err)
	}
	want(t, tok.CheckPIN(ctx, ck.Secret("wrong")), ck.CKR_PIN_INCORRECT)
	must(t, tok.CheckPIN(ctx, ck.Secret(userPIN)))
	must(t, tok.SetPIN(ctx, ck.CKU_USER, ck.Secret(userPIN), ck.Secret("other pin")))
	_, priv := signingPair(t, tok, token)
	other := another().Token(tokens[0].ID)
	want(t, other.Login(ctx, ck.CKU_USER, ck.Secret(userPIN)), ck.CKR_PIN_INCORRECT)
	must(t, other.Login(ctx, ck.CKU_USER, ck.Secret("other pin")))
	must(t, tok.Logout(ctx))
	_, err = tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Key, make([]byte, 32), nil, false)
	want(t, err, ck.CKR_USER_NOT_LOGGED_IN)
	if r, err := other.Random(ctx, 100); err != nil || len(r) != 100 {
		t.Errorf("random: %d bytes, %v", len(r), err)
	}
}

// A key of a tree keeps its chain code, which the service gives as its checksum.
func TestChainCodes(t *testing.T) {
	eachKind(t, func(t *testing.T, another func() *grep11client.Client) {
		tok := loggedIn(t, another())
		seed, err := tok.ImportKey(ctx, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
			ck.Bytes(ck.CKA_VALUE, make([]byte, 32)), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true)})
		must(t, err)
		m := mech.Mechanism{Type: ck.CKM_IBM_BTC_DERIVE, Param: &mech.BTC{Type: ck.CK_IBM_SLIP0010_MASTERK, Version: 1}}
		for _, stored := range []bool{false, true} {
			o, chain, err := tok.DeriveKey(ctx, m, seed.Key, nil, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY),
				ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bool(ck.CKA_TOKEN, stored)})
			must(t, err)
			if stored {
				o, err = tok.GetObject(ctx, o.Handle)
				must(t, err)
			}
			if got := o.Attributes.Bytes(ck.CKA_CHECK_VALUE); len(chain) != mech.LenChainCode || !bytes.Equal(got, chain) {
				t.Errorf("stored %v: CKA_CHECK_VALUE %x, chain code %x", stored, got, chain)
			}
		}
	})
}

func TestStoredKeysAndObjects(t *testing.T) {
	eachKind(t, testStoredKeysAndObjects)
}

func testStoredKeysAndObjects(t *testing.T, another func() *grep11client.Client) {
	tok := loggedIn(t, another())
	pub, priv := signingPair(t, tok, token, label("signer"))
	if priv.Handle == 0 || len(priv.ID) == 0 {
		t.Fatalf("not stored: %+v", priv)
	}
	digest := sha256.Sum256([]byte("message"))
	for _, prehashed := range []bool{tok.CanPrehash(ctx), false} {
		data := []byte("message")
		if prehashed {
			data = digest[:]
		}
		sig, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, priv.Key, data, nil, prehashed)
		must(t, err)
		checkP256(t, pub, digest[:], sig)
		_, err = tok.Single(ctx, mech.OpVerify, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pub.Key, data, sig, prehashed)
		must(t, err)
		sig[5] ^= 1
		_, err = tok.Single(ctx, mech.OpVerify, mech.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pub.Key, data, sig, prehashed)
		want(t, err, ck.CKR_SIGNATURE_INVALID)
	}
	data, err := tok.CreateObject(ctx, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_DATA), token, label("note"), ck.Bytes(ck.CKA_VALUE, []byte("text"))})
	must(t, err)
	found, more, err := tok.FindObjects(ctx, ck.Template{label("signer")}, 0, 10)
	if err != nil || more || len(found) != 2 {
		t.Fatalf("%d found, more %v, %v", len(found), more, err)
	}
	first, more, err := tok.FindObjects(ctx, nil, 0, 2)
	if err != nil || !more || len(first) != 2 {
		t.Errorf("first page: %d found, more %v, %v", len(first), more, err)
	}
	rest, more, err := tok.FindObjects(ctx, nil, first[1].Handle, 2)
	if err != nil || more || len(rest) != 1 || rest[0].Handle != data.Handle {
		t.Errorf("second page: %+v, more %v, %v", rest, more, err)
	}
	got, err := tok.GetObject(ctx, data.Handle)
	if err != nil || string(got.Attributes.Bytes(ck.CKA_VALUE)) != "text" {
		t.Errorf("got %+v, %v", got, err)
	}
	renamed, err := tok.SetAttributes(ctx, got, ck.Template{label("letter")})
	if err != nil || string(renamed.Attributes.Bytes(ck.CKA_LABEL)) != "letter" || renamed.Handle != data.Handle {
		t.Errorf("renamed: %+v, %v", renamed, err)
	}
	copied, err := tok.CopyObject(ctx, priv, ck.Template{label("copy")})
	if err != nil || copied.Handle == priv.Handle || string(copied.Attributes.Bytes(ck.CKA_LABEL)) != "copy" {
		t.Errorf("copied: %+v, %v", copied, err)
	}
	must(t, tok.DestroyObject(ctx, priv))
	_, err = tok.GetObject(ctx, priv.Handle)
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	sig, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, copied.Key, digest[:], nil, false)
	must(t, err)
	checkP256(t, pub, digest[:], sig)
}

func TestSessionKeysInParts(t *testing.T) {
	s := newService(t)
	addr, _ := s.start("127.0.0.1:0")
	tok := loggedIn(t, s.client(addr))
	key, err := tok.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32),
		ck.Bool(ck.CKA_WRAP, true), ck.Bool(ck.CKA_UNWRAP, true), label("session")})
	must(t, err)
	if key.Handle != 0 || len(key.Blob) == 0 || string(key.Attributes.Bytes(ck.CKA_LABEL)) != "session" {
		t.Errorf("%+v", key)
	}
	if !tok.CanPrehash(ctx) {
		t.Error("the service takes no digests")
	}
	plain := bytes.Repeat([]byte("sixteen bytes ok"), 5)
	cbc := mech.Mechanism{Type: ck.CKM_AES_CBC_PAD, Param: mech.IV(make([]byte, 16))}
	run := func(op mech.Op, in []byte) (out []byte) {
		st, err := tok.Init(ctx, op, cbc, key.Key)
		must(t, err)
		for i := 0; i < len(in); i += 7 {
			part, next, err := tok.Update(ctx, op, st, in[i:min(i+7, len(in))])
			must(t, err)
			out, st = append(out, part...), next
		}
		last, err := tok.Finish(ctx, op, st, nil)
		must(t, err)
		return append(out, last...)
	}
	ciphered := run(mech.OpEncrypt, plain)
	if whole, err := tok.Single(ctx, mech.OpEncrypt, cbc, key.Key, plain, nil, false); err != nil || !bytes.Equal(whole, ciphered) {
		t.Errorf("parts and whole differ: %v", err)
	}
	if got := run(mech.OpDecrypt, ciphered); !bytes.Equal(got, plain) {
		t.Error("decrypted to something else")
	}
	other, err := tok.GenerateKey(ctx, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}, ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Bool(ck.CKA_EXTRACTABLE, true)})
	must(t, err)
	wrapped, err := tok.WrapKey(ctx, cbc, other.Key, key.Key, grep11client.Key{})
	must(t, err)
	again, err := tok.UnwrapKey(ctx, cbc, wrapped, key.Key, grep11client.Key{}, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Bool(ck.CKA_ENCRYPT, true)})
	must(t, err)
	a, err := tok.Single(ctx, mech.OpEncrypt, cbc, other.Key, plain, nil, false)
	must(t, err)
	b, err := tok.Single(ctx, mech.OpEncrypt, cbc, again.Key, plain, nil, false)
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the unwrapped key is another one")
	}
	_, _, err = tok.Update(ctx, mech.OpEncrypt, grep11client.State("nonsense"), plain)
	if err == nil {
		t.Error("a made-up state was taken")
	}
}

// What a wrapping key may take out binds those, too, who ask the service themselves:
// by the key's id, or with its blob and no login.
func TestTemplatesBindWhoeverHasTheKey(t *testing.T) {
	s := newService(t)
	addr, _ := s.start("127.0.0.1:0")
	tok := loggedIn(t, s.client(addr))
	stranger := s.client(addr).Token(nil)
	kwp, generate := mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, mech.Mechanism{Type: ck.CKM_AES_KEY_GEN}
	noSign := ck.Bool(ck.CKA_SIGN, false)
	key := func(more ...ck.Attribute) grep11client.Key {
		t.Helper()
		o, err := tok.GenerateKey(ctx, generate, append(ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_EXTRACTABLE, true)}, more...))
		must(t, err)
		return o.Key
	}
	rule := ck.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Sub: ck.Template{noSign}}
	good, bad := key(noSign), key(ck.Bool(ck.CKA_SIGN, true))
	imported, err := tok.ImportKey(ctx, ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES),
		ck.Bytes(ck.CKA_VALUE, make([]byte, 32)), ck.Bool(ck.CKA_WRAP, true), rule})
	must(t, err)
	for name, c := range map[string]struct {
		by  *grep11client.Token
		kek grep11client.Key
	}{
		"a blob":          {stranger, key(ck.Bool(ck.CKA_WRAP, true), rule)},
		"an imported key": {stranger, imported.Key},
		"a stored key":    {tok, key(ck.Bool(ck.CKA_WRAP, true), rule, token)},
	} {
		if _, err := c.by.WrapKey(ctx, kwp, good, c.kek, grep11client.Key{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.by.WrapKey(ctx, kwp, bad, c.kek, grep11client.Key{}); !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
			t.Errorf("%s wraps what its template does not fit: %v", name, err)
		}
	}
}

func TestDataLongerThanAMessage(t *testing.T) {
	s := newService(t)
	addr, _ := s.start("127.0.0.1:0")
	tok := loggedIn(t, s.client(addr))
	data := make([]byte, 70<<20)
	want32 := sha256.Sum256(data)
	got, err := tok.Single(ctx, mech.OpDigest, mech.Mechanism{Type: ck.CKM_SHA256}, grep11client.Key{}, data, nil, false)
	if err != nil || !bytes.Equal(got, want32[:]) {
		t.Errorf("digest %x, %v", got, err)
	}
	_, err = tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_RSA_PKCS}, grep11client.Key{}, data, nil, false)
	want(t, err, ck.CKR_DATA_LEN_RANGE)
}

func TestImportedKeys(t *testing.T) {
	eachKind(t, testImportedKeys)
}

func testImportedKeys(t *testing.T, another func() *grep11client.Client) {
	tok := loggedIn(t, another())
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecdhKey, _ := ecKey.ECDH()
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	edPub, edPriv, _ := ed25519.GenerateKey(rand.Reader)
	dsaKey := dsa.PrivateKey{}
	must(t, dsa.GenerateParameters(&dsaKey.Parameters, rand.Reader, dsa.L1024N160))
	must(t, dsa.GenerateKey(&dsaKey, rand.Reader))
	dsaParts := ck.Template{ck.Bytes(ck.CKA_PRIME, dsaKey.P.Bytes()), ck.Bytes(ck.CKA_SUBPRIME, dsaKey.Q.Bytes()), ck.Bytes(ck.CKA_BASE, dsaKey.G.Bytes())}
	class := func(c ck.ObjectClass, k ck.KeyType) ck.Template {
		return ck.Template{ck.Ulong(ck.CKA_CLASS, c), ck.Ulong(ck.CKA_KEY_TYPE, k)}
	}
	rsaParts := ck.Template{ck.Bytes(ck.CKA_MODULUS, rsaKey.N.Bytes()), ck.Bytes(ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})}
	for name, row := range map[string]struct {
		pub, priv ck.Template
		m         ck.MechanismType
	}{
		"RSA": {append(class(ck.CKO_PUBLIC_KEY, ck.CKK_RSA), rsaParts...),
			append(append(class(ck.CKO_PRIVATE_KEY, ck.CKK_RSA), rsaParts...), ck.Bytes(ck.CKA_PRIVATE_EXPONENT, rsaKey.D.Bytes())), ck.CKM_SHA256_RSA_PKCS},
		"P-256": {append(class(ck.CKO_PUBLIC_KEY, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_EC_POINT, ecdhKey.PublicKey().Bytes())),
			append(class(ck.CKO_PRIVATE_KEY, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, p256), ck.Bytes(ck.CKA_VALUE, ecdhKey.Bytes())), ck.CKM_ECDSA_SHA256},
		"Ed25519": {append(class(ck.CKO_PUBLIC_KEY, ck.CKK_EC_EDWARDS), ck.Bytes(ck.CKA_EC_PARAMS, ed), ck.Bytes(ck.CKA_EC_POINT, edPub)),
			append(class(ck.CKO_PRIVATE_KEY, ck.CKK_EC_EDWARDS), ck.Bytes(ck.CKA_EC_PARAMS, ed), ck.Bytes(ck.CKA_VALUE, edPriv.Seed())), ck.CKM_EDDSA},
		"DSA": {append(append(class(ck.CKO_PUBLIC_KEY, ck.CKK_DSA), dsaParts...), ck.Bytes(ck.CKA_VALUE, dsaKey.Y.Bytes())),
			append(append(class(ck.CKO_PRIVATE_KEY, ck.CKK_DSA), dsaParts...), ck.Bytes(ck.CKA_VALUE, dsaKey.X.Bytes())), ck.CKM_DSA_SHA1},
	} {
		for _, onToken := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				more := ck.Template{ck.Bool(ck.CKA_TOKEN, onToken), label(name)}
				pub, err := tok.ImportKey(ctx, append(append(more, row.pub...), ck.Bool(ck.CKA_VERIFY, true)))
				must(t, err)
				priv, err := tok.ImportKey(ctx, append(append(more, row.priv...), ck.Bool(ck.CKA_SIGN, true)))
				must(t, err)
				if (priv.Handle != 0) != onToken || priv.Attributes.Has(ck.CKA_VALUE) || priv.Attributes.Has(ck.CKA_PRIVATE_EXPONENT) {
					t.Errorf("%+v", priv)
				}
				if local, err := priv.Attributes.Bool(ck.CKA_LOCAL, true); err != nil || local {
					t.Errorf("an imported key says it is local, %v", err)
				}
				sig, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: row.m}, priv.Key, []byte("message"), nil, false)
				must(t, err)
				_, err = tok.Single(ctx, mech.OpVerify, mech.Mechanism{Type: row.m}, pub.Key, []byte("message"), sig, false)
				must(t, err)
			})
		}
	}
}

func TestKeyValues(t *testing.T) {
	eachKind(t, testKeyValues)
}

func testKeyValues(t *testing.T, another func() *grep11client.Client) {
	tok := loggedIn(t, another())
	secret := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), ck.Bytes(ck.CKA_VALUE, []byte("the value of a secret"))}
	types := []ck.AttributeType{ck.CKA_VALUE}
	for _, onToken := range []bool{false, true} {
		open, err := tok.ImportKey(ctx, append(secret, ck.Bool(ck.CKA_SENSITIVE, false), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_TOKEN, onToken)))
		must(t, err)
		if got, err := tok.KeyValue(ctx, open.Key, types); err != nil || string(got.Bytes(ck.CKA_VALUE)) != "the value of a secret" {
			t.Errorf("value %v, %v", got, err)
		}
		closed, err := tok.ImportKey(ctx, append(secret, ck.Bool(ck.CKA_SENSITIVE, true), ck.Bool(ck.CKA_TOKEN, onToken)))
		must(t, err)
		_, err = tok.KeyValue(ctx, closed.Key, types)
		want(t, err, ck.CKR_ATTRIBUTE_SENSITIVE)
		got, err := tok.KeyValue(ctx, closed.Key, []ck.AttributeType{ck.CKA_VALUE, ck.CKA_KEY_TYPE})
		want(t, err, ck.CKR_ATTRIBUTE_SENSITIVE)
		if !got.Has(ck.CKA_KEY_TYPE) || got.Has(ck.CKA_VALUE) {
			t.Errorf("beside the refusal: %v", got)
		}
	}
}

func TestHandlesAndLoginSurviveARestart(t *testing.T) {
	s := newService(t)
	addr, stop := s.start("127.0.0.1:0")
	tok := loggedIn(t, s.client(addr))
	pub, priv := signingPair(t, tok, token)
	stop()
	time.AfterFunc(200*time.Millisecond, func() { s.start(addr) })
	digest := sha256.Sum256(nil)
	sig, err := tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Key, digest[:], nil, false)
	must(t, err)
	checkP256(t, pub, digest[:], sig)
	if o, err := tok.GetObject(ctx, priv.Handle); err != nil || !bytes.Equal(o.ID, priv.ID) {
		t.Errorf("%+v, %v", o, err)
	}
}
