package pkcs11_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"grep11/pkcs11"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// machine makes random calls in one session and knows what the standard says of
// operations: an Init while one is active, a call without one, and what ends it.
type machine struct {
	u      *user
	r      *rand.Rand
	active map[string]bool
	parts  map[string]bool
	once   map[string]bool
	keys   []ck.ObjectHandle
	mechs  map[string][]mech.Mechanism
	calls  int
}

// step is one kind of operation in the functions of the module.
type step struct {
	init   func(m *pkcs11.Module, u *user, mech *mech.Mechanism, key ck.ObjectHandle) error
	whole  func(m *pkcs11.Module, u *user, data []byte, o *pkcs11.Output) error
	update func(m *pkcs11.Module, u *user, data []byte, o *pkcs11.Output) error
	final  func(m *pkcs11.Module, u *user, o *pkcs11.Output) error
	output bool // of whole and final
}

var steps = map[string]step{
	"sign": {
		func(m *pkcs11.Module, u *user, x *mech.Mechanism, k ck.ObjectHandle) error {
			return m.SignInit(u.t.Context(), u.h, x, k)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.Sign(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.SignUpdate(u.t.Context(), u.h, d)
		},
		func(m *pkcs11.Module, u *user, o *pkcs11.Output) error { return m.SignFinal(u.t.Context(), u.h, o) }, true,
	},
	"verify": {
		func(m *pkcs11.Module, u *user, x *mech.Mechanism, k ck.ObjectHandle) error {
			return m.VerifyInit(u.t.Context(), u.h, x, k)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.Verify(u.t.Context(), u.h, d, d)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.VerifyUpdate(u.t.Context(), u.h, d)
		},
		func(m *pkcs11.Module, u *user, o *pkcs11.Output) error {
			return m.VerifyFinal(u.t.Context(), u.h, make([]byte, 64))
		}, false,
	},
	"encrypt": {
		func(m *pkcs11.Module, u *user, x *mech.Mechanism, k ck.ObjectHandle) error {
			return m.EncryptInit(u.t.Context(), u.h, x, k)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.Encrypt(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.EncryptUpdate(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, o *pkcs11.Output) error { return m.EncryptFinal(u.t.Context(), u.h, o) }, true,
	},
	"decrypt": {
		func(m *pkcs11.Module, u *user, x *mech.Mechanism, k ck.ObjectHandle) error {
			return m.DecryptInit(u.t.Context(), u.h, x, k)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.Decrypt(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.DecryptUpdate(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, o *pkcs11.Output) error { return m.DecryptFinal(u.t.Context(), u.h, o) }, true,
	},
	"digest": {
		func(m *pkcs11.Module, u *user, x *mech.Mechanism, k ck.ObjectHandle) error {
			return m.DigestInit(u.t.Context(), u.h, x)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.Digest(u.t.Context(), u.h, d, o)
		},
		func(m *pkcs11.Module, u *user, d []byte, o *pkcs11.Output) error {
			return m.DigestUpdate(u.t.Context(), u.h, d)
		},
		func(m *pkcs11.Module, u *user, o *pkcs11.Output) error { return m.DigestFinal(u.t.Context(), u.h, o) }, true,
	},
}

var kinds = []string{"sign", "verify", "encrypt", "decrypt", "digest"}

func newMachine(u *user, seed uint64) *machine {
	pub, key := u.ec()
	all := u.aes(ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_DECRYPT, true), ck.Bool(ck.CKA_SIGN, true), ck.Bool(ck.CKA_VERIFY, true))
	none := u.aes(ck.Bool(ck.CKA_ENCRYPT, false), ck.Bool(ck.CKA_DECRYPT, false), ck.Bool(ck.CKA_SIGN, false), ck.Bool(ck.CKA_VERIFY, false))
	iv := mech.IV(make([]byte, 16))
	ciphers := []mech.Mechanism{mechanism(ck.CKM_AES_CBC, iv), mechanism(ck.CKM_AES_CBC_PAD, iv), mechanism(ck.CKM_AES_ECB),
		mechanism(ck.CKM_AES_GCM, &mech.GCM{IV: iv[:12], TagBits: 128}), mechanism(ck.CKM_AES_CBC), mechanism(ck.CKM_SHA256)}
	signs := []mech.Mechanism{mechanism(ck.CKM_ECDSA), mechanism(ck.CKM_ECDSA_SHA256), mechanism(ck.CKM_SHA256_HMAC), mechanism(ck.CKM_SHA512)}
	return &machine{
		u: u, r: rand.New(rand.NewPCG(seed, 11)), active: map[string]bool{}, parts: map[string]bool{}, once: map[string]bool{},
		keys: []ck.ObjectHandle{pub, key, all, all, none, 0, 4711},
		mechs: map[string][]mech.Mechanism{"sign": signs, "verify": signs, "encrypt": ciphers, "decrypt": ciphers,
			"digest": {mechanism(ck.CKM_SHA256), mechanism(ck.CKM_SHA_1), mechanism(ck.CKM_ECDSA)}},
	}
}

func (m *machine) step() {
	m.calls++
	kind := kinds[m.r.IntN(len(kinds))]
	s := steps[kind]
	data := make([]byte, m.r.IntN(70))
	var n uint64
	var buf []byte
	if room := m.r.IntN(3); room > 0 { // a query, a short buffer, enough
		buf = make([]byte, room*room*40)
	}
	n = uint64(len(buf))
	out := pkcs11.NewOutput(buf, &n)
	switch m.r.IntN(6) {
	case 0, 1:
		mm := m.mechs[kind][m.r.IntN(len(m.mechs[kind]))]
		err := s.init(m.u.m, m.u, &mm, m.keys[m.r.IntN(len(m.keys))])
		m.agree(kind, "init", err, err == nil || m.active[kind] == errors.Is(err, ck.CKR_OPERATION_ACTIVE))
		m.active[kind] = m.active[kind] || err == nil
	case 2:
		err := s.init(m.u.m, m.u, nil, 0)
		m.agree(kind, "cancel", err, m.active[kind] == (err == nil))
		m.end(kind)
	case 3:
		was := m.parts[kind]
		err := s.whole(m.u.m, m.u, data, out)
		m.missing(kind, "whole", err)
		m.agree(kind, "whole after parts", err, !was || errors.Is(err, ck.CKR_OPERATION_ACTIVE))
		m.once[kind] = m.active[kind]
		m.after(kind, err, s.output && !was && buf == nil)
	case 4:
		err := s.update(m.u.m, m.u, data, out)
		m.missing(kind, "update", err)
		m.agree(kind, "update after all at once", err, !m.once[kind] || errors.Is(err, ck.CKR_OPERATION_ACTIVE))
		if err == nil && m.active[kind] && (buf != nil || kind == "sign" || kind == "verify" || kind == "digest") {
			m.parts[kind] = true
		}
		if err != nil && !errors.Is(err, ck.CKR_BUFFER_TOO_SMALL) {
			m.end(kind)
		}
	case 5:
		err := s.final(m.u.m, m.u, out)
		was := m.once[kind]
		m.missing(kind, "final", err)
		m.agree(kind, "final after all at once", err, !was || errors.Is(err, ck.CKR_OPERATION_ACTIVE))
		m.after(kind, err, s.output && !was && buf == nil)
	}
}

// after notes the end of an operation, unless the call told a length only.
func (m *machine) after(kind string, err error, query bool) {
	if !query && !errors.Is(err, ck.CKR_BUFFER_TOO_SMALL) {
		m.end(kind)
	}
}

func (m *machine) end(kind string) { m.active[kind], m.parts[kind], m.once[kind] = false, false, false }

// missing: a call is refused for want of an operation exactly if there is none.
func (m *machine) missing(kind, call string, err error) {
	m.agree(kind, call, err, m.active[kind] != errors.Is(err, ck.CKR_OPERATION_NOT_INITIALIZED))
}

func (m *machine) agree(kind, call string, err error, ok bool) {
	m.u.t.Helper()
	if !ok {
		m.u.t.Fatalf("call %d: %s %s: active %v, parts %v, but %v", m.calls, kind, call, m.active[kind], m.parts[kind], err)
	}
	if rv := ck.RVOf(err); rv == ck.CKR_GENERAL_ERROR || rv == ck.CKR_FUNCTION_FAILED || rv == ck.CKR_DEVICE_ERROR {
		m.u.t.Fatalf("call %d: %s %s: %v", m.calls, kind, call, err)
	}
}

func TestRandomCalls(t *testing.T) {
	calls := 20000
	if testing.Short() {
		calls = 2000
	}
	m := newMachine(start(t), 4711)
	for range calls {
		m.step()
	}
}
