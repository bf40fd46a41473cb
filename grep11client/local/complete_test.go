package local

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"grep11/pkcs11/ck"
)

// A service that says nothing of a key that it was brought leaves its type to be
// read from the key.
func TestAPublicKeyTellsItsType(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	info, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	known := Complete(ck.Template{ck.Bool(ck.CKA_VERIFY, true)}, Made{Class: ck.CKO_PUBLIC_KEY, Public: append(info, "the rest of the blob"...)})
	if kt, ok, err := known.Ulong(ck.CKA_KEY_TYPE); !ok || err != nil || ck.KeyType(kt) != ck.CKK_EC_EDWARDS {
		t.Errorf("type %v, %v", ck.KeyType(kt), known)
	}
}
