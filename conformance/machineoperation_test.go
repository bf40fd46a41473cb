package conformance

import (
	"bytes"
	"maps"
	"slices"

	"grep11/pkcs11/ck"
)

// okind is a kind of operation: its functions, and what it works with.
type okind struct {
	name                string
	whole, update, last string // functions; init is name + "Init"
	cancel              ck.Flags
	right               ck.AttributeType
	schemes             []*scheme
	makes               bool // whole and last give something
	streams             bool // update gives something, too
	verifies            bool // whole and last are given a signature
	knows               bool // Init is given it
	saves               bool // C_GetOperationState holds it
}

var kinds = []*okind{
	{name: "C_Digest", whole: "C_Digest", update: "C_DigestUpdate", last: "C_DigestFinal", cancel: ck.CKF_DIGEST, schemes: digests, makes: true, saves: true},
	{name: "C_Encrypt", whole: "C_Encrypt", update: "C_EncryptUpdate", last: "C_EncryptFinal", cancel: ck.CKF_ENCRYPT, right: ck.CKA_ENCRYPT, schemes: encryptions, makes: true, streams: true, saves: true},
	{name: "C_Decrypt", whole: "C_Decrypt", update: "C_DecryptUpdate", last: "C_DecryptFinal", cancel: ck.CKF_DECRYPT, right: ck.CKA_DECRYPT, schemes: decryptions, makes: true, streams: true, saves: true},
	{name: "C_Sign", whole: "C_Sign", update: "C_SignUpdate", last: "C_SignFinal", cancel: ck.CKF_SIGN, right: ck.CKA_SIGN, schemes: signatures, makes: true, saves: true},
	{name: "C_Verify", whole: "C_Verify", update: "C_VerifyUpdate", last: "C_VerifyFinal", cancel: ck.CKF_VERIFY, right: ck.CKA_VERIFY, schemes: verifications, verifies: true, saves: true},
	{name: "C_SignRecover", whole: "C_SignRecover", cancel: ck.CKF_SIGN_RECOVER, right: ck.CKA_SIGN_RECOVER, schemes: recoverSigns, makes: true},
	{name: "C_VerifyRecover", whole: "C_VerifyRecover", cancel: ck.CKF_VERIFY_RECOVER, right: ck.CKA_VERIFY_RECOVER, schemes: recoveries, makes: true},
	{name: "C_VerifySignature", whole: "C_VerifySignature", update: "C_VerifySignatureUpdate", last: "C_VerifySignatureFinal", cancel: ck.CKF_VERIFY, right: ck.CKA_VERIFY, schemes: verifications, verifies: true, knows: true},
}

// mop is an active operation.
type mop struct {
	kind   *okind
	scheme *scheme
	key    *mobject // nil for digests

	once  bool // all data at once: asked for a length
	parts bool // an update was made
	stale bool // the login that its key needs is over

	data, got []byte // what went in and came out
	rest      []byte // of a good ciphertext that goes in, in parts
	sig       []byte // that was given to Init
	dark      bool   // a key was digested whose value nobody knows
}

func (s *msession) hasKeyOperation() bool {
	return len(s.process) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(s.ops)), func(op *mop) bool { return op.key != nil })
}

// pick picks a session and a kind, with an operation most of the time.
func (m *machine) pick(fits func(*okind) bool) (*msession, uintptr, faults, *okind, *mop) {
	s, h, f := m.session()
	var candidates []*okind
	for _, k := range kinds {
		if fits(k) && (s == nil || s.ops[k.name] != nil || m.oneIn(20)) {
			candidates = append(candidates, k)
		}
	}
	if len(candidates) == 0 {
		candidates = kinds[:1]
	}
	k := candidates[m.r.IntN(len(candidates))]
	if s == nil {
		return s, h, f, k, nil
	}
	return s, h, f, k, s.ops[k.name]
}

// instead does something else, most of the times that a call would be refused
// for want of it.
func (m *machine) instead(wanting bool, do func()) bool {
	if !wanting || m.oneIn(8) {
		return false
	}
	do()
	return true
}

func (m *machine) begin() {
	s, h, f := m.session()
	k := kinds[m.r.IntN(len(kinds))]
	var old *mop
	if s != nil {
		old = s.ops[k.name]
	}
	if m.oneIn(10) {
		f.when(old == nil, ck.CKR_ARGUMENTS_BAD)
		if m.init(k, f, h, 0, 0, nil) {
			delete(s.ops, k.name)
		}
		return
	}
	f.when(old != nil, ck.CKR_OPERATION_ACTIVE)
	op := &mop{kind: k, scheme: k.schemes[m.r.IntN(len(k.schemes))]}
	var key uintptr
	if k.right != 0 {
		op.key, key = m.objectOf(op.scheme.keys...)
		m.keyFaults(&f, op.key, op.scheme.keys, k.right)
	}
	mechanism := m.a.words(uintptr(op.scheme.mech), 0, 0)
	if op.scheme.param != nil {
		at, n := op.scheme.param(m.a)
		mechanism = m.a.words(uintptr(op.scheme.mech), at, n)
	}
	switch {
	case m.oneIn(30):
		*m.a.at(mechanism) = uintptr(ck.CKM_RSA_PKCS_KEY_PAIR_GEN) // for another function
		*m.a.at(mechanism + 8), *m.a.at(mechanism + 16) = 0, 0
		f.when(true, ck.CKR_MECHANISM_INVALID)
	case m.oneIn(30):
		*m.a.at(mechanism + 8), *m.a.at(mechanism + 16) = m.a.bytes([]byte("seven b")), 7
		f.when(true, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	if k.knows && op.key != nil {
		op.sig = m.signature(op, []byte("known"))
	}
	if m.init(k, f, h, mechanism, key, op.sig) {
		s.ops[k.name] = op
	}
}

// keyFaults are those of a key that is wanted for something.
func (m *machine) keyFaults(f *faults, key *mobject, fit []*mkind, right ck.AttributeType) {
	if !m.visible(key) || key.kind == &dataKind {
		f.when(true, ck.CKR_KEY_HANDLE_INVALID)
		return
	}
	f.when(!slices.Contains(fit, key.kind), ck.CKR_KEY_TYPE_INCONSISTENT)
	f.when(!key.rights[right], ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
}

func (m *machine) init(k *okind, f faults, h, mechanism, key uintptr, sig []byte) bool {
	switch {
	case k.right == 0:
		return m.call(k.name+"Init", f, h, mechanism)
	case k.knows:
		return m.call(k.name+"Init", f, h, mechanism, key, m.a.bytes(sig), uintptr(len(sig)))
	}
	return m.call(k.name+"Init", f, h, mechanism, key)
}

// signature is a right one over data, where the machine can make it, or a wrong one.
func (m *machine) signature(op *mop, data []byte) []byte {
	if op.key == nil || !op.key.known || !slices.Contains(op.scheme.keys, op.key.kind) || op.scheme.back == nil {
		return make([]byte, 32)
	}
	sig := op.scheme.back(op.key, data)
	if m.oneIn(3) && len(sig) > 0 {
		sig[m.r.IntN(len(sig))] ^= 1
	}
	return sig
}

func (m *machine) bytes(most int) []byte {
	b := make([]byte, m.r.IntN(most+1))
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// input is data for a call that takes it all.
func (m *machine) input(op *mop) []byte {
	data := m.bytes(100)
	if op == nil {
		return data
	}
	if op.kind.knows {
		data = []byte("known")
	}
	if op.kind.name == "C_Encrypt" && m.oneIn(2) {
		data = data[:len(data)/16*16]
	}
	if op.kind.makes && op.scheme.back != nil && op.key.known && !m.oneIn(5) {
		return op.scheme.back(op.key, data)
	}
	return data
}

// output is where a result goes.
type output struct {
	room region
	size uintptr // where its length is
	n    int     // that length before the call
}

// output asks for the length, brings too little room, or enough.
func (m *machine) output() output {
	n := 0
	room := region{}
	switch m.r.IntN(5) {
	case 0:
	case 1:
		n = m.r.IntN(30)
		room = m.a.room(n)
	default:
		n = 1000
		room = m.a.room(n)
	}
	return output{room, m.a.words(uintptr(n)), n}
}

// ended tells whether a call that gives something gave it: then told is all of
// it. A length query and a short buffer leave everything as it was.
func (m *machine) ended(name string, rv ck.RV, f faults, o output) (got []byte, done bool) {
	m.t.Helper()
	if slices.Contains(f, ck.CKR_SESSION_HANDLE_INVALID) {
		m.judge(name, rv, f)
		return nil, false
	}
	told := int(*m.a.at(o.size))
	switch {
	case rv == ck.CKR_OK && o.room.at == 0 && m.foretold(f):
		return nil, false
	case rv == ck.CKR_BUFFER_TOO_SMALL && o.room.at != 0 && m.foretold(f):
		if told <= o.n || o.n == 1000 {
			m.t.Fatalf("%s: %d bytes are too few for %d", name, o.n, told)
		}
		return nil, false
	}
	m.judge(name, rv, f)
	if rv != ck.CKR_OK {
		return nil, true
	}
	if told > o.n {
		m.t.Fatalf("%s: %d bytes in a buffer of %d", name, told, o.n)
	}
	return bytes.Clone(o.room.b[:told]), true
}

// foretold tells whether a fault shows before there is a result: a length may be
// told of what would fail.
func (m *machine) foretold(f faults) bool {
	return !slices.ContainsFunc(f, func(rv ck.RV) bool {
		switch rv {
		case ck.CKR_OPERATION_NOT_INITIALIZED, ck.CKR_OPERATION_ACTIVE, ck.CKR_USER_NOT_LOGGED_IN:
			return true
		}
		return false
	})
}

// life are the faults of an operation at a call of it.
func (op *mop) life(f *faults, in, parts bool) {
	switch {
	case op == nil:
		f.when(in, ck.CKR_OPERATION_NOT_INITIALIZED)
	case op.stale:
		f.when(true, ck.CKR_USER_NOT_LOGGED_IN)
	default:
		f.when(parts && op.once || !parts && op.parts, ck.CKR_OPERATION_ACTIVE)
	}
}

func (m *machine) whole() {
	s, h, f, k, op := m.pick(func(*okind) bool { return true })
	if m.instead(s != nil && op == nil, m.begin) {
		return
	}
	op.life(&f, s != nil, false)
	data := m.input(op)
	if k.verifies {
		m.verify(k.whole, s, k, op, f, h, data)
		return
	}
	o := m.output()
	want, unsure := m.result(op, data, &f)
	if m.oneIn(60) {
		f.when(true, ck.CKR_ARGUMENTS_BAD)
		o.size = 0
		m.judge(k.whole, m.ask(k.whole, h, m.a.bytes(data), uintptr(len(data)), o.room.at, o.size), f)
		if s != nil {
			delete(s.ops, k.name)
		}
		return
	}
	got, done := m.ended(k.whole, m.ask(k.whole, h, m.a.bytes(data), uintptr(len(data)), o.room.at, o.size), f, o)
	m.conclude(s, k, op, data, nil, got, want, done, unsure)
}

// result foretells what an operation makes of data, and what goes wrong. unsure:
// nobody knows the key.
func (m *machine) result(op *mop, data []byte, f *faults) (want []byte, unsure bool) {
	if op == nil || len(*f) > 0 {
		return nil, true
	}
	if op.dark || op.key != nil && !op.key.known {
		f.unknown(op, data)
		return nil, true
	}
	want, rv := op.scheme.run(op.key, data)
	f.when(rv != 0, rv)
	return want, false
}

// unknown are the faults of an operation with a key that nobody knows: lengths
// alone can be told. What decrypts so is left to the module to say.
func (f *faults) unknown(op *mop, data []byte) {
	if op.kind.name == "C_Decrypt" && op.scheme.mech != ck.CKM_AES_CBC {
		*f = append(*f, ck.CKR_ENCRYPTED_DATA_INVALID, ck.CKR_ENCRYPTED_DATA_LEN_RANGE, ck.CKR_OK)
		return
	}
	any16 := op.scheme.mech == ck.CKM_AES_CBC && len(data)%16 != 0
	f.when(any16 && op.kind.name == "C_Encrypt", ck.CKR_DATA_LEN_RANGE)
	f.when(any16 && op.kind.name == "C_Decrypt", ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

// conclude ends an operation that is done, and compares its results.
func (m *machine) conclude(s *msession, k *okind, op *mop, data, before, got, want []byte, done, unsure bool) {
	m.t.Helper()
	if s == nil || op == nil {
		return
	}
	if !done {
		op.once = op.once || before == nil && !op.parts
		return
	}
	delete(s.ops, k.name)
	all := append(before, got...)
	switch {
	case got == nil || unsure:
	case op.scheme.good != nil:
		if !op.scheme.good(data, all) {
			m.t.Fatalf("%v: %x does not verify", op.scheme.mech, all)
		}
	case !bytes.Equal(all, want):
		m.t.Fatalf("%v: %x, want %x", op.scheme.mech, all, want)
	}
}

// verify is the end of a verification.
func (m *machine) verify(name string, s *msession, k *okind, op *mop, f faults, h uintptr, data []byte) {
	sig := []byte("no signature")
	total := data
	if op != nil {
		total = append(bytes.Clone(op.data), data...)
		if sig = op.sig; !k.knows {
			sig = m.signature(op, total)
		}
		if len(f) == 0 && !op.right(total, sig) {
			f = append(f, ck.CKR_SIGNATURE_INVALID, ck.CKR_SIGNATURE_LEN_RANGE)
		}
	}
	args := []uintptr{h}
	if name == k.whole {
		args = append(args, m.a.bytes(data), uintptr(len(data)))
	}
	if !k.knows {
		args = append(args, m.a.bytes(sig), uintptr(len(sig)))
	}
	m.judge(name, m.ask(name, args...), f)
	if s != nil {
		delete(s.ops, k.name)
	}
}

// right tells whether a signature is: by making one, or by verifying.
func (op *mop) right(data, sig []byte) bool {
	switch {
	case !op.key.known:
		return false
	case op.scheme.mech == ck.CKM_ECDSA_SHA256:
		return goodECDSA(data, sig)
	}
	return bytes.Equal(op.scheme.back(op.key, data), sig)
}

func (m *machine) update() {
	s, h, f, k, op := m.pick(func(k *okind) bool { return k.update != "" })
	if m.instead(s != nil && op == nil, m.begin) {
		return
	}
	op.life(&f, s != nil, true)
	part := m.part(op)
	if m.oneIn(60) {
		f.when(true, ck.CKR_ARGUMENTS_BAD)
		m.judge(k.update, m.ask(k.update, h, 0, 5, 0, 0), f)
		if s != nil {
			delete(s.ops, k.name)
		}
		return
	}
	if !k.streams {
		if m.call(k.update, f, h, m.a.bytes(part), uintptr(len(part))) {
			op.take(part, nil)
		} else if s != nil {
			delete(s.ops, k.name)
		}
		return
	}
	o := m.output()
	got, done := m.ended(k.update, m.ask(k.update, h, m.a.bytes(part), uintptr(len(part)), o.room.at, o.size), f, o)
	switch {
	case s == nil || !done:
	case got == nil:
		delete(s.ops, k.name)
	default:
		op.take(part, got)
	}
}

// part is data for one part: of a ciphertext, the next bytes of a good one.
func (m *machine) part(op *mop) []byte {
	if op == nil || op.kind.name != "C_Decrypt" || !op.key.known {
		return m.bytes(60)
	}
	if len(op.data) == 0 && op.rest == nil {
		op.rest = op.scheme.back(op.key, m.bytes(100))
	}
	if m.oneIn(20) {
		return m.bytes(20)
	}
	return op.rest[:m.r.IntN(len(op.rest)+1)]
}

func (op *mop) take(part, got []byte) {
	op.parts = true
	op.data, op.got = append(op.data, part...), append(op.got, got...)
	op.rest = bytes.TrimPrefix(op.rest, part)
}

func (m *machine) final() {
	s, h, f, k, op := m.pick(func(k *okind) bool { return k.last != "" })
	if m.instead(s != nil && op == nil, m.begin) {
		return
	}
	op.life(&f, s != nil, true)
	if k.verifies {
		m.verify(k.last, s, k, op, f, h, nil)
		return
	}
	o := m.output()
	var data, before, want []byte
	unsure := true
	if op != nil {
		data, before = op.data, append([]byte{}, op.got...)
		want, unsure = m.result(op, data, &f)
	}
	got, done := m.ended(k.last, m.ask(k.last, h, o.room.at, o.size), f, o)
	m.conclude(s, k, op, data, before, got, want, done, unsure)
}

// duals are the functions that drive a cipher and another operation.
var duals = []struct {
	name, cipher, other string
}{
	{"C_DigestEncryptUpdate", "C_Encrypt", "C_Digest"}, {"C_DecryptDigestUpdate", "C_Decrypt", "C_Digest"},
	{"C_SignEncryptUpdate", "C_Encrypt", "C_Sign"}, {"C_DecryptVerifyUpdate", "C_Decrypt", "C_Verify"},
}

func (m *machine) dual() {
	s, h, f := m.session()
	d := duals[m.r.IntN(len(duals))]
	var cipher, other *mop
	if s != nil {
		cipher, other = s.ops[d.cipher], s.ops[d.other]
	}
	// The other operation is looked at first; what is wrong with one ends it.
	blamed := d.other
	other.life(&f, s != nil, true)
	if len(f) == 0 {
		blamed = d.cipher
		cipher.life(&f, s != nil, true)
	}
	part := m.part(cipher)
	o := m.output()
	got, done := m.ended(d.name, m.ask(d.name, h, m.a.bytes(part), uintptr(len(part)), o.room.at, o.size), f, o)
	switch {
	case s == nil || !done:
	case got == nil:
		delete(s.ops, blamed)
	case d.cipher == "C_Encrypt":
		cipher.take(part, got)
		other.take(part, nil)
	default:
		cipher.take(part, got)
		other.take(got, nil)
		other.dark = other.dark || !cipher.key.known
	}
}

func (m *machine) digestKey() {
	s, h, f := m.session()
	var op *mop
	if s != nil {
		op = s.ops["C_Digest"]
	}
	key, at := m.objectOf(&aesKind, &macKind)
	op.life(&f, s != nil, true)
	over := len(f) > 0
	switch {
	case !m.visible(key) || key.kind == &dataKind:
		f.when(true, ck.CKR_KEY_HANDLE_INVALID)
	case key.kind.class != ck.CKO_SECRET_KEY:
		f.when(true, ck.CKR_KEY_INDIGESTIBLE)
		over = true
	}
	if op != nil && len(op.data) > 4000 {
		return // what came before has grown too long to be digested again
	}
	ok := m.call("C_DigestKey", f, h, at)
	switch {
	case ok:
		op.take(key.value, nil)
		op.dark = op.dark || !key.known
	case over && op != nil:
		delete(s.ops, "C_Digest")
	}
}
