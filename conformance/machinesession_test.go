package conformance

import (
	"slices"

	"grep11/pkcs11/ck"
)

// msession is a session as the model has it.
type msession struct {
	handle   uintptr
	rw       bool
	ops      map[string]*mop // by the kind's name
	process  map[string]*mprocess
	search   []uintptr
	searches bool
}

// session picks one, or none: a handle that no session has.
func (m *machine) session() (*msession, uintptr, faults) {
	if len(m.sessions) == 0 || m.oneIn(60) {
		return nil, uintptr(1<<40 + m.r.IntN(5)), faults{ck.CKR_SESSION_HANDLE_INVALID}
	}
	s := m.sessions[m.r.IntN(len(m.sessions))]
	return s, s.handle, nil
}

func (m *machine) openSession() {
	if len(m.sessions) >= 6 {
		return
	}
	var f faults
	slot, flags := m.slot, ck.Flags(ck.CKF_SERIAL_SESSION)
	rw := !m.oneIn(3)
	if rw {
		flags |= ck.CKF_RW_SESSION
	}
	f.when(!rw && m.user == ck.CKU_SO, ck.CKR_SESSION_READ_WRITE_SO_EXISTS)
	place := m.a.words(0)
	switch m.r.IntN(40) {
	case 0:
		slot = 999
		f.when(true, ck.CKR_SLOT_ID_INVALID)
	case 1:
		flags &^= ck.CKF_SERIAL_SESSION
		f.when(true, ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED)
	case 2:
		flags |= ck.CKF_ASYNC_SESSION
		f.when(true, ck.CKR_SESSION_ASYNC_NOT_SUPPORTED)
	case 3:
		place = 0
		f.when(true, ck.CKR_ARGUMENTS_BAD)
	}
	if m.call("C_OpenSession", f, slot, uintptr(flags), 5, 0, place) {
		m.sessions = append(m.sessions, &msession{handle: *m.a.at(place), rw: rw, ops: map[string]*mop{}, process: map[string]*mprocess{}})
	}
}

func (m *machine) closeSession() {
	s, h, f := m.session()
	if m.call("C_CloseSession", f, h) {
		m.forgetSession(s)
	}
}

// forgetSession: a session takes its objects along, and the last one the login.
func (m *machine) forgetSession(s *msession) {
	m.sessions = slices.DeleteFunc(m.sessions, func(x *msession) bool { return x == s })
	m.forgetObjects(func(o *mobject) bool { return o.owner == s })
	if len(m.sessions) == 0 {
		m.user = noUser
	}
}

func (m *machine) closeAll() {
	if m.oneIn(3) && m.call("C_CloseAllSessions", nil, m.slot) {
		for _, s := range slices.Clone(m.sessions) {
			m.forgetSession(s)
		}
	}
	m.call("C_CloseAllSessions", faults{ck.CKR_SLOT_ID_INVALID}, 999)
}

func (m *machine) state(s *msession) ck.State {
	switch {
	case m.user == ck.CKU_SO:
		return ck.CKS_RW_SO_FUNCTIONS
	case m.user == ck.CKU_USER && s.rw:
		return ck.CKS_RW_USER_FUNCTIONS
	case m.user == ck.CKU_USER:
		return ck.CKS_RO_USER_FUNCTIONS
	case s.rw:
		return ck.CKS_RW_PUBLIC_SESSION
	}
	return ck.CKS_RO_PUBLIC_SESSION
}

func (m *machine) sessionInfo() {
	s, h, f := m.session()
	info := m.a.room(32)
	if m.oneIn(30) {
		info.at = 0
		f.when(true, ck.CKR_ARGUMENTS_BAD)
	}
	if !m.call("C_GetSessionInfo", f, h, info.at) {
		return
	}
	flags := ck.Flags(ck.CKF_SERIAL_SESSION)
	if s.rw {
		flags |= ck.CKF_RW_SESSION
	}
	if info.word(0) != m.slot || ck.State(info.word(1)) != m.state(s) || ck.Flags(info.word(2)) != flags {
		m.t.Fatalf("session of %v: slot %d, state %d, flags %#x", m.state(s), info.word(0), info.word(1), info.word(2))
	}
}

func (m *machine) login() {
	s, h, f := m.session()
	users := []ck.UserType{ck.CKU_USER, ck.CKU_USER, ck.CKU_USER, ck.CKU_SO, ck.CKU_CONTEXT_SPECIFIC, 9}
	user := users[m.r.IntN(len(users))]
	pin := []byte(setting(m.t, "GREP11_PIN"))
	if user == ck.CKU_SO {
		pin = []byte(setting(m.t, "GREP11_SO_PIN"))
	}
	f.when(user == 9, ck.CKR_USER_TYPE_INVALID)
	if user == ck.CKU_CONTEXT_SPECIFIC {
		f.when(s != nil && !s.hasKeyOperation(), ck.CKR_OPERATION_NOT_INITIALIZED)
		f.when(m.user != ck.CKU_USER, ck.CKR_OPERATION_NOT_INITIALIZED)
	} else {
		f.when(m.user == user, ck.CKR_USER_ALREADY_LOGGED_IN)
		f.when(m.user != user && m.user != noUser, ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
		f.when(user == ck.CKU_SO && slices.ContainsFunc(m.sessions, func(s *msession) bool { return !s.rw }), ck.CKR_SESSION_READ_ONLY_EXISTS)
	}
	whose := user
	if user != ck.CKU_SO {
		whose = ck.CKU_USER
	}
	bad := m.oneIn(10) && m.wrong[whose] < 3 && s != nil
	if bad {
		pin = []byte("wrong PIN")
		f.when(true, ck.CKR_PIN_INCORRECT)
	}
	name, more := "C_Login", []uintptr{}
	if m.oneIn(4) {
		name, more = "C_LoginUser", []uintptr{0, 0}
	}
	before := m.answers[ck.CKR_PIN_INCORRECT]
	ok := m.call(name, f, append([]uintptr{h, uintptr(user), m.a.bytes(pin), uintptr(len(pin))}, more...)...)
	m.wrong[whose] += m.answers[ck.CKR_PIN_INCORRECT] - before
	if ok {
		m.wrong[whose] = 0
		if user != ck.CKU_CONTEXT_SPECIFIC {
			m.user = user
			m.loginChanged()
		}
	}
}

func (m *machine) logout() {
	s, h, f := m.session()
	f.when(m.user == noUser, ck.CKR_USER_NOT_LOGGED_IN)
	if m.call("C_Logout", f, h) {
		m.user = noUser
		s.searches = false // of the session that it was called in
		m.forgetObjects(func(o *mobject) bool { return o.private && o.owner != nil })
		m.loginChanged()
	}
}

// loginChanged: operations with private keys are over, at their next call; a
// search that was begun before finds nothing more.
func (m *machine) loginChanged() {
	for _, s := range m.sessions {
		s.search = nil
		for _, op := range s.ops {
			op.stale = op.stale || op.key != nil && op.key.private
		}
		for _, p := range s.process {
			p.stale = p.stale || p.key.private
		}
	}
}

// general are functions that change nothing.
func (m *machine) general() {
	_, h, f := m.session()
	switch m.r.IntN(7) {
	case 0:
		m.call("C_GetInfo", nil, m.a.room(200).at)
		m.call("C_GetInfo", faults{ck.CKR_ARGUMENTS_BAD}, 0)
	case 1:
		m.call("C_GetFunctionStatus", faults{ck.CKR_FUNCTION_NOT_PARALLEL}, h)
		m.call("C_CancelFunction", faults{ck.CKR_FUNCTION_NOT_PARALLEL}, h)
	case 2:
		m.call("C_AsyncComplete", faults{ck.CKR_FUNCTION_NOT_SUPPORTED}, h, 0, 0)
		m.call("C_AsyncGetID", faults{ck.CKR_FUNCTION_NOT_SUPPORTED}, h, 0, 0)
		m.call("C_AsyncJoin", faults{ck.CKR_FUNCTION_NOT_SUPPORTED}, h, 0, 0, 0, 0)
	case 3:
		flags := m.a.room(8)
		if m.call("C_GetSessionValidationFlags", f, h, uintptr(ck.CKS_LAST_VALIDATION_OK), flags.at) && flags.word(0) != 0 {
			m.t.Fatalf("validated: %#x", flags.word(0))
		}
	case 4:
		m.call("C_GetFunctionList", nil, m.a.words(0))
		m.call("C_GetInterfaceList", nil, 0, m.a.words(0))
		m.call("C_GetInterface", nil, 0, 0, m.a.words(0), 0)
	case 5:
		m.call("C_GetMechanismInfo", nil, m.slot, uintptr(ck.CKM_AES_GCM), m.a.room(24).at)
		m.call("C_GetMechanismInfo", faults{ck.CKR_MECHANISM_INVALID}, m.slot, 0x7fffffff, m.a.room(24).at)
		m.call("C_GetMechanismInfo", faults{ck.CKR_SLOT_ID_INVALID}, 999, uintptr(ck.CKM_AES_GCM), m.a.room(24).at)
	case 6:
		f.when(true, ck.CKR_RANDOM_SEED_NOT_SUPPORTED)
		m.call("C_SeedRandom", f, h, m.a.bytes([]byte("seed")), 4)
	}
}

func (m *machine) slots() {
	count := m.a.words(0)
	m.call("C_GetSlotList", nil, 1, 0, count)
	n := *m.a.at(count)
	*m.a.at(count) = n - 1
	m.call("C_GetSlotList", faults{ck.CKR_BUFFER_TOO_SMALL}, 1, m.a.room(64).at, count)
	m.call("C_GetSlotInfo", nil, m.slot, m.a.room(200).at)
	m.call("C_GetTokenInfo", nil, m.slot, m.a.room(300).at)
	m.call("C_GetTokenInfo", faults{ck.CKR_SLOT_ID_INVALID}, 999, m.a.room(300).at)
	*m.a.at(count) = 0
	m.call("C_GetMechanismList", nil, m.slot, 0, count)
	m.call("C_WaitForSlotEvent", faults{ck.CKR_NO_EVENT}, uintptr(ck.CKF_DONT_BLOCK), m.a.words(0), 0)
	if len(m.sessions) > 0 {
		m.call("C_InitToken", faults{ck.CKR_SESSION_EXISTS, ck.CKR_PIN_INCORRECT}, m.slot, m.a.bytes([]byte("nobody")), 6, m.a.room(32).at)
	}
}

func (m *machine) pins() {
	s, h, f := m.session()
	f.when(m.user != ck.CKU_SO, ck.CKR_USER_NOT_LOGGED_IN)
	pin := []byte(setting(m.t, "GREP11_PIN"))
	m.call("C_InitPIN", f, h, m.a.bytes(pin), uintptr(len(pin)))
	if s == nil || m.user == ck.CKU_SO {
		return
	}
	f = nil
	f.when(!s.rw, ck.CKR_SESSION_READ_ONLY)
	if len(f) == 0 && !m.oneIn(4) {
		return // slow
	}
	if m.call("C_SetPIN", f, h, m.a.bytes(pin), uintptr(len(pin)), m.a.bytes(pin), uintptr(len(pin))) {
		m.wrong[ck.CKU_USER] = 0
	}
}

func (m *machine) random() {
	_, h, f := m.session()
	n := m.r.IntN(100)
	m.call("C_GenerateRandom", f, h, m.a.room(n).at, uintptr(n))
	f.when(true, ck.CKR_ARGUMENTS_BAD)
	m.call("C_GenerateRandom", f, h, 0, 5)
}

// cancel is C_SessionCancel, for any set of kinds.
func (m *machine) cancel() {
	s, h, f := m.session()
	var flags ck.Flags
	for _, k := range kinds {
		if m.oneIn(4) {
			flags |= k.cancel
		}
	}
	for _, k := range processes {
		if m.oneIn(4) {
			flags |= k.cancel
		}
	}
	if m.oneIn(4) {
		flags |= ck.CKF_FIND_OBJECTS
	}
	if !m.call("C_SessionCancel", f, h, uintptr(flags)) {
		return
	}
	for _, k := range kinds {
		if flags&k.cancel != 0 {
			delete(s.ops, k.name)
		}
	}
	for _, k := range processes {
		if flags&k.cancel != 0 {
			delete(s.process, k.name)
		}
	}
	if flags&ck.CKF_FIND_OBJECTS != 0 {
		s.search, s.searches = nil, false
	}
}
