package conformance

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"grep11/conformance/kind"
	"grep11/pkcs11/ck"
)

// setting is a variable of the service's, or of the environment where another
// module is tested.
func setting(t *testing.T, name string) string {
	t.Helper()
	for _, assignment := range service {
		if value, ok := strings.CutPrefix(assignment, name+"="); ok {
			return value
		}
	}
	if value := os.Getenv(name); value != "" {
		return value
	}
	t.Fatalf("no %s: make build makes the service", name)
	return ""
}

// session is a read-write session of the logged-in user.
type session struct {
	module *Module
	memory *Memory
	handle uintptr
}

// openSession initialises the module for one test and logs in.
func openSession(t *testing.T) *session {
	t.Helper()
	s := &session{module: load(t), memory: NewMemory()}
	t.Cleanup(func() {
		s.module.Call("C_Finalize", 0)
		s.memory.Free()
	})
	var reserved uintptr
	if ours() {
		reserved = s.memory.Bytes([]byte("config=" + setting(t, "GREP11_PKCS11_CONFIG") + "\x00")).Address()
	}
	s.must(t, "C_Initialize", s.memory.Words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), reserved).Address())
	count, handle := s.memory.Words(64), s.memory.Words(0)
	slots := s.memory.Room(64 * 8)
	s.must(t, "C_GetSlotList", 1, slots.Address(), count.Address())
	if count.Word() == 0 {
		t.Fatal("no slot with a token")
	}
	s.must(t, "C_OpenSession", slots.Word(), uintptr(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION), 0, 0, handle.Address())
	s.handle = handle.Word()
	pin := s.memory.Bytes([]byte(setting(t, "GREP11_PIN")))
	s.must(t, "C_Login", s.handle, uintptr(ck.CKU_USER), pin.Address(), uintptr(len(pin.Bytes())))
	return s
}

// needs leaves a test out where units on an HSM lack a mechanism.
func (s *session) needs(t *testing.T, types ...ck.MechanismType) {
	t.Helper()
	if kind.Name() != "softhsm" {
		return
	}
	slot, info := s.slot(t), s.memory.Room(24)
	for _, m := range types {
		if s.module.Call("C_GetMechanismInfo", slot, uintptr(m), info.Address()) == ck.CKR_MECHANISM_INVALID {
			t.Skipf("the HSM has no %v", m)
		}
	}
}

// must calls a function that has to succeed.
func (s *session) must(t *testing.T, name string, arguments ...uintptr) {
	t.Helper()
	if rv := s.module.Call(name, arguments...); rv != ck.CKR_OK {
		t.Fatalf("%s: %v", name, rv)
	}
}

var p256 = []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7} // OBJECT IDENTIFIER prime256v1

// makeKeyPair puts a P-256 pair into the token until the test ends.
func (s *session) makeKeyPair(t *testing.T, label string) (public, private uintptr) {
	t.Helper()
	both := ck.Template{ck.Bool(ck.CKA_TOKEN, true), ck.Bytes(ck.CKA_LABEL, []byte(label))}
	pub := both.With(ck.Template{ck.Bool(ck.CKA_VERIFY, true), ck.Bytes(ck.CKA_EC_PARAMS, p256)})
	priv := both.With(ck.Template{ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_PRIVATE, true)})
	handles := s.memory.Words(0, 0)
	const word = unsafe.Sizeof(uintptr(0))
	s.must(t, "C_GenerateKeyPair", s.handle, s.memory.Mechanism(ck.CKM_EC_KEY_PAIR_GEN, nil).Address(),
		s.memory.Template(pub).Address(), uintptr(len(pub)), s.memory.Template(priv).Address(), uintptr(len(priv)),
		handles.Address(), handles.Address()+word)
	made := unsafe.Slice((*uintptr)(handles.p), 2)
	t.Cleanup(func() {
		s.module.Call("C_DestroyObject", s.handle, made[0])
		s.module.Call("C_DestroyObject", s.handle, made[1])
	})
	return made[0], made[1]
}
