package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/access"
	"grep11/server/balancer"
	"grep11/server/keystore"
	"grep11/server/soft"
	"grep11/server/unit"
)

// retaining is CKM_IBM_RETAINKEY with its parameter.
func retaining(t testing.TB, credits uint64, refill string) *pb.Mechanism {
	t.Helper()
	m, err := wire.EncodeMechanism(mech.Mechanism{Type: ck.CKM_IBM_RETAINKEY, Param: &mech.Retain{Credits: credits, Refill: ck.Secret(refill)}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func retain(t testing.TB, c pb.CryptoClient, key []byte, credits uint64) *pb.KeyBlob {
	t.Helper()
	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(t.Context(), &pb.WrapKeyRequest{Mech: retaining(t, credits, "refill"), Key: blobOnly(key)}))
	if len(w.Wrapped) != mech.LenRetained {
		t.Fatalf("a handle of %d bytes", len(w.Wrapped))
	}
	return blobOnly(w.Wrapped)
}

func blobOnly(b []byte) *pb.KeyBlob { return &pb.KeyBlob{KeyBlobs: [][]byte{b}} }

var ecdsaSHA256 = mechanism(ck.CKM_ECDSA_SHA256)

func signWith(t testing.TB, c pb.CryptoClient, key *pb.KeyBlob) error {
	_, err := c.SignSingle(t.Context(), &pb.SignSingleRequest{Mech: ecdsaSHA256, PrivKey: key, Data: helloMessage})
	return err
}

func TestARetainedKeySigns(t *testing.T) {
	c, _ := crypto(t)
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	for name, r := range map[string]*pb.WrapKeyRequest{
		"the current fields":      {Mech: retaining(t, 2, ""), Key: p.PrivKey},
		"the older dialect":       {Mech: retaining(t, 2, ""), LegacyKey: p.PrivKeyBytes},
		"a KeK that is no key":    {Mech: retaining(t, 2, ""), Key: p.PrivKey, KeK: blobOnly([]byte("ignored"))},
		"any number of uses":      {Mech: retaining(t, 0, ""), Key: p.PrivKey},
		"a number in Java's form": {Mech: &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_RETAINKEY) | 0xFFFFFFFF00000000, Parameter: retaining(t, 2, "").Parameter}, Key: p.PrivKey},
	} {
		handle := must[*pb.WrapKeyResponse](t)(c.WrapKey(t.Context(), r)).Wrapped
		for _, s := range []*pb.SignSingleRequest{{PrivKey: blobOnly(handle)}, {LegacyPrivKey: handle}} {
			s.Mech, s.Data = ecdsaSHA256, helloMessage
			sig := must[*pb.SignSingleResponse](t)(c.SignSingle(t.Context(), s)).Signature
			digest := sha256.Sum256(helloMessage)
			if !ecdsa.Verify(spki(t, p.PubKeyBytes).(*ecdsa.PublicKey), digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
				t.Errorf("%s: Go does not verify", name)
			}
		}
	}
}

// A handle takes the blob's place in every field that holds a key.
func TestAHandleTakesTheBlobsPlace(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	kek, key := aesKey(t, c, usageKEK), aesKey(t, c, extractable)
	kept := retain(t, c, kek.KeyBytes, 0)
	cbc := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	w := must[*pb.WrapKeyResponse](t)(c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: cbc, Key: key.Key, KeK: kept}))
	u := must[*pb.UnwrapKeyResponse](t)(c.UnwrapKey(ctx, &pb.UnwrapKeyRequest{Mech: cbc, Wrapped: w.Wrapped, KeK: kept,
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES))})}))
	if !bytes.Equal(u.CheckSum[:3], key.CheckSum) {
		t.Error("another key came back")
	}
	e := must[*pb.EncryptSingleResponse](t)(c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: cbc, Key: kept, Plain: helloMessage}))
	r := must[*pb.ReencryptSingleResponse](t)(c.ReencryptSingle(ctx, &pb.ReencryptSingleRequest{DecMech: cbc, EncMech: cbc, DecKey: kept, EncKey: key.Key, Ciphered: e.Ciphered}))
	d := must[*pb.DecryptSingleResponse](t)(c.DecryptSingle(ctx, &pb.DecryptSingleRequest{Mech: cbc, Key: key.Key, Ciphered: r.Reciphered}))
	if !bytes.Equal(d.Plain, helloMessage) {
		t.Error("reencrypted to something else")
	}
	i := must[*pb.EncryptInitResponse](t)(c.EncryptInit(ctx, &pb.EncryptInitRequest{Mech: cbc, Key: kept}))
	parts := must[*pb.EncryptResponse](t)(c.Encrypt(ctx, &pb.EncryptRequest{State: i.State, Plain: helloMessage}))
	if !bytes.Equal(parts.Ciphered, e.Ciphered) {
		t.Error("in parts it encrypts otherwise")
	}
	h := must[*pb.DigestInitResponse](t)(c.DigestInit(ctx, &pb.DigestInitRequest{Mech: mechanism(ck.CKM_SHA256)}))
	must[*pb.DigestKeyResponse](t)(c.DigestKey(ctx, &pb.DigestKeyRequest{State: h.State, Key: kept}))

	bound := attrs{ck.CKA_VALUE_LEN: number(32), ck.CKA_IBM_ATTRBOUND: yes(), ck.CKA_EXTRACTABLE: yes(), ck.CKA_WRAP: yes()}
	a, mac := aesKey(t, c, bound), aesKey(t, c, bound)
	must[*pb.WrapKeyResponse](t)(c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: mechanism(ck.CKM_IBM_ATTRIBUTEBOUND_WRAP),
		Key: a.Key, KeK: retain(t, c, a.KeyBytes, 0), MacKey: retain(t, c, mac.KeyBytes, 0)}))
	derives(t, c, kept)
}

// derives agrees on a secret with a retained base key, which leaves under a
// retained key, or is mixed with one.
func derives(t *testing.T, c pb.CryptoClient, kek *pb.KeyBlob) {
	t.Helper()
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	secret := attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(32), ck.CKA_IBM_USE_AS_DATA: yes()}
	raw := must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_IBM_ECDH1_DERIVE_RAW, point(t, p.PubKeyBytes)),
		BaseKey: retain(t, c, p.PrivKeyBytes, 1), Data: kek.KeyBlobs[0], Template: wireTemplate(secret)}))
	if len(raw.NewKeyBytes) != 40 {
		t.Errorf("%d bytes of a wrapped secret", len(raw.NewKeyBytes))
	}
	mixed := must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: withBytes(ck.CKM_ECDH1_DERIVE, point(t, p.PubKeyBytes)),
		BaseKey: p.PrivKey, Template: wireTemplate(secret)}))
	kem := keyPair(t, c, ck.CKM_IBM_ML_KEM_KEY_PAIR_GEN, attrs{ck.CKA_PARAMETER_SET: number(int64(ck.CKP_ML_KEM_512)), ck.CKA_DERIVE: yes()}, attrs{ck.CKA_DERIVE: yes()})
	hybrid := &pb.Mechanism{Mechanism: uint64(ck.CKM_IBM_ML_KEM), Parameter: &pb.Mechanism_KyberKEMParameter{KyberKEMParameter: &pb.KyberKEMParm{
		Mode: pb.KyberKEMParm_CkIbmKEMEncapsulate, Kdf: pb.KyberKEMParm_CkdIbmHybridSha256Kdf, Blob: retain(t, c, mixed.NewKeyBytes, 1).KeyBlobs[0]}}}
	must[*pb.DeriveKeyResponse](t)(c.DeriveKey(t.Context(), &pb.DeriveKeyRequest{Mech: hybrid, BaseKey: kem.PubKey,
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(32)})}))
}

func TestCreditsOfARetainedKey(t *testing.T) {
	c, s := crypto(t)
	ctx := t.Context()
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	k := retain(t, c, p.PrivKeyBytes, 3)
	for range 5 { // free
		a := must[*pb.GetAttributeValueResponse](t)(c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: k.KeyBlobs[0], Attributes: wireTemplate(attrs{ck.CKA_IBM_RETAINKEY: no()})}))
		if !a.Attributes[uint64(ck.CKA_IBM_RETAINKEY)].GetAttributeTF() {
			t.Fatal("CKA_IBM_RETAINKEY is false")
		}
	}
	_, err := c.SignInit(ctx, &pb.SignInitRequest{Mech: ecdsaSHA256, PrivKey: k})
	wantRV(t, err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED) // and free
	s.FailNext("SignSingle", ck.CKR_DEVICE_REMOVED)
	wantRV(t, signWith(t, c, k), ck.CKR_OK) // on the second unit, for one credit
	_, err = c.EncryptSingle(ctx, &pb.EncryptSingleRequest{Mech: mechanism(ck.CKM_AES_ECB), Key: k, Plain: make([]byte, 16)})
	wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT) // paid
	wantRV(t, signWith(t, c, k), ck.CKR_OK)
	wantRV(t, signWith(t, c, k), ck.CKR_KEY_EXHAUSTED)

	again := func(credits uint64, refill string) error {
		w, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: retaining(t, credits, refill), Key: k})
		if err == nil && !bytes.Equal(w.Wrapped, k.KeyBlobs[0]) {
			t.Error("another handle after a refill")
		}
		return err
	}
	wantRV(t, again(9, "wrong"), ck.CKR_MECHANISM_PARAM_INVALID)
	wantRV(t, again(9, ""), ck.CKR_MECHANISM_PARAM_INVALID)
	wantRV(t, signWith(t, c, k), ck.CKR_KEY_EXHAUSTED)
	wantRV(t, again(1, "refill"), ck.CKR_OK)
	wantRV(t, signWith(t, c, k), ck.CKR_OK)
	wantRV(t, signWith(t, c, k), ck.CKR_KEY_EXHAUSTED)

	cbc := withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16))
	two := retain(t, c, aesKey(t, c, usageAES).KeyBytes, 2)
	twice := &pb.ReencryptSingleRequest{DecMech: cbc, EncMech: cbc, DecKey: two, EncKey: two, Ciphered: make([]byte, 32)}
	_, err = c.ReencryptSingle(ctx, twice)
	wantRV(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
	_, err = c.ReencryptSingle(ctx, twice)
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
}

// A stored answer of a request is no second use.
func TestARepeatedMakeKeyIsPaidOnce(t *testing.T) {
	g := newGuest(t)
	p := keyPair(t, g.crypto, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	r := &extpb.MakeKeyRequest{RequestId: newID(), Token: g.token, How: &extpb.MakeKeyRequest_DeriveKey{DeriveKey: &pb.DeriveKeyRequest{
		Mech: withBytes(ck.CKM_ECDH1_DERIVE, point(t, p.PubKeyBytes)), BaseKey: retain(t, g.crypto, p.PrivKeyBytes, 1),
		Template: wireTemplate(attrs{ck.CKA_KEY_TYPE: number(int64(ck.CKK_AES)), ck.CKA_VALUE_LEN: number(32), ck.CKA_TOKEN: yes(), ck.CKA_PRIVATE: no()})}}}
	for range 2 {
		must[*extpb.MakeKeyResponse](t)(g.keys.MakeKey(g.ctx, r))
	}
	r.RequestId = newID()
	_, err := g.keys.MakeKey(g.ctx, r)
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
}

func TestRetainedKeysStay(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	kek := aesKey(t, c, usageKEK)
	k := retain(t, c, aesKey(t, c, extractable).KeyBytes, 0)
	handle := k.KeyBlobs[0]
	_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: withBytes(ck.CKM_AES_CBC_PAD, make([]byte, 16)), Key: k, KeK: kek.Key})
	wantRV(t, err, ck.CKR_KEY_UNEXTRACTABLE)
	_, err = c.SetAttributeValue(ctx, &pb.SetAttributeValueRequest{Object: handle, Attributes: wireTemplate(attrs{ck.CKA_ENCRYPT: no()})})
	wantRV(t, err, ck.CKR_ACTION_PROHIBITED)
	_, err = c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: handle, Attributes: wireTemplate(attrs{ck.CKA_VALUE: octets(nil)})})
	wantRV(t, err, ck.CKR_ATTRIBUTE_SENSITIVE)
	_, err = c.RewrapKeyBlob(ctx, &pb.RewrapKeyBlobRequest{WrappedKey: k})
	wantRV(t, err, ck.CKR_IBM_WK_NOT_INITIALIZED)
}

func TestHandlesThatAreNone(t *testing.T) {
	c, _ := crypto(t)
	ctx := t.Context()
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	handle := retain(t, c, p.PrivKeyBytes, 0).KeyBlobs[0]
	altered := func(i int) []byte { b := bytes.Clone(handle); b[i] ^= 1; return b }
	for name, bad := range map[string][]byte{
		"another id": altered(0), "another secret": altered(63), "a byte less": handle[:63], "a byte more": append(bytes.Clone(handle), 0), "zeros": make([]byte, 64),
	} {
		wantRV(t, signWith(t, c, blobOnly(bad)), ck.CKR_IBM_BLOB_ERROR)
		_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: retaining(t, 5, "refill"), Key: blobOnly(bad)})
		if detail(t, err).Code != uint64(ck.CKR_IBM_BLOB_ERROR) {
			t.Errorf("retaining %s: %v", name, err)
		}
		for _, err := range []error{
			func() error {
				_, err := c.GetAttributeValue(ctx, &pb.GetAttributeValueRequest{Object: bad})
				return err
			}(),
			func() error {
				_, err := c.RewrapKeyBlob(ctx, &pb.RewrapKeyBlobRequest{WrappedKeyBytes: bad})
				return err
			}(),
		} {
			if rv := ck.RV(detail(t, err).Code); rv != ck.CKR_IBM_BLOB_ERROR && rv != ck.CKR_IBM_WK_NOT_INITIALIZED {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name, m := range map[string]*pb.Mechanism{
		"no parameter": mechanism(ck.CKM_IBM_RETAINKEY), "another parameter": withBytes(ck.CKM_IBM_RETAINKEY, []byte("16 bytes, an IV.")),
		"more credits than 32 bits": retaining(t, 1<<32, ""), "refill data of 65 bytes": retaining(t, 1, strings.Repeat("x", 65)),
	} {
		_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: m, Key: p.PrivKey})
		if detail(t, err).Code != uint64(ck.CKR_MECHANISM_PARAM_INVALID) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: retaining(t, 1, "")})
	wantRV(t, err, ck.CKR_IBM_BLOB_ERROR)
	_, err = c.WrapKey(ctx, &pb.WrapKeyRequest{Mech: retaining(t, 1, ""), Key: p.PubKey})
	wantRV(t, err, ck.CKR_KEY_NOT_WRAPPABLE)
}

// Errors about a retained key name it by its id, never by the whole handle.
func TestHandlesAreNotLogged(t *testing.T) {
	s := newServer(t)
	var log lockedBuffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	c := pb.NewCryptoClient(inMemory(t, s))
	k := retain(t, c, keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign).PrivKeyBytes, 1)
	wantRV(t, signWith(t, c, k), ck.CKR_OK)
	err := signWith(t, c, k)
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
	handle := hex.EncodeToString(k.KeyBlobs[0])
	for where, text := range map[string]string{"log": log.take(), "error": detail(t, err).Detail} {
		if !strings.Contains(text, handle[:32]) || strings.Contains(text, handle[:40]) {
			t.Errorf("%s: %s", where, text)
		}
	}
}

func TestTwoServersShareARetainedKeysCredits(t *testing.T) {
	a, b := twoServers(t)
	p := keyPair(t, a.crypto, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	k := retain(t, a.crypto, p.PrivKeyBytes, 100)
	var signed, refused atomic.Int64
	var callers sync.WaitGroup
	for i := range 200 {
		c := []pb.CryptoClient{a.crypto, b.crypto}[i%2]
		callers.Go(func() {
			switch rv := ck.RV(detail(t, signWith(t, c, k)).Code); rv {
			case ck.CKR_OK:
				signed.Add(1)
			case ck.CKR_KEY_EXHAUSTED:
				refused.Add(1)
			default:
				t.Error(rv)
			}
		})
	}
	callers.Wait()
	if signed.Load() != 100 || refused.Load() != 100 {
		t.Errorf("%d signatures and %d refusals for 100 credits", signed.Load(), refused.Load())
	}
	must[*pb.WrapKeyResponse](t)(b.crypto.WrapKey(t.Context(), &pb.WrapKeyRequest{Mech: retaining(t, 1, "refill"), Key: k}))
	wantRV(t, signWith(t, a.crypto, k), ck.CKR_OK)
	wantRV(t, signWith(t, b.crypto, k), ck.CKR_KEY_EXHAUSTED)
}

// A new master key takes retained keys along, and the proof that none is left counts them.
func TestRetainedKeysChangeTheirMasterKey(t *testing.T) {
	old, next := make([]byte, unit.LenWrappingKey), make([]byte, unit.LenWrappingKey)
	rand.Read(old)
	rand.Read(next)
	store, err := keystore.Open(t.Context(), filepath.Join(t.TempDir(), "keystore.db"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := soft.New(soft.Config{Name: "unit", MasterKey: bytes.Clone(old)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Defaults(), store, []balancer.Member{{Unit: u, Kind: "soft"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := pb.NewCryptoClient(inMemory(t, s))
	p := keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign)
	keys := []*pb.KeyBlob{retain(t, c, p.PrivKeyBytes, 2), retain(t, c, p.PrivKeyBytes, 0)}
	if err := u.Install(soft.Registers{Current: old, Next: bytes.Clone(next), Committed: true}); err != nil {
		t.Fatal(err)
	}
	admin := access.WithIdentity(t.Context(), access.Identity{Admin: true})
	pass := func(count bool) *extpb.RewrapStoreResponse {
		return must[*extpb.RewrapStoreResponse](t)((&call{srv: s}).RewrapStore(admin, &extpb.RewrapStoreRequest{Pattern: u.CommittedKey(), CountOnly: count}))
	}
	if r := pass(true); r.Left != 2 {
		t.Fatal(r)
	}
	r := must[*pb.RewrapKeyBlobResponse](t)(c.RewrapKeyBlob(t.Context(), &pb.RewrapKeyBlobRequest{WrappedKey: keys[0]}))
	if !bytes.Equal(r.RewrappedKeyBytes, keys[0].KeyBlobs[0]) || !proto.Equal(r.RewrappedKey, keys[0]) {
		t.Error("another handle after a rewrap")
	}
	if r := pass(true); r.Left != 1 {
		t.Error(r)
	}
	if r := pass(false); r.Rewrapped != 1 || pass(true).Left != 0 {
		t.Error(r)
	}
	for _, current := range [][]byte{nil, next} { // before and after the change
		if current != nil {
			if err := u.Install(soft.Registers{Current: current}); err != nil {
				t.Fatal(err)
			}
		}
		for _, k := range keys {
			wantRV(t, signWith(t, c, k), ck.CKR_OK)
		}
	}
	wantRV(t, signWith(t, c, p.PrivKey), ck.CKR_IBM_WKID_MISMATCH)
	wantRV(t, signWith(t, c, keys[0]), ck.CKR_KEY_EXHAUSTED)
}

func TestRetainedKeysAreListedAndRemoved(t *testing.T) {
	c, s := crypto(t)
	admin := access.WithIdentity(t.Context(), access.Identity{Admin: true})
	k, aes := &call{srv: s}, aesKey(t, c, usageAES)
	counted, free := retain(t, c, aes.KeyBytes, 5).KeyBlobs[0], retain(t, c, keyPair(t, c, ck.CKM_EC_KEY_PAIR_GEN, usageVerify, usageSign).PrivKeyBytes, 0)
	lost, err := s.ext.store.Retain(t.Context(), []byte("of another master key"), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := must[*extpb.ListRetainedResponse](t)(k.ListRetained(admin, &extpb.ListRetainedRequest{}))
	if len(l.Keys) != 3 || l.Next != 0 {
		t.Fatal(l)
	}
	for i, want := range []*extpb.RetainedKey{
		{Id: counted[:16], Class: uint64(ck.CKO_SECRET_KEY), KeyType: uint64(ck.CKK_AES), CheckValue: aes.CheckSum, Credits: 5},
		{Id: free.KeyBlobs[0][:16], Class: uint64(ck.CKO_PRIVATE_KEY), KeyType: uint64(ck.CKK_EC), Unlimited: true},
		{Id: lost[:16], Detail: "CKR_IBM_BLOB_ERROR", Credits: 1},
	} {
		want.Made = l.Keys[i].Made
		if !proto.Equal(l.Keys[i], want) || time.Since(time.Unix(want.Made, 0)) > time.Minute {
			t.Errorf("%v instead of %v", l.Keys[i], want)
		}
	}
	must[*extpb.RemoveRetainedResponse](t)(k.RemoveRetained(admin, &extpb.RemoveRetainedRequest{Id: free.KeyBlobs[0][:16]}))
	wantRV(t, signWith(t, c, free), ck.CKR_IBM_BLOB_ERROR)
	for name, err := range map[string]error{
		"a list": func() error { _, err := k.ListRetained(t.Context(), &extpb.ListRetainedRequest{}); return err }(),
		"a removal": func() error {
			_, err := k.RemoveRetained(t.Context(), &extpb.RemoveRetainedRequest{Id: counted[:16]})
			return err
		}(),
	} {
		if !errors.Is(err, ck.CKR_ACTION_PROHIBITED) {
			t.Errorf("%s by anybody: %v", name, err)
		}
	}
}
