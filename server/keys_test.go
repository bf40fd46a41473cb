package server

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// grep11-wire 9.1: both forms of every result are filled alike.
func TestResultsComeInBothForms(t *testing.T) {
	c, _ := crypto(t)
	k := aesKey(t, c, usageKEK)
	same(t, "GenerateKey", k.KeyBytes, k.Key)
	if len(k.CheckSum) != 3 {
		t.Errorf("checksum of %d bytes", len(k.CheckSum))
	}
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, attrs{ck.CKA_SIGN: yes(), ck.CKA_DERIVE: yes(), ck.CKA_EXTRACTABLE: yes()})
	same(t, "GenerateKeyPair, private", p.PrivKeyBytes, p.PrivKey)
	same(t, "GenerateKeyPair, public", p.PubKeyBytes, p.PubKey)
	m := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(t.Context(), &pb.WrapKeyRequest{Mech: m, Key: p.PrivKey, KeK: k.Key}))
	u := must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(t.Context(), &pb.UnwrapKeyRequest{Mech: m, Wrapped: w.Wrapped, KeK: k.Key,
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_EC)), ck.CKA_SIGN: yes()})}))
	same(t, "UnwrapKey", u.UnwrappedBytes, u.Unwrapped)
	if len(u.CheckSum) < 5 || spki(t, u.CheckSum) == nil {
		t.Error("checksum of an unwrapped private key does not begin with its SPKI")
	}
	d := must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_ECDH1_DERIVE, point(t, p.PubKeyBytes)),
		BaseKey: p.PrivKey, Template: wireTemplate(attrs{ck.CKA_CLASS: number(int64(ck.CKO_SECRET_KEY)), ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(16)})}))
	same(t, "DeriveKey", d.NewKeyBytes, d.NewKey)
	if len(d.CheckSum) != 7 || !bytes.Equal(d.CheckSum[3:], []byte{0, 0, 0, 128}) {
		t.Errorf("checksum of a derived key: %x", d.CheckSum)
	}
}

func same(t *testing.T, call string, raw []byte, k *pb.KeyBlob) {
	t.Helper()
	if len(raw) == 0 || len(k.GetKeyBlobs()) != 1 || !bytes.Equal(raw, k.KeyBlobs[0]) {
		t.Errorf("%s: bytes and KeyBlob differ", call)
	}
	if len(k.KeyBlobID) != 0 {
		t.Errorf("%s: KeyBlobID is set", call)
	}
	if _, ok := k.Attributes[uint64(ck.CKA_KEY_TYPE)].GetOneAttr().(*pb.AttributeValue_AttributeI); !ok {
		t.Errorf("%s: attributes hold no key type: %v", call, k.Attributes)
	}
}

// A wrapped key can be decrypted by the same KEK and is the plain value; a
// value that was encrypted can be unwrapped (grep11-wire 11.5).
func TestKeysAreExportedAndImported(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	kek := aesKey(t, c, usageKEK)
	m := withBytes(ck.CKM_AES_CBC_PAD, bytes.Repeat([]byte{3}, 16))
	value := bytes.Repeat([]byte{0x84, 0xeb}, 16)
	e := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: m, Key: kek.Key, Plain: value}))
	u := must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: m, Wrapped: e.Ciphered, KeK: kek.Key,
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_ENCRYPT: yes(), ck.CKA_DECRYPT: yes(), ck.CKA_EXTRACTABLE: yes(), ck.CKA_VALUE_LEN: number(32)})}))
	block, _ := aes.NewCipher(value)
	zero := make([]byte, 16)
	block.Encrypt(zero, zero)
	if want := append(zero[:3:3], 0, 0, 1, 0); !bytes.Equal(u.CheckSum, want) {
		t.Errorf("checksum %x, want %x", u.CheckSum, want)
	}
	iv := withBytes(ck.CKM_AES_CBC, make([]byte, 16))
	got := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: iv, Key: u.Unwrapped, Plain: helloMessage[:64]})).Ciphered
	want := make([]byte, 64)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(want, helloMessage[:64])
	if !bytes.Equal(got, want) {
		t.Error("the imported key encrypts differently than its value")
	}
	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: m, Key: u.Unwrapped, KeK: kek.Key}))
	d := must[*pb.DecryptSingleResponse](t)(c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: m, Key: kek.Key, Ciphered: w.Wrapped}))
	if !bytes.Equal(d.Plain, value) {
		t.Errorf("exported as %x", d.Plain)
	}
}

func TestSoftwarePrivateAndPublicKeysAreImported(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	soft, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(soft)
	public, _ := x509.MarshalPKIXPublicKey(soft.Public())
	kek := aesKey(t, c, usageKEK)
	m := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	e := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: m, Key: kek.Key, Plain: pkcs8}))
	priv := must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: m, Wrapped: e.Ciphered, KeK: kek.Key,
		Template: wireTemplate(attrs{ck.CKA_CLASS: number(int64(ck.CKO_PRIVATE_KEY)), ck.CKA_KEY_TYPE: number(int64(ck.CKK_EC)), ck.CKA_SIGN: yes(), ck.CKA_EXTRACTABLE: yes()})}))
	for how, k := range map[string]*pb.KeyBlob{"no KEK": nil, "a KEK that is ignored": kek.Key} {
		pub := must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: mechanism(ck.CKM_IBM_TRANSPORTKEY), Wrapped: public, KeK: k,
			Template: wireTemplate(attrs{ck.CKA_VERIFY: yes()})}))
		sig := must[*pb.SignSingleResponse](t)(c.SignSingle(ctx, &pb.SignSingleRequest{Mech: mechanism(ck.CKM_ECDSA_SHA256), PrivKey: priv.Unwrapped, Data: helloMessage}))
		_, err := c.VerifySingle(ctx, &pb.VerifySingleRequest{Mech: mechanism(ck.CKM_ECDSA_SHA256), PubKey: pub.Unwrapped, Data: helloMessage, Signature: sig.Signature})
		if detail(t, err).Code != 0 {
			t.Errorf("%s: %v", how, err)
		}
	}
	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: m, Key: priv.Unwrapped, KeK: kek.Key}))
	d := must[*pb.DecryptSingleResponse](t)(c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: m, Key: kek.Key, Ciphered: w.Wrapped}))
	back, err := x509.ParsePKCS8PrivateKey(d.Plain)
	if err != nil || !back.(*ecdsa.PrivateKey).Equal(soft) {
		t.Errorf("exported PKCS#8: %v", err)
	}
}

// Rights come from the blob; the codes are those of grep11-wire 5.2.
func TestRefusals(t *testing.T) {
	c, s := crypto(t)
	ctx := t.Context()
	noWrap := aesKey(t, c, attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_WRAP: no(), ck.CKA_UNWRAP: no(), ck.CKA_ENCRYPT: no()})
	kek := aesKey(t, c, usageKEK)
	fixed := aesKey(t, c, usageAES)
	loose := aesKey(t, c, extractable)
	other, err := (&call{srv: newServerClosed(t), method: &method{}}).GenerateKey(ctx, &pb.GenerateKeyRequest{Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(usageAES)})
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), fixed.KeyBytes...)
	damaged[len(damaged)-1] ^= 1
	pad := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	encrypt := func(k *pb.KeyBlob, m *pb.Mechanism) error {
		_, err := c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: m, Key: k, Plain: helloMessage})
		return err
	}
	for _, row := range []struct {
		name string
		do   func() error
		want ck.RV
	}{
		{"an unknown mechanism", func() error { return encrypt(kek.Key, mechanism(0x7ffffff1)) }, ck.CKR_MECHANISM_INVALID},
		{"no mechanism at all", func() error { return encrypt(kek.Key, nil) }, ck.CKR_MECHANISM_INVALID},
		{"a missing IV", func() error { return encrypt(kek.Key, mechanism(ck.CKM_AES_CBC_PAD)) }, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a short IV", func() error { return encrypt(kek.Key, withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 15))) }, ck.CKR_MECHANISM_PARAM_INVALID},
		{"no key", func() error { return encrypt(nil, pad) }, ck.CKR_IBM_BLOB_ERROR},
		{"a key without a blob", func() error { return encrypt(&pb.KeyBlob{}, pad) }, ck.CKR_IBM_BLOB_ERROR},
		{"a blob that is none", func() error { return encrypt(&pb.KeyBlob{KeyBlobs: [][]byte{{1, 2, 3}}}, pad) }, ck.CKR_IBM_BLOB_ERROR},
		{"a damaged blob", func() error { return encrypt(&pb.KeyBlob{KeyBlobs: [][]byte{damaged}}, pad) }, ck.CKR_IBM_BLOB_ERROR},
		{"a blob of another master key", func() error { return encrypt(other.Key, pad) }, ck.CKR_IBM_WKID_MISMATCH},
		{"a right that is missing", func() error { return encrypt(noWrap.Key, pad) }, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"wrapping with a key that may not", func() error {
			_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: pad, Key: loose.Key, KeK: noWrap.Key})
			return err
		}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"unwrapping with a key that may not", func() error {
			_, err := c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: pad, Wrapped: make([]byte, 48), KeK: noWrap.Key, Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES))})})
			return err
		}, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"wrapping a key that must stay", func() error {
			_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: pad, Key: fixed.Key, KeK: kek.Key})
			return err
		}, ck.CKR_KEY_UNEXTRACTABLE},
		{"an AES key of 384 bits", func() error {
			_, err := c.GenerateKey(ctx, &pb.GenerateKeyRequest{Mech: mechanism(ck.CKM_AES_KEY_GEN), Template: wireTemplate(attrs{ck.CKA_VALUE_LEN: number(48)})})
			return err
		}, ck.CKR_KEY_SIZE_RANGE},
		{"a state that is none", func() error {
			_, err := c.EncryptFinal(ctx, &pb.EncryptFinalRequest{State: []byte("state")})
			return err
		}, ck.CKR_SAVED_STATE_INVALID},
		{"Login, which could mean nothing", func() error { _, err := c.Login(ctx, &pb.LoginRequest{Pin: []byte("12345678")}); return err }, ck.CKR_FUNCTION_NOT_SUPPORTED},
		{"Logout", func() error { _, err := c.Logout(ctx, &pb.LogoutRequest{}); return err }, ck.CKR_FUNCTION_NOT_SUPPORTED},
		{"a rewrap without a new master key", func() error {
			_, err := c.RewrapKeyBlob(ctx, &pb.RewrapKeyBlobRequest{WrappedKey: kek.Key})
			return err
		}, ck.CKR_IBM_WK_NOT_INITIALIZED},
		{"a rewrap of nothing", func() error { _, err := c.RewrapKeyBlob(ctx, &pb.RewrapKeyBlobRequest{}); return err }, ck.CKR_IBM_BLOB_ERROR},
		{"a sensitive attribute", func() error {
			_, err := c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: kek.KeyBytes, Attributes: wireTemplate(attrs{ck.CKA_VALUE: nil})})
			return err
		}, ck.CKR_ATTRIBUTE_SENSITIVE},
		{"an unknown attribute", func() error {
			_, err := c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: kek.KeyBytes, Attributes: wireTemplate(attrs{0x7ffffff1: nil})})
			return err
		}, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"attributes of nothing", func() error { _, err := c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{}); return err }, ck.CKR_IBM_BLOB_ERROR},
		{"an unknown mechanism's info", func() error {
			_, err := c.GetMechanismInfo(ctx, &pb.GetMechanismInfoRequest{Mech: 0x7ffffff1})
			return err
		}, ck.CKR_MECHANISM_INVALID},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.do()
			wantRV(t, err, row.want)
			if d := detail(t, err); d.Retry || d.Detail == "" {
				t.Errorf("detail %q, retry %v", d.Detail, d.Retry)
			}
		})
	}
	_ = s
}

// newServerClosed is a server of another master key that serves nobody.
func newServerClosed(t *testing.T) *Server {
	s := newServer(t)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAttributesAreReadAndChanged(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	k := aesKey(t, c, extractable)
	g := must[*pb.GetAttributeValueResponse](t)(c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: k.KeyBytes,
		AttributesBytes: map[uint64][]byte{uint64(ck.CKA_ENCRYPT): nil},
		Attributes:      wireTemplate(attrs{ck.CKA_KEY_TYPE: number(0), ck.CKA_EXTRACTABLE: no()})}))
	if len(g.Attributes) != 3 || g.Attributes[uint64(ck.CKA_KEY_TYPE)].GetAttributeI() != int64(ck.CKK_AES) || !g.Attributes[uint64(ck.CKA_EXTRACTABLE)].GetAttributeTF() {
		t.Errorf("typed answer: %v", g.Attributes)
	}
	if !bytes.Equal(g.AttributesBytes[uint64(ck.CKA_EXTRACTABLE)], []byte{1}) || !bytes.HasSuffix(g.AttributesBytes[uint64(ck.CKA_KEY_TYPE)], []byte{byte(ck.CKK_AES)}) {
		t.Errorf("answer in bytes: %v", g.AttributesBytes)
	}
	s := must[*pb.SetAttributeValueResponse](t)(c.SetAttributeValue(ctx, &pb.SetAttributeValueRequest{Object: k.KeyBytes, Attributes: wireTemplate(attrs{ck.CKA_EXTRACTABLE: no()})}))
	g = must[*pb.GetAttributeValueResponse](t)(c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: s.Object, Attributes: wireTemplate(attrs{ck.CKA_EXTRACTABLE: no()})}))
	if g.Attributes[uint64(ck.CKA_EXTRACTABLE)].GetAttributeTF() {
		t.Error("the change did not take")
	}
	_, err := c.SetAttributeValue(ctx, &pb.SetAttributeValueRequest{Object: s.Object, Attributes: wireTemplate(attrs{ck.CKA_EXTRACTABLE: yes()})})
	if detail(t, err).Code == 0 {
		t.Error("a key became extractable")
	}
}

func TestTheMechanismListBeginsAsClientsExpect(t *testing.T) {
	c, _ := crypto(t)
	l := must[*pb.GetMechanismListResponse](t)(c.GetMechanismList(t.Context(), &pb.GetMechanismListRequest{}))
	if len(l.Mechs) == 0 || l.Mechs[0] != uint64(ck.CKM_RSA_PKCS) {
		t.Fatalf("list %v", l.Mechs)
	}
	for _, m := range l.Mechs {
		must[*pb.GetMechanismInfoResponse](t)(c.GetMechanismInfo(t.Context(), &pb.GetMechanismInfoRequest{Mech: m}))
	}
	for _, row := range []struct {
		mech            uint64
		min, max, flags uint64
	}{{uint64(ck.CKM_RSA_PKCS), 512, 4096, 0}, {uint64(ck.CKM_AES_KEY_GEN), 16, 32, 0x8000}} {
		i := must[*pb.GetMechanismInfoResponse](t)(c.GetMechanismInfo(t.Context(), &pb.GetMechanismInfoRequest{Mech: row.mech})).MechInfo
		if i.MinKeySize != row.min || i.MaxKeySize != row.max || row.flags != 0 && i.Flags != row.flags {
			t.Errorf("%v: %v", ck.MechanismType(row.mech), i)
		}
	}
}
