package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"grep11/pkcs11/ck"
)

// mobject is an object as the model has it.
type mobject struct {
	handle  uintptr
	kind    *mkind
	value   []byte    // of a secret key
	known   bool      // the machine knows the value: it made it
	owner   *msession // nil: in the token
	label   []byte
	private bool

	modifiable, copyable, destroyable bool
	extractable                       bool
	rights                            map[ck.AttributeType]bool
}

// visible tells whether a session sees an object now.
func (m *machine) visible(o *mobject) bool { return o != nil && (!o.private || m.user == ck.CKU_USER) }

// object picks one, or none: a handle that no object has, or has any more.
func (m *machine) object() (*mobject, uintptr) {
	if len(m.objects) == 0 || m.oneIn(15) {
		strange := append(slices.Clone(m.gone), 0, 4711, 1<<50, 1<<48|1<<40)
		return nil, strange[m.r.IntN(len(strange))]
	}
	o := m.objects[m.r.IntN(len(m.objects))]
	return o, o.handle
}

// objectOf picks one of a kind, most of the time.
func (m *machine) objectOf(kinds ...*mkind) (*mobject, uintptr) {
	var fit []*mobject
	for _, o := range m.objects {
		if slices.Contains(kinds, o.kind) {
			fit = append(fit, o)
		}
	}
	if len(fit) == 0 || m.oneIn(12) {
		return m.object()
	}
	o := fit[m.r.IntN(len(fit))]
	return o, o.handle
}

func (m *machine) forgetObjects(match func(*mobject) bool) {
	m.objects = slices.DeleteFunc(m.objects, func(o *mobject) bool {
		if !match(o) {
			return false
		}
		m.gone = append(m.gone, o.handle)
		return true
	})
	if len(m.gone) > 100 {
		m.gone = m.gone[50:]
	}
}

// newObject decides what an object shall be like, and gives its template.
func (m *machine) newObject(kind *mkind, s *msession) (*mobject, ck.Template) {
	o := &mobject{
		kind: kind, owner: s, label: m.label(), private: m.oneIn(3), modifiable: !m.oneIn(8), copyable: !m.oneIn(8),
		destroyable: true, extractable: m.oneIn(2), rights: map[ck.AttributeType]bool{},
	}
	if s == nil || m.oneIn(10) && m.inToken() < 8 {
		o.owner = nil
	} else {
		o.destroyable = !m.oneIn(10)
	}
	t := ck.Template{ck.Bytes(ck.CKA_LABEL, o.label), ck.Bool(ck.CKA_PRIVATE, o.private), ck.Bool(ck.CKA_TOKEN, o.owner == nil),
		ck.Bool(ck.CKA_MODIFIABLE, o.modifiable), ck.Bool(ck.CKA_COPYABLE, o.copyable), ck.Bool(ck.CKA_DESTROYABLE, o.destroyable)}
	for _, right := range kind.rights {
		o.rights[right] = !m.oneIn(6)
		t = append(t, ck.Bool(right, o.rights[right]))
	}
	if kind.hidden {
		t = append(t, ck.Bool(ck.CKA_EXTRACTABLE, o.extractable))
	}
	return o, t
}

func (m *machine) inToken() (n int) {
	for _, o := range m.objects {
		if o.owner == nil {
			n++
		}
	}
	return n
}

func (m *machine) label() []byte { return fmt.Appendf(nil, "%s %d", m.tag, m.r.IntN(4)) }

// mayMake are the faults of a session that makes or changes such an object.
func (m *machine) mayMake(f *faults, s *msession, inToken, private bool) {
	f.when(s != nil && inToken && !s.rw, ck.CKR_SESSION_READ_ONLY)
	f.when(private && m.user != ck.CKU_USER, ck.CKR_USER_NOT_LOGGED_IN)
}

// mistakes are what may be wrong with a template to make an object.
var mistakes = []struct {
	add ck.Attribute
	rv  ck.RV
}{
	{ck.Bytes(0x7ffffff0, []byte("x")), ck.CKR_ATTRIBUTE_TYPE_INVALID},
	{ck.Bytes(ck.CKA_DERIVE, []byte("three")), ck.CKR_ATTRIBUTE_VALUE_INVALID},
	{ck.Bool(ck.CKA_LOCAL, true), ck.CKR_ATTRIBUTE_READ_ONLY},
	{ck.Bool(ck.CKA_ALWAYS_SENSITIVE, true), ck.CKR_ATTRIBUTE_READ_ONLY},
	{ck.Bytes(ck.CKA_LABEL, []byte("another")), ck.CKR_TEMPLATE_INCONSISTENT},
	{ck.Bytes(ck.CKA_ISSUER, []byte("of a certificate")), ck.CKR_TEMPLATE_INCONSISTENT},
}

func (m *machine) createObject() {
	if len(m.objects) > 40 {
		m.destroyObject()
		return
	}
	s, h, f := m.session()
	kind := mkinds[m.r.IntN(len(mkinds))]
	if kind.keyType == ck.CKK_RSA && !m.oneIn(5) {
		kind = &aesKind // is quicker
	}
	o, t := m.newObject(kind, s)
	t = append(kind.template(m, o), t...)
	o.known = true
	m.mayMake(&f, s, o.owner == nil, o.private)
	if m.oneIn(15) && kind == &aesKind {
		wrong := mistakes[m.r.IntN(len(mistakes))]
		t = append(t.Without(ck.CKA_DERIVE), wrong.add)
		f.when(true, wrong.rv)
	}
	if m.oneIn(60) {
		t = t.Without(ck.CKA_CLASS)
		f.when(true, ck.CKR_TEMPLATE_INCOMPLETE)
	}
	place := m.a.words(0)
	if m.oneIn(60) {
		place = 0
		f.when(true, ck.CKR_ARGUMENTS_BAD)
	}
	at, n := m.a.template(t)
	if m.call("C_CreateObject", f, h, at, n, place) {
		m.keep(o, *m.a.at(place))
	}
}

// keep notes an object that was made.
func (m *machine) keep(o *mobject, handle uintptr) {
	o.handle = handle
	m.objects = append(m.objects, o)
}

func (m *machine) copyObject() {
	s, h, f := m.session()
	o, handle := m.object()
	f.when(!m.visible(o), ck.CKR_OBJECT_HANDLE_INVALID)
	made := &mobject{label: m.label()}
	t := ck.Template{ck.Bytes(ck.CKA_LABEL, made.label)}
	if o != nil {
		f.when(!o.copyable, ck.CKR_ACTION_PROHIBITED)
		label := made.label
		*made = *o
		made.label, made.rights = label, maps.Clone(o.rights)
		if made.owner != nil {
			made.owner = s
		}
		switch {
		case m.oneIn(6) && m.inToken() < 8 && o.destroyable:
			made.owner = nil
			t = append(t, ck.Bool(ck.CKA_TOKEN, true))
		case m.oneIn(3):
			made.owner = s
			t = append(t, ck.Bool(ck.CKA_TOKEN, false))
		}
		if m.oneIn(4) {
			made.private = true
			t = append(t, ck.Bool(ck.CKA_PRIVATE, true))
		}
		m.mayMake(&f, s, made.owner == nil, made.private)
	}
	place := m.a.words(0)
	at, n := m.a.template(t)
	if m.call("C_CopyObject", f, h, handle, at, n, place) {
		m.keep(made, *m.a.at(place))
	}
}

func (m *machine) destroyObject() {
	s, h, f := m.session()
	o, handle := m.object()
	f.when(!m.visible(o), ck.CKR_OBJECT_HANDLE_INVALID)
	if o != nil {
		f.when(!o.destroyable, ck.CKR_ACTION_PROHIBITED)
		f.when(s != nil && o.owner == nil && !s.rw, ck.CKR_SESSION_READ_ONLY)
	}
	if m.call("C_DestroyObject", f, h, handle) {
		m.forgetObjects(func(x *mobject) bool { return x == o })
		m.cancelUsers(o)
	}
}

// cancelUsers ends what was begun with a stored key that is no more: it may be
// refused from now on, or for a while go on.
func (m *machine) cancelUsers(o *mobject) {
	if o.owner != nil {
		return
	}
	for _, s := range m.sessions {
		for _, k := range kinds {
			if op := s.ops[k.name]; op != nil && op.key == o && m.init(k, nil, s.handle, 0, 0, nil) {
				delete(s.ops, k.name)
			}
		}
		for _, k := range processes {
			if p := s.process[k.name]; p != nil && p.key == o && m.call(k.init, nil, s.handle, 0, 0) {
				delete(s.process, k.name)
			}
		}
	}
}

func (m *machine) objectSize() {
	_, h, f := m.session()
	o, handle := m.object()
	f.when(!m.visible(o), ck.CKR_OBJECT_HANDLE_INVALID)
	m.call("C_GetObjectSize", f, h, handle, m.a.words(0))
}

// getAttributes asks for some attributes with room, some without and some with
// too little; each is answered for itself.
func (m *machine) getAttributes() {
	_, h, f := m.session()
	o, handle := m.object()
	f.when(!m.visible(o), ck.CKR_OBJECT_HANDLE_INVALID)
	var want ck.Template
	if o != nil {
		want = ck.Template{ck.Bytes(ck.CKA_LABEL, o.label), ck.Bool(ck.CKA_PRIVATE, o.private), ck.Bool(ck.CKA_TOKEN, o.owner == nil),
			ck.Bool(ck.CKA_MODIFIABLE, o.modifiable), ck.Bool(ck.CKA_COPYABLE, o.copyable), ck.Ulong(ck.CKA_CLASS, o.kind.class)}
		for right, on := range o.rights {
			want = append(want, ck.Bool(right, on))
		}
		m.r.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
		want = want[:1+m.r.IntN(len(want))]
	}
	var words []uintptr
	var rooms []region
	for _, a := range want {
		room := m.a.room(len(a.Value))
		switch m.r.IntN(12) {
		case 0:
			room.at, room.b = 0, nil
		case 1:
			room.b = room.b[:len(room.b)-1]
			f.when(true, ck.CKR_BUFFER_TOO_SMALL)
		}
		rooms = append(rooms, room)
		words = append(words, uintptr(a.Type), room.at, uintptr(len(room.b)))
	}
	for at, rv := range map[ck.AttributeType]ck.RV{ck.CKA_VALUE: ck.CKR_ATTRIBUTE_SENSITIVE, ck.CKA_ISSUER: ck.CKR_ATTRIBUTE_TYPE_INVALID} {
		if o != nil && m.oneIn(10) && o.kind.hidden && o.kind != &rsaPrivate {
			f.when(true, rv)
			words = append(words, uintptr(at), m.a.room(64).at, 64)
		}
	}
	at := m.a.words(words...)
	rv := m.ask("C_GetAttributeValue", h, handle, at, uintptr(len(words)/3))
	m.judge("C_GetAttributeValue", rv, f)
	if slices.Contains(f, ck.CKR_SESSION_HANDLE_INVALID) || !m.visible(o) {
		return
	}
	for i, a := range want {
		m.given(a, rooms[i], *m.a.at(at + uintptr(24*i+16)))
	}
}

// given compares one attribute's answer.
func (m *machine) given(a ck.Attribute, room region, told uintptr) {
	m.t.Helper()
	switch {
	case room.at == 0 || len(room.b) == len(a.Value):
		if told != uintptr(len(a.Value)) || room.at != 0 && !bytes.Equal(room.b, a.Value) {
			m.t.Fatalf("%v: %d bytes %x, want %x", a.Type, told, room.b, a.Value)
		}
	case told != ^uintptr(0):
		m.t.Fatalf("%v with too little room: length %d", a.Type, told)
	}
}

// setAttributes gives an object another label, or tries what may not be.
func (m *machine) setAttributes() {
	s, h, f := m.session()
	o, handle := m.object()
	f.when(!m.visible(o), ck.CKR_OBJECT_HANDLE_INVALID)
	label := m.label()
	t := ck.Template{ck.Bytes(ck.CKA_LABEL, label)}
	if o != nil {
		f.when(!o.modifiable, ck.CKR_ACTION_PROHIBITED)
		f.when(s != nil && o.owner == nil && !s.rw, ck.CKR_SESSION_READ_ONLY)
		if m.oneIn(5) {
			t = append(t, ck.Ulong(ck.CKA_CLASS, o.kind.class))
			f.when(true, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
		if m.oneIn(5) && o.kind.hidden {
			t = append(t, ck.Bool(ck.CKA_SENSITIVE, false))
			f.when(true, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
		if m.oneIn(5) && o.kind.hidden && !o.extractable {
			t = append(t, ck.Bool(ck.CKA_EXTRACTABLE, true))
			f.when(true, ck.CKR_ATTRIBUTE_READ_ONLY)
		}
	}
	at, n := m.a.template(t)
	if m.call("C_SetAttributeValue", f, h, handle, at, n) {
		o.label = label
	}
}

func (m *machine) findInit() {
	s, h, f := m.session()
	f.when(s != nil && s.searches, ck.CKR_OPERATION_ACTIVE)
	label := m.label()
	t := ck.Template{ck.Bytes(ck.CKA_LABEL, label)}
	match := func(o *mobject) bool { return bytes.Equal(o.label, label) }
	switch m.r.IntN(4) {
	case 0:
		inToken := m.oneIn(2)
		t = append(t, ck.Bool(ck.CKA_TOKEN, inToken))
		match = func(o *mobject) bool { return bytes.Equal(o.label, label) && (o.owner == nil) == inToken }
	case 1:
		private := m.oneIn(2)
		t = append(t, ck.Bool(ck.CKA_PRIVATE, private))
		match = func(o *mobject) bool { return bytes.Equal(o.label, label) && o.private == private }
	case 2:
		class := mkinds[m.r.IntN(len(mkinds))].class
		t = append(t, ck.Ulong(ck.CKA_CLASS, class))
		match = func(o *mobject) bool { return bytes.Equal(o.label, label) && o.kind.class == class }
	}
	at, n := m.a.template(t)
	if !m.call("C_FindObjectsInit", f, h, at, n) {
		return
	}
	s.searches, s.search = true, nil
	for _, o := range m.objects {
		if m.visible(o) && match(o) {
			s.search = append(s.search, o.handle)
		}
	}
}

func (m *machine) find() {
	s, h, f := m.session()
	if m.instead(s != nil && !s.searches, m.findInit) {
		return
	}
	f.when(s != nil && !s.searches, ck.CKR_OPERATION_NOT_INITIALIZED)
	most := m.r.IntN(5)
	handles, count := m.a.room(8*most), m.a.words(0)
	if !m.call("C_FindObjects", f, h, handles.at, uintptr(most), count) {
		return
	}
	n := int(*m.a.at(count))
	if n != min(most, len(s.search)) {
		m.t.Fatalf("found %d of %d, asked for %d", n, len(s.search), most)
	}
	for i := range n {
		at := slices.Index(s.search, handles.word(i))
		if at < 0 {
			m.t.Fatalf("found %#x, not one of %#x", handles.word(i), s.search)
		}
		s.search = slices.Delete(s.search, at, at+1)
	}
}

func (m *machine) findFinal() {
	s, h, f := m.session()
	if m.instead(s != nil && !s.searches, m.findInit) {
		return
	}
	f.when(s != nil && !s.searches, ck.CKR_OPERATION_NOT_INITIALIZED)
	if m.call("C_FindObjectsFinal", f, h) {
		s.searches, s.search = false, nil
	}
}
