package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

// universal are the codes that every function may answer, or every one in a
// session, with a token or that is not there at all (PKCS#11 v3.2 §5.1.1 to §5.1.3).
var universal = []ck.RV{
	ck.CKR_OK, ck.CKR_GENERAL_ERROR, ck.CKR_HOST_MEMORY, ck.CKR_FUNCTION_FAILED, ck.CKR_CRYPTOKI_NOT_INITIALIZED, ck.CKR_DEVICE_ERROR,
	ck.CKR_DEVICE_MEMORY, ck.CKR_DEVICE_REMOVED, ck.CKR_SESSION_HANDLE_INVALID, ck.CKR_FUNCTION_NOT_SUPPORTED, ck.CKR_FUNCTION_NOT_PARALLEL,
}

// unlisted are answers that the standard asks for in its text, or allows for
// reasons of its own, where its lists lack them.
var unlisted = map[string][]ck.RV{
	"C_OpenSession":               {ck.CKR_TOKEN_NOT_PRESENT},
	"C_EncryptInit":               {ck.CKR_ARGUMENTS_BAD}, // no mechanism, and nothing to end
	"C_DecryptInit":               {ck.CKR_ARGUMENTS_BAD},
	"C_MessageEncryptInit":        {ck.CKR_ARGUMENTS_BAD},
	"C_MessageDecryptInit":        {ck.CKR_ARGUMENTS_BAD},
	"C_VerifyRecover":             {ck.CKR_USER_NOT_LOGGED_IN},
	"C_DestroyObject":             {ck.CKR_ARGUMENTS_BAD},
	"C_GetSessionValidationFlags": {ck.CKR_ARGUMENTS_BAD},
	"C_SetPIN":                    {ck.CKR_USER_NOT_LOGGED_IN},
	"C_WrapKey":                   {ck.CKR_KEY_FUNCTION_NOT_PERMITTED}, // as C_EncryptInit has it
	"C_UnwrapKey":                 {ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	"C_DeriveKey":                 {ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	"C_WrapKeyAuthenticated":      {ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	"C_UnwrapKeyAuthenticated":    {ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
}

// inOperation are calls of an operation. Its login may be over: "it may or may not
// be the case that those operations are still active" (§5.6, C_Logout); or it may
// have been begun in another way, in parts or with all data at once.
func inOperation(name string) bool {
	for _, part := range []string{"Update", "Final", "Message", "Encrypt", "Decrypt", "Sign", "Verify"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// returns is the standard's list for each function.
func returns(t *testing.T) map[string][]string {
	rows, err := Table("return-values.csv")
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for _, r := range rows {
		lists[r[0]] = strings.Split(r[1], "; ")
	}
	return lists
}

// mayReturn tells whether a function may answer so.
func mayReturn(lists map[string][]string, name string, rv ck.RV) bool {
	return slices.Contains(universal, rv) || slices.Contains(lists[name], rv.Error()) || slices.Contains(unlisted[name], rv) ||
		(rv == ck.CKR_USER_NOT_LOGGED_IN || rv == ck.CKR_OPERATION_ACTIVE) && inOperation(name)
}

// TestOneBadArgument makes every call with one argument wrong and the others as
// good as they can be in general: no pointer, a pointer nowhere, a length without
// end, a handle of nothing. Each is refused or done, with a code of the
// standard's list, and nothing crashes.
func TestOneBadArgument(t *testing.T) {
	if !ours() {
		return
	}
	lists := returns(t)
	s := openSession(t)
	key := s.makeSecretKey(t)
	seen := map[string]bool{}
	for _, f := range functions(t) {
		if slices.Contains([]string{"C_Initialize", "C_Finalize", "C_CloseAllSessions", "C_CloseSession", "C_Logout", "C_InitToken", "C_WaitForSlotEvent", "C_GetInterface"}, f.Name) {
			continue
		}
		for i := range f.Args {
			for _, bad := range badArguments(s.memory, f.Args[i]) {
				arguments := make([]uintptr, len(f.Args))
				for j, a := range f.Args {
					arguments[j] = s.plausible(a, key)
				}
				arguments[i] = bad
				rv := s.module.Call(f.Name, arguments...)
				seen[fmt.Sprint(f.Name, rv)] = true
				if rv == ck.CKR_GENERAL_ERROR || rv == ck.CKR_FUNCTION_FAILED || !mayReturn(lists, f.Name, rv) {
					t.Errorf("%s with %s %#x: %v", f.Name, f.Args[i], bad, rv)
				}
				typ, _, _ := strings.Cut(f.Args[i], " ")
				if typ == "CK_SESSION_HANDLE" && rv != ck.CKR_SESSION_HANDLE_INVALID && !neverDone(rv) {
					t.Errorf("%s in a session that is not there: %v", f.Name, rv)
				}
			}
		}
		s.module.Call("C_SessionCancel", s.handle, ^uintptr(0))
	}
	t.Logf("%d answers of functions", len(seen))
}

// badArguments are what may be wrong with one argument.
func badArguments(memory *Memory, argument string) []uintptr {
	typ, _, _ := strings.Cut(argument, " ")
	switch {
	case typ == "CK_SESSION_HANDLE", typ == "CK_OBJECT_HANDLE", typ == "CK_SLOT_ID":
		return []uintptr{0, 4711, 1 << 40, ^uintptr(0)}
	case typ == "CK_ULONG_PTR":
		return []uintptr{0, 5, memory.Words(^uintptr(0)).Address()}
	case strings.Contains(typ, "_PTR"):
		return []uintptr{0, 5, 4095}
	case typ == "CK_NOTIFY":
		return []uintptr{0}
	}
	return []uintptr{0, 1, 1 << 33, ^uintptr(0)}
}

// plausible is an argument that a call may have.
func (s *session) plausible(argument string, key uintptr) uintptr {
	typ, name, _ := strings.Cut(argument, " ")
	switch {
	case typ == "CK_SESSION_HANDLE":
		return s.handle
	case typ == "CK_OBJECT_HANDLE":
		return key
	case typ == "CK_MECHANISM_PTR":
		return s.memory.Mechanism(ck.CKM_AES_ECB, nil).Address()
	case typ == "CK_ULONG_PTR":
		return s.memory.Words(4096).Address()
	case strings.Contains(typ, "_PTR"):
		return s.memory.Room(8192).Address()
	case strings.Contains(name, "Len"):
		return 16
	}
	return 0
}

func (s *session) makeSecretKey(t *testing.T) uintptr {
	t.Helper()
	template := ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16), ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true)}
	handle := s.memory.Words(0)
	s.must(t, "C_GenerateKey", s.handle, s.memory.Mechanism(ck.CKM_AES_KEY_GEN, nil).Address(),
		s.memory.Template(template).Address(), uintptr(len(template)), handle.Address())
	return handle.Word()
}

// TestParameters gives each mechanism that takes a parameter one of every length
// up to what the longest struct has, of zeros and of ones: refused at Init or at
// the first use, never followed.
func TestParameters(t *testing.T) {
	if !ours() {
		return
	}
	s := openSession(t)
	key := s.makeSecretKey(t)
	count := s.memory.Words(0)
	slot := s.slot(t)
	s.must(t, "C_GetMechanismList", slot, 0, count.Address())
	list := s.memory.Room(8 * int(count.Word()))
	s.must(t, "C_GetMechanismList", slot, list.Address(), count.Address())
	template := ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 16)}
	attributes := s.memory.Template(template).Address()
	made, size := s.memory.Words(0, 0), s.memory.Words(0)
	param, words := s.memory.Room(256), s.memory.Words(0, 0, 0)
	refused := 0
	for i := range int(count.Word()) {
		mechanism := list.WordAt(i)
		for n := 0; n <= 128; n += 4 {
			for _, fill := range []byte{0, 0xff} {
				for j := range param.Bytes() {
					param.Bytes()[j] = fill
				}
				words.SetWords(mechanism, param.Address(), uintptr(n))
				for _, f := range []string{"C_EncryptInit", "C_DecryptInit", "C_SignInit", "C_VerifyInit"} {
					if s.parameter(t, f, s.module.Call(f, s.handle, words.Address(), key), mechanism, n) {
						refused++
					}
				}
				if n%16 != 0 {
					continue
				}
				s.parameter(t, "C_DeriveKey", s.module.Call("C_DeriveKey", s.handle, words.Address(), key, attributes, 1, made.Address()), mechanism, n)
				s.parameter(t, "C_WrapKey", s.module.Call("C_WrapKey", s.handle, words.Address(), key, key, 0, size.Address()), mechanism, n)
			}
		}
		s.module.Call("C_SessionCancel", s.handle, ^uintptr(0))
	}
	t.Logf("%d mechanisms, %d parameters refused", count.Word(), refused)
}

func (s *session) parameter(t *testing.T, name string, rv ck.RV, mechanism uintptr, n int) bool {
	t.Helper()
	if rv == ck.CKR_GENERAL_ERROR || rv == ck.CKR_FUNCTION_FAILED {
		t.Errorf("%s, %v, parameter of %d bytes: %v", name, ck.MechanismType(mechanism), n, rv)
	}
	if rv == ck.CKR_OK {
		s.module.Call("C_SessionCancel", s.handle, ^uintptr(0))
	}
	return rv == ck.CKR_MECHANISM_PARAM_INVALID
}

// slot is the slot of the session.
func (s *session) slot(t *testing.T) uintptr {
	t.Helper()
	info := s.memory.Words(0, 0, 0, 0)
	s.must(t, "C_GetSessionInfo", s.handle, info.Address())
	return info.Word()
}
