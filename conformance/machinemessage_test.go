package conformance

import (
	"bytes"
	"crypto/cipher"

	"grep11/pkcs11/ck"
)

// pkind is a kind of message-based process.
type pkind struct {
	name, init, message, begin, next, final string
	cancel                                  ck.Flags
	right                                   ck.AttributeType
	mech                                    ck.MechanismType
	keys                                    []*mkind
	encrypts, decrypts, verifies            bool
}

var processes = []*pkind{
	{name: "encrypt", init: "C_MessageEncryptInit", message: "C_EncryptMessage", begin: "C_EncryptMessageBegin", next: "C_EncryptMessageNext", final: "C_MessageEncryptFinal",
		cancel: ck.CKF_MESSAGE_ENCRYPT, right: ck.CKA_ENCRYPT, mech: ck.CKM_AES_GCM, keys: aesKeys, encrypts: true},
	{name: "decrypt", init: "C_MessageDecryptInit", message: "C_DecryptMessage", begin: "C_DecryptMessageBegin", next: "C_DecryptMessageNext", final: "C_MessageDecryptFinal",
		cancel: ck.CKF_MESSAGE_DECRYPT, right: ck.CKA_DECRYPT, mech: ck.CKM_AES_GCM, keys: aesKeys, decrypts: true},
	{name: "sign", init: "C_MessageSignInit", message: "C_SignMessage", begin: "C_SignMessageBegin", next: "C_SignMessageNext", final: "C_MessageSignFinal",
		cancel: ck.CKF_MESSAGE_SIGN, right: ck.CKA_SIGN, mech: ck.CKM_SHA256_HMAC, keys: macKeys},
	{name: "verify", init: "C_MessageVerifyInit", message: "C_VerifyMessage", begin: "C_VerifyMessageBegin", next: "C_VerifyMessageNext", final: "C_MessageVerifyFinal",
		cancel: ck.CKF_MESSAGE_VERIFY, right: ck.CKA_VERIFY, mech: ck.CKM_SHA256_HMAC, keys: macKeys, verifies: true},
}

// mprocess is an active process, with its message in parts if there is one.
type mprocess struct {
	key     *mobject
	stale   bool
	message *mmessage
}

type mmessage struct {
	data, got []byte // what went in and came out
	sealed    []byte // of a decryption: a good ciphertext, without its tag
	tag       []byte
}

var message12 = []byte("a nonce of 1")

func sealer(key *mobject) cipher.AEAD { return aead(key) }

// process picks a session and a kind, with a process most of the time.
func (m *machine) process() (*msession, uintptr, faults, *pkind, *mprocess) {
	s, h, f := m.session()
	k := processes[m.r.IntN(len(processes))]
	if s == nil {
		return s, h, f, k, nil
	}
	for range 4 {
		if s.process[k.name] != nil {
			break
		}
		k = processes[m.r.IntN(len(processes))]
	}
	return s, h, f, k, s.process[k.name]
}

// life are the faults of a process at a call of it. inMessage: the call is for
// a message that is under way.
func (m *machine) processLife(f *faults, s *msession, k *pkind, p *mprocess, inMessage bool) {
	switch {
	case s == nil:
	case p == nil:
		f.when(true, ck.CKR_OPERATION_NOT_INITIALIZED)
	case p.stale:
		f.when(true, ck.CKR_USER_NOT_LOGGED_IN)
		delete(s.process, k.name)
	case inMessage && p.message == nil:
		f.when(true, ck.CKR_OPERATION_NOT_INITIALIZED)
	case !inMessage && p.message != nil:
		f.when(true, ck.CKR_OPERATION_ACTIVE)
	}
}

func (m *machine) messageInit() {
	s, h, f := m.session()
	k := processes[m.r.IntN(len(processes))]
	var old *mprocess
	if s != nil {
		old = s.process[k.name]
	}
	if m.oneIn(10) {
		f.when(old == nil, ck.CKR_ARGUMENTS_BAD)
		if m.call(k.init, f, h, 0, 0) {
			delete(s.process, k.name)
		}
		return
	}
	f.when(old != nil, ck.CKR_OPERATION_ACTIVE)
	key, at := m.objectOf(k.keys...)
	m.keyFaults(&f, key, k.keys, k.right)
	mech := k.mech
	if m.oneIn(20) {
		mech = ck.CKM_RSA_PKCS_KEY_PAIR_GEN
		f.when(true, ck.CKR_MECHANISM_INVALID)
	}
	if m.call(k.init, f, h, m.a.words(uintptr(mech), 0, 0), at) {
		s.process[k.name] = &mprocess{key: key}
	}
}

// gcmMessage is CK_GCM_MESSAGE_PARAMS.
func (m *machine) gcmMessage(tag region) (uintptr, uintptr) {
	return m.a.words(m.a.bytes(message12), 12, 0, uintptr(ck.CKG_NO_GENERATE), tag.at, 128), 48
}

func (m *machine) message() {
	s, h, f, k, p := m.process()
	if m.instead(s != nil && p == nil, m.messageInit) {
		return
	}
	m.processLife(&f, s, k, p, false)
	data := m.bytes(80)
	known := p != nil && len(f) == 0 && p.key.known
	at, n := m.a.bytes(data), uintptr(len(data))
	if k.verifies {
		sig := make([]byte, 32)
		if known {
			sig = mac(p.key, data)
		}
		if !known || m.oneIn(3) {
			sig[3] ^= 1
			f.when(p != nil && len(f) == 0, ck.CKR_SIGNATURE_INVALID)
		}
		m.call(k.message, f, h, 0, 0, at, n, m.a.bytes(sig), 32)
		return
	}
	o := m.output()
	if !k.encrypts && !k.decrypts {
		got, done := m.ended(k.message, m.ask(k.message, h, 0, 0, at, n, o.room.at, o.size), f, o)
		if done && got != nil && known && !bytes.Equal(got, mac(p.key, data)) {
			m.t.Fatalf("MAC %x", got)
		}
		return
	}
	m.messageCipher(k, p, h, f, data, known, o)
}

// messageCipher is C_EncryptMessage or C_DecryptMessage.
func (m *machine) messageCipher(k *pkind, p *mprocess, h uintptr, f faults, data []byte, known bool, o output) {
	tag := m.a.room(16)
	in, want := data, data
	if known {
		sealed := sealer(p.key).Seal(nil, message12, data, []byte("aad"))
		want = sealed
		if k.decrypts {
			in, want = sealed[:len(data)], data
			copy(tag.b, sealed[len(data):])
		}
	}
	if k.decrypts && (!known || m.oneIn(4)) {
		tag.b[0] ^= 1
		f.when(p != nil && len(f) == 0, ck.CKR_AEAD_DECRYPT_FAILED)
	}
	param, n := m.gcmMessage(tag)
	rv := m.ask(k.message, h, param, n, m.a.bytes([]byte("aad")), 3, m.a.bytes(in), uintptr(len(in)), o.room.at, o.size)
	got, done := m.ended(k.message, rv, f, o)
	if !done || got == nil || !known {
		return
	}
	if k.encrypts {
		got = append(got, tag.b...)
	}
	if !bytes.Equal(got, want) {
		m.t.Fatalf("%s: %x, want %x", k.message, got, want)
	}
}

func (m *machine) messageBegin() {
	s, h, f, k, p := m.process()
	if m.instead(s != nil && p == nil, m.messageInit) {
		return
	}
	m.processLife(&f, s, k, p, false)
	msg := &mmessage{}
	args := []uintptr{h, 0, 0}
	if k.encrypts || k.decrypts {
		tag := m.a.room(16)
		args[1], args[2] = m.gcmMessage(tag)
		args = append(args, m.a.bytes([]byte("aad")), 3)
		if k.decrypts && len(f) == 0 && p.key.known {
			sealed := sealer(p.key).Seal(nil, message12, m.bytes(80), []byte("aad"))
			msg.sealed, msg.tag = sealed[:len(sealed)-16], sealed[len(sealed)-16:]
		}
	}
	if m.call(k.begin, f, args...) {
		p.message = msg
	}
}

func (m *machine) messageNext() {
	s, h, f, k, p := m.process()
	if m.instead(s != nil && p == nil, m.messageInit) {
		return
	}
	m.processLife(&f, s, k, p, true)
	var msg *mmessage
	if p != nil && len(f) == 0 {
		msg = p.message
	}
	last := m.oneIn(3)
	if k.encrypts || k.decrypts {
		m.nextCipher(k, p, msg, h, f, last)
		return
	}
	part := m.bytes(40)
	args := []uintptr{h, 0, 0, m.a.bytes(part), uintptr(len(part))}
	var all []byte
	if msg != nil {
		all = append(bytes.Clone(msg.data), part...)
	}
	if k.verifies {
		sig := make([]byte, 32)
		if msg != nil && p.key.known {
			sig = mac(p.key, all)
		}
		if last && msg != nil && (!p.key.known || m.oneIn(3)) {
			sig[0] ^= 1
			f.when(true, ck.CKR_SIGNATURE_INVALID)
		}
		if last {
			args = append(args, m.a.bytes(sig), 32)
		} else {
			args = append(args, 0, 0)
		}
		ok := m.call(k.next, f, args...)
		m.messageWent(p, msg, part, nil, ok, last)
		return
	}
	if !last {
		ok := m.call(k.next, f, append(args, 0, 0)...)
		m.messageWent(p, msg, part, nil, ok, false)
		return
	}
	o := m.output()
	got, done := m.ended(k.next, m.ask(k.next, append(args, o.room.at, o.size)...), f, o)
	if msg == nil || !done {
		return
	}
	if got != nil && p.key.known && !bytes.Equal(got, mac(p.key, all)) {
		m.t.Fatalf("MAC %x", got)
	}
	p.message = nil
}

// messageWent notes a part.
func (m *machine) messageWent(p *mprocess, msg *mmessage, part, got []byte, ok, last bool) {
	if msg == nil {
		return
	}
	msg.data, msg.got = append(msg.data, part...), append(msg.got, got...)
	if !ok || last {
		p.message = nil
	}
}

func (m *machine) nextCipher(k *pkind, p *mprocess, msg *mmessage, h uintptr, f faults, last bool) {
	part := m.bytes(40)
	tag := m.a.room(16)
	good := false
	if msg != nil && k.decrypts && p.key.known {
		part = msg.sealed[len(msg.data):]
		if !last {
			part = part[:m.r.IntN(len(part)+1)]
		}
		copy(tag.b, msg.tag)
		good = true
	}
	if msg != nil && k.decrypts && last && (!good || m.oneIn(4)) {
		tag.b[0] ^= 1
		f.when(true, ck.CKR_AEAD_DECRYPT_FAILED)
	}
	var flags uintptr
	if last {
		flags = uintptr(ck.CKF_END_OF_MESSAGE)
	}
	param, n := m.gcmMessage(tag)
	o := m.output()
	got, done := m.ended(k.next, m.ask(k.next, h, param, n, m.a.bytes(part), uintptr(len(part)), o.room.at, o.size, flags), f, o)
	if msg == nil || !done {
		return
	}
	m.messageWent(p, msg, part, got, got != nil, last)
	if !last || got == nil || !p.key.known {
		return
	}
	want, all := sealer(p.key).Seal(nil, message12, msg.data, []byte("aad")), append(msg.got, tag.b...)
	if k.decrypts {
		want, _ = sealer(p.key).Open(nil, message12, append(bytes.Clone(msg.data), msg.tag...), []byte("aad"))
		all = msg.got
	}
	if !bytes.Equal(all, want) {
		m.t.Fatalf("%s: %x, want %x", k.next, all, want)
	}
}

func (m *machine) messageFinal() {
	s, h, f, k, p := m.process()
	if m.instead(s != nil && p == nil, m.messageInit) {
		return
	}
	if s != nil && p != nil && !p.stale {
		f.when(p.message != nil, ck.CKR_OPERATION_ACTIVE) // which ends it all the same
	} else {
		m.processLife(&f, s, k, p, false)
	}
	m.call(k.final, f, h)
	if s != nil {
		delete(s.process, k.name)
	}
}
