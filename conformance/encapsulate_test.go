package conformance

import (
	"bytes"
	"testing"
	"unsafe"

	"grep11/pkcs11/ck"
)

// read reads an attribute of at most 64 bytes.
func (s *session) read(t *testing.T, object uintptr, at ck.AttributeType) []byte {
	t.Helper()
	value := s.memory.Room(64)
	attribute := s.memory.Words(uintptr(at), value.Address(), 64)
	s.must(t, "C_GetAttributeValue", s.handle, object, attribute.Address(), 1)
	return bytes.Clone(value.Bytes()[:unsafe.Slice((*uintptr)(attribute.p), 3)[2]])
}

// TestEncapsulateThroughTheABI: what a caller of the C functions sees of an
// encapsulation: the length, a short buffer, the key on both sides.
func TestEncapsulateThroughTheABI(t *testing.T) {
	if !ours() {
		return // few modules have ML-KEM
	}
	s := openSession(t)
	s.needs(t, ck.CKM_ML_KEM, ck.CKM_ML_KEM_KEY_PAIR_GEN)
	pub := ck.Template{ck.Ulong(ck.CKA_PARAMETER_SET, ck.CKP_ML_KEM_768), ck.Bool(ck.CKA_ENCAPSULATE, true)}
	priv := ck.Template{ck.Bool(ck.CKA_DECAPSULATE, true)}
	pair := s.memory.Words(0, 0)
	const word = unsafe.Sizeof(uintptr(0))
	s.must(t, "C_GenerateKeyPair", s.handle, s.memory.Mechanism(ck.CKM_ML_KEM_KEY_PAIR_GEN, nil).Address(),
		s.memory.Template(pub).Address(), uintptr(len(pub)), s.memory.Template(priv).Address(), uintptr(len(priv)), pair.Address(), pair.Address()+word)
	keys := unsafe.Slice((*uintptr)(pair.p), 2)
	kem := s.memory.Mechanism(ck.CKM_ML_KEM, nil).Address()
	shown := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES), ck.Bool(ck.CKA_SENSITIVE, false)}
	tmpl, n := s.memory.Template(shown).Address(), uintptr(len(shown))
	length, key, room := s.memory.Words(0), s.memory.Words(0), s.memory.Room(1088)
	encapsulate := func(at uintptr) ck.RV {
		return s.module.Call("C_EncapsulateKey", s.handle, kem, keys[0], tmpl, n, at, length.Address(), key.Address())
	}
	if rv := encapsulate(0); rv != ck.CKR_OK || length.Word() != 1088 || key.Word() != 0 {
		t.Errorf("length query: %v, %d bytes, key %d", rv, length.Word(), key.Word())
	}
	*(*uintptr)(length.p) = 1087
	if rv := encapsulate(room.Address()); rv != ck.CKR_BUFFER_TOO_SMALL || length.Word() != 1088 {
		t.Errorf("a short buffer: %v, %d bytes", rv, length.Word())
	}
	if rv := encapsulate(room.Address()); rv != ck.CKR_OK || length.Word() != 1088 {
		t.Fatalf("%v, %d bytes", rv, length.Word())
	}
	other := s.memory.Words(0)
	s.must(t, "C_DecapsulateKey", s.handle, kem, keys[1], tmpl, n, room.Address(), 1088, other.Address())
	a, b := s.read(t, key.Word(), ck.CKA_VALUE), s.read(t, other.Word(), ck.CKA_VALUE)
	if len(a) != 32 || !bytes.Equal(a, b) {
		t.Errorf("keys of %d and %d bytes differ", len(a), len(b))
	}
	if rv := s.module.Call("C_DecapsulateKey", s.handle, kem, keys[1], tmpl, n, room.Address(), 1087, other.Address()); rv != ck.CKR_WRAPPED_KEY_LEN_RANGE {
		t.Errorf("a short ciphertext: %v", rv)
	}
	parameter := s.memory.Mechanism(ck.CKM_ML_KEM, []byte{1}).Address()
	if rv := s.module.Call("C_EncapsulateKey", s.handle, parameter, keys[0], tmpl, n, room.Address(), length.Address(), key.Address()); rv != ck.CKR_MECHANISM_PARAM_INVALID {
		t.Errorf("a parameter: %v", rv)
	}
}
