package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"grep11/pkcs11/ck"
)

const soPIN, userPIN = "87654321", "12345678"

// newToken makes a token in the slot that is free, and gives its slot.
func (p *probe) newToken(label string) uintptr {
	p.t.Helper()
	padded := p.bytes(label + strings.Repeat(" ", 32-len(label)))
	for slot := range uintptr(8) {
		info := p.memory.Room(300)
		if rv := p.module.Call("C_GetTokenInfo", slot, info.Address()); rv != ck.CKR_OK {
			continue
		}
		flags := ck.Flags(info.WordAt(12)) // after label, manufacturer, model and number
		if flags&ck.CKF_TOKEN_INITIALIZED != 0 {
			continue
		}
		if rv := p.module.Call("C_InitToken", slot, p.bytes(soPIN), uintptr(len(soPIN)), padded); rv != ck.CKR_OK {
			p.t.Fatalf("C_InitToken: %v", rv)
		}
		return slot
	}
	p.t.Fatal("no slot for a new token")
	return 0
}

// in opens a read-write session in a slot.
func (p *probe) in(slot uintptr) *probe {
	p.t.Helper()
	at := p.word(0)
	if rv := p.module.Call("C_OpenSession", slot, uintptr(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION), 0, 0, at); rv != ck.CKR_OK {
		p.t.Fatalf("C_OpenSession: %v", rv)
	}
	return &probe{p.t, &session{p.module, p.memory, *p.at(at)}}
}

func (p *probe) loginUser(user ck.UserType, pin string) ck.RV {
	return p.ask("C_LoginUser", uintptr(user), p.bytes(pin), uintptr(len(pin)), 0, 0)
}

// untilLocked makes a call with a wrong PIN until that is locked.
func (p *probe) untilLocked(what string, call func() ck.RV) {
	p.t.Helper()
	rv := ck.CKR_OK
	for range 50 {
		if rv = call(); rv != ck.CKR_PIN_INCORRECT {
			break
		}
	}
	if rv != ck.CKR_PIN_LOCKED {
		p.t.Errorf("%s with a wrong PIN, again and again: %v", what, rv)
	}
}

var userScenes = []scene{
	{"a token of its own", func(p *probe) {
		slot := p.newToken("return values")
		s := p.in(slot)
		pin := uintptr(len(userPIN))
		for _, login := range []func(ck.UserType, string) ck.RV{s.login, s.loginUser} {
			if rv := login(ck.CKU_USER, userPIN); rv != ck.CKR_USER_PIN_NOT_INITIALIZED {
				p.t.Errorf("no PIN yet: %v", rv)
			}
			if rv := login(ck.CKU_SO, "wrong one"); rv != ck.CKR_PIN_INCORRECT {
				p.t.Errorf("a wrong PIN: %v", rv)
			}
		}
		s.login(ck.CKU_SO, soPIN)
		if rv := s.loginUser(ck.CKU_SO, soPIN); rv != ck.CKR_USER_ALREADY_LOGGED_IN {
			p.t.Errorf("a second login: %v", rv)
		}
		s.want(ck.CKR_PIN_LEN_RANGE, "C_InitPIN", p.bytes("1"), 1)
		s.ok("C_InitPIN", p.bytes(userPIN), pin)
		s.ok("C_Logout")
		s.untilLocked("C_SetPIN", func() ck.RV { return s.ask("C_SetPIN", p.bytes("wrong one"), 9, p.bytes(userPIN), pin) })
		s.untilLocked("C_Login", func() ck.RV { return s.login(ck.CKU_USER, "wrong one") })
		s.untilLocked("C_LoginUser", func() ck.RV { return s.loginUser(ck.CKU_USER, "wrong one") })
		s.ok("C_CloseSession")
		label := p.bytes(strings.Repeat("x", 32))
		call := func(slot, pin, n, label uintptr) ck.RV { return p.module.Call("C_InitToken", slot, pin, n, label) }
		if rv := call(4711, p.bytes(soPIN), 8, label); rv != ck.CKR_SLOT_ID_INVALID {
			p.t.Errorf("C_InitToken in no slot: %v", rv)
		}
		if rv := call(slot, 0, 8, label); rv != ck.CKR_ARGUMENTS_BAD {
			p.t.Errorf("C_InitToken without a PIN: %v", rv)
		}
		p.untilLocked("C_InitToken", func() ck.RV { return call(slot, p.bytes("wrong one"), 9, label) })
	}},
	{"the security officer's sessions", func(p *probe) {
		p.ok("C_Logout")
		reader := p.open(0)
		for _, login := range []func(ck.UserType, string) ck.RV{p.login, p.loginUser} {
			if rv := login(ck.CKU_SO, soPIN); rv != ck.CKR_SESSION_READ_ONLY_EXISTS {
				p.t.Errorf("a read-only session is there: %v", rv)
			}
		}
		if rv := p.module.Call("C_InitToken", p.slot(p.t), p.bytes(soPIN), 8, p.bytes(strings.Repeat("x", 32))); rv != ck.CKR_SESSION_EXISTS {
			p.t.Errorf("C_InitToken beside sessions: %v", rv)
		}
		reader.ok("C_CloseSession")
		p.login(ck.CKU_SO, soPIN)
		if rv := p.module.Call("C_OpenSession", p.slot(p.t), uintptr(ck.CKF_SERIAL_SESSION), 0, 0, p.word(0)); rv != ck.CKR_SESSION_READ_WRITE_SO_EXISTS {
			p.t.Errorf("a read-only session beside the security officer's: %v", rv)
		}
	}},
	{"a service that is away", func(p *probe) {
		p.module.Call("C_Finalize", 0)
		config := filepath.Join(p.t.TempDir(), "away.toml")
		text := fmt.Sprintf("[[slot]]\ntoken = \"away\"\nendpoints = [%q]\n", freeAddress())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
		reserved := p.bytes("config=" + config + "\x00")
		if rv := p.module.Call("C_Initialize", p.memory.Words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), reserved).Address()); rv != ck.CKR_OK {
			p.t.Fatal(rv)
		}
		for name, arguments := range map[string][]uintptr{
			"C_GetTokenInfo": {0, p.room(300)}, "C_GetMechanismList": {0, 0, p.word(0)},
			"C_GetMechanismInfo": {0, uintptr(ck.CKM_AES_ECB), p.room(24)},
			"C_OpenSession":      {0, uintptr(ck.CKF_SERIAL_SESSION), 0, 0, p.word(0)},
			"C_InitToken":        {0, p.bytes(soPIN), 8, p.bytes(strings.Repeat("x", 32))},
		} {
			if rv := p.module.Call(name, arguments...); rv != ck.CKR_TOKEN_NOT_PRESENT {
				p.t.Errorf("%s: %v", name, rv)
			}
		}
	}},
}

var otherScenes = []scene{
	{"lists and events", func(p *probe) {
		if rv := p.module.Call("C_GetMechanismList", p.slot(p.t), p.room(8), p.word(1)); rv != ck.CKR_BUFFER_TOO_SMALL {
			p.t.Errorf("C_GetMechanismList: %v", rv)
		}
		if rv := p.module.Call("C_WaitForSlotEvent", uintptr(ck.CKF_DONT_BLOCK), 0, 0); rv != ck.CKR_ARGUMENTS_BAD {
			p.t.Errorf("C_WaitForSlotEvent: %v", rv)
		}
	}},
	{"states", func(p *probe) {
		aes := p.secret(ck.CKM_AES_KEY_GEN, aesRights)
		p.ok("C_EncryptInit", p.mechanismWith(ck.CKM_AES_CBC, p.room(16), 16), aes)
		p.ok("C_EncryptUpdate", p.room(32), 32, p.room(64), p.word(64))
		state, length := p.room(4096), p.word(4096)
		p.ok("C_GetOperationState", state, length)
		p.ok("C_SetOperationState", state, *p.at(length), 0, 0)
		p.ask("C_SessionCancel", ^uintptr(0))
	}},
	{"what only the service knows to be wrong", func(p *probe) {
		from := p.secret(ck.CKM_GENERIC_SECRET_KEY_GEN, rights(ck.CKA_DERIVE))
		kek := p.secret(ck.CKM_AES_KEY_GEN, rights(ck.CKA_WRAP))
		at, n := p.template(aesKey)
		p.ask("C_DeriveKey", p.mechanism(ck.CKM_SHA512_KEY_DERIVATION), from, at, n, p.word(0))
		p.want(ck.CKR_MECHANISM_INVALID, "C_WrapKey", p.mechanism(0x7ffffff0), kek, from, 0, p.word(0))
		junk := p.mechanismWith(ck.CKM_AES_KEY_WRAP, p.room(3), 3)
		p.want(ck.CKR_MECHANISM_PARAM_INVALID, "C_WrapKey", junk, kek, from, 0, p.word(0))
		junk = p.mechanismWith(ck.CKM_AES_GCM, p.room(3), 3)
		p.want(ck.CKR_MECHANISM_PARAM_INVALID, "C_WrapKeyAuthenticated", junk, kek, from, 0, 0, 0, p.word(0))
	}},
}
