package conformance

import (
	"bytes"
	"slices"

	"grep11/pkcs11/ck"
)

// mstate is a saved state of operations, and what was in it.
type mstate struct {
	bytes []byte
	state ck.State
	ops   []*mop
}

func (op *mop) clone() *mop {
	c := *op
	c.data, c.got, c.rest = bytes.Clone(op.data), bytes.Clone(op.got), bytes.Clone(op.rest)
	return &c
}

func (m *machine) saveState() {
	s, h, f := m.session()
	saved := &mstate{}
	if s != nil {
		saved.state = m.state(s)
		for _, op := range s.ops {
			if op.kind.saves {
				saved.ops = append(saved.ops, op.clone())
			}
		}
		f.when(len(saved.ops) == 0, ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	size := m.a.words(0)
	if !m.call("C_GetOperationState", f, h, 0, size) {
		return
	}
	n := *m.a.at(size)
	*m.a.at(size) = n - 1
	m.call("C_GetOperationState", faults{ck.CKR_BUFFER_TOO_SMALL}, h, m.a.room(int(n-1)).at, size)
	room := m.a.room(int(n))
	*m.a.at(size) = n
	if m.call("C_GetOperationState", f, h, room.at, size) {
		saved.bytes = bytes.Clone(room.b[:*m.a.at(size)])
		if m.states = append(m.states, saved); len(m.states) > 5 {
			m.states = m.states[1:]
		}
	}
}

func (m *machine) restoreState() {
	s, h, f := m.session()
	if len(m.states) == 0 || m.oneIn(6) {
		f.when(true, ck.CKR_SAVED_STATE_INVALID)
		m.call("C_SetOperationState", f, h, m.a.bytes([]byte("no state")), 8, 0, 0)
		return
	}
	saved := m.states[m.r.IntN(len(m.states))]
	wrong := s != nil && saved.state != m.state(s)
	f.when(wrong, ck.CKR_SAVED_STATE_INVALID)
	cipher := slices.ContainsFunc(saved.ops, func(op *mop) bool { return op.kind.streams })
	var given uintptr
	if m.oneIn(8) {
		given = 4711
		f.when(cipher, ck.CKR_KEY_CHANGED)
		f.when(!cipher, ck.CKR_KEY_NOT_NEEDED)
		wrong = true
	}
	lost := slices.ContainsFunc(saved.ops, func(op *mop) bool {
		return op.key != nil && (!m.visible(op.key) || !slices.Contains(m.objects, op.key))
	})
	f.when(lost, ck.CKR_SAVED_STATE_INVALID)
	ok := m.call("C_SetOperationState", f, h, m.a.bytes(saved.bytes), uintptr(len(saved.bytes)), given, 0)
	if s == nil || wrong {
		return
	}
	// What was active is cancelled, even if a key is no more.
	s.ops, s.process, s.search, s.searches = map[string]*mop{}, map[string]*mprocess{}, nil, false
	for _, op := range saved.ops {
		if ok {
			c := op.clone()
			c.stale = false
			s.ops[op.kind.name] = c
		}
	}
}
