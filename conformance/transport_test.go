package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"

	"grep11/pkcs11/ck"
)

// TestTransportKeyThroughTheABI: a SubjectPublicKeyInfo as Go writes it becomes a
// public key, without an unwrapping key, and verifies what Go signed.
func TestTransportKeyThroughTheABI(t *testing.T) {
	if !ours() {
		return // the mechanism is a vendor's
	}
	s := openSession(t)
	s.needs(t, ck.CKM_IBM_TRANSPORTKEY)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("signed outside")
	digest := sha256.Sum256(message)
	rsaSignature, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		public    any
		kind      ck.KeyType
		verify    ck.MechanismType
		signature []byte
	}{
		"RSA":     {&rsaKey.PublicKey, ck.CKK_RSA, ck.CKM_SHA256_RSA_PKCS, rsaSignature},
		"EC":      {&ecKey.PublicKey, ck.CKK_EC, ck.CKM_ECDSA_SHA256, ecSignature(t, digest[:])},
		"Ed25519": {edPublic, ck.CKK_EC_EDWARDS, ck.CKM_EDDSA, ed25519.Sign(edKey, message)},
	} {
		t.Run(name, func(t *testing.T) {
			s.needs(t, k.verify)
			info, err := x509.MarshalPKIXPublicKey(k.public)
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range []bool{false, true} {
				key := s.transported(t, info, ck.Template{ck.Bool(ck.CKA_TOKEN, token), ck.Bool(ck.CKA_VERIFY, true)})
				for _, is := range []ck.Attribute{ck.Ulong(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), ck.Ulong(ck.CKA_KEY_TYPE, k.kind), ck.Bool(ck.CKA_TOKEN, token)} {
					if got := s.read(t, key, is.Type); string(got) != string(is.Value) {
						t.Errorf("%v is %x", is.Type, got)
					}
				}
				if rv := s.verified(t, k.verify, key, message, k.signature); rv != ck.CKR_OK {
					t.Errorf("the message: %v", rv)
				}
				if rv := s.verified(t, k.verify, key, message[1:], k.signature); rv != ck.CKR_SIGNATURE_INVALID {
					t.Errorf("another message: %v", rv)
				}
				s.must(t, "C_DestroyObject", s.handle, key)
			}
		})
	}
}

// ecSignature is as PKCS#11 has it, by the machine's key.
func ecSignature(t *testing.T, digest []byte) []byte {
	t.Helper()
	r, v, err := ecdsa.Sign(rand.Reader, ecKey, digest)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 64)
	for i, n := range []*big.Int{r, v} {
		n.FillBytes(out[32*i : 32*i+32])
	}
	return out
}

func (s *session) transported(t *testing.T, info []byte, tmpl ck.Template) uintptr {
	t.Helper()
	key := s.memory.Words(0)
	s.must(t, "C_UnwrapKey", s.handle, s.memory.Mechanism(ck.CKM_IBM_TRANSPORTKEY, nil).Address(), 0,
		s.memory.Bytes(info).Address(), uintptr(len(info)), s.memory.Template(tmpl).Address(), uintptr(len(tmpl)), key.Address())
	return key.Word()
}

func (s *session) verified(t *testing.T, m ck.MechanismType, key uintptr, text, signature []byte) ck.RV {
	t.Helper()
	s.must(t, "C_VerifyInit", s.handle, s.memory.Mechanism(m, nil).Address(), key)
	return s.module.Call("C_Verify", s.handle, s.memory.Bytes(text).Address(), uintptr(len(text)), s.memory.Bytes(signature).Address(), uintptr(len(signature)))
}
