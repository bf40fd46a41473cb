package grep11client_test

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	"grep11/grep11client"
	"grep11/grep11client/plaintest"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// plainFront lets grep11.Crypto through to a service, and nothing else.
func plainFront(t testing.TB, service string) string {
	address, stop, err := plaintest.Front(service, insecure.NewCredentials())
	must(t, err)
	t.Cleanup(stop)
	return address
}

// plainClient uses a service that has grep11.Crypto alone, with a local store.
func (s *service) plainClient(addr, store string) *grep11client.Client {
	c, err := grep11client.New(grep11client.Config{Endpoints: []grep11client.Endpoint{{Address: plainFront(s.t, addr)}}, Store: store})
	must(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// eachKind runs a test with objects that the service stores, and with objects
// in a local file.
func eachKind(t *testing.T, test func(t *testing.T, another func() *grep11client.Client)) {
	t.Run("stored by the service", func(t *testing.T) {
		s := newService(t)
		addr, _ := s.start("127.0.0.1:0")
		test(t, func() *grep11client.Client { return s.client(addr) })
	})
	t.Run("stored in a file", func(t *testing.T) {
		s := newService(t)
		addr, _ := s.start("127.0.0.1:0")
		path := filepath.Join(t.TempDir(), "folder", "keys")
		test(t, func() *grep11client.Client { return s.plainClient(addr, path) })
	})
}

func TestALocalStoreIsSharedAndKept(t *testing.T) {
	s := newService(t)
	addr, _ := s.start("127.0.0.1:0")
	path := filepath.Join(t.TempDir(), "keys")
	a, b := s.plainClient(addr, path), s.plainClient(addr, path)
	tok := loggedIn(t, a)
	pub, priv := signingPair(t, tok, token, label("shared"))
	tokens, _, err := b.Tokens(ctx)
	must(t, err)
	other := b.Token(tokens[0].ID)
	_, err = other.GetObject(ctx, priv.Handle)
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	must(t, other.Login(ctx, ck.CKU_USER, ck.Secret(userPIN)))
	o, err := other.GetObject(ctx, priv.Handle)
	must(t, err)
	digest := make([]byte, 32)
	sig, err := other.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, o.Key, digest, nil, false)
	must(t, err)
	checkP256(t, pub, digest, sig)
	must(t, other.DestroyObject(ctx, o))
	_, err = tok.Single(ctx, mech.OpSign, mech.Mechanism{Type: ck.CKM_ECDSA}, priv.Key, digest, nil, false)
	want(t, err, ck.CKR_OBJECT_HANDLE_INVALID)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

func TestPlainServiceKeysKnowWhatTheyAre(t *testing.T) {
	s := newService(t)
	addr, _ := s.start("127.0.0.1:0")
	tok := loggedIn(t, s.plainClient(addr, filepath.Join(t.TempDir(), "keys")))
	pub, priv := signingPair(t, tok, token)
	for _, o := range []grep11client.Object{pub, priv} {
		if kt, _, _ := o.Attributes.Ulong(ck.CKA_KEY_TYPE); ck.KeyType(kt) != ck.CKK_EC {
			t.Errorf("key type %v", ck.KeyType(kt))
		}
		if local, _ := o.Attributes.Bool(ck.CKA_LOCAL, false); !local || !o.Attributes.Has(ck.CKA_EC_POINT) {
			t.Errorf("%v", o.Attributes)
		}
	}
}
