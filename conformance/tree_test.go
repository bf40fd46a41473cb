package conformance

import (
	"bytes"
	"testing"

	"grep11/pkcs11/ck"
)

// TestTreeThroughTheABI: C_DeriveKey gives the chain code of a new key of BIP32
// back in the parameter, as the vendor's callers want it.
func TestTreeThroughTheABI(t *testing.T) {
	if !ours() {
		return // the mechanism is the vendor's
	}
	s := openSession(t)
	seed := ck.Template{ck.Ulong(ck.CKA_CLASS, ck.CKO_SECRET_KEY), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Bytes(ck.CKA_VALUE, []byte("0123456789abcdef0123456789abcdef")), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true)}
	base, made := s.memory.Words(0), s.memory.Words(0)
	s.must(t, "C_CreateObject", s.handle, s.memory.Template(seed).Address(), uintptr(len(seed)), base.Address())
	node := ck.Template{ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_EC), ck.Bytes(ck.CKA_EC_PARAMS, []byte{6, 5, 0x2b, 0x81, 4, 0, 10}),
		ck.Ulong(ck.CKA_VALUE_LEN, 0), ck.Bool(ck.CKA_DERIVE, true), ck.Bool(ck.CKA_IBM_USE_AS_DATA, true)}
	room := s.memory.Room(64)
	derive := func(kind, length, from uintptr) ck.RV {
		parameter := s.memory.Words(kind, 0, room.Address(), length, 1)
		return s.module.Call("C_DeriveKey", s.handle, s.memory.Mechanism(ck.CKM_IBM_BTC_DERIVE, parameter.Bytes()).Address(), from,
			s.memory.Template(node).Address(), uintptr(len(node)), made.Address())
	}
	if rv := derive(ck.CK_IBM_BIP0032_MASTERK, 0, base.Word()); rv == ck.CKR_MECHANISM_INVALID {
		return // units on other HSMs lack it
	} else if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	root := bytes.Clone(room.Bytes())
	if rv := derive(ck.CK_IBM_BIP0032_PRV2PRV, 32, made.Word()); rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	child := room.Bytes()
	if bytes.Equal(root[:32], make([]byte, 32)) || bytes.Equal(root[:32], child[:32]) || !bytes.Equal(child[32:], make([]byte, 32)) {
		t.Errorf("chain codes: %x, then %x", root, child)
	}
}
