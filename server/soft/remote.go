package soft

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// remote is the secret half of a key that lives in a device, in place of its
// value. The device has an object of it from the first use until drop.
type remote struct {
	unit    *Unit
	kind    Kind
	master  Master // of the device
	wrapped []byte // under it
	check   []byte // CKA_CHECK_VALUE; nil: unknown
	size    int    // bytes of a secret key

	mu   sync.Mutex
	held map[ck.KeyType]Held // guarded by mu
}

// object is the key in the device.
func (r *remote) object() Held { return r.as(r.kind.Type) }

// as is a secret key in the device as one of another type: some devices make
// HMACs with generic secrets only.
func (r *remote) as(t ck.KeyType) Held {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.held[t]
	if h == nil {
		k := r.kind
		k.Type = t
		h = r.unit.dev.Unwrap(r.master, k, r.wrapped)
		if r.held == nil {
			r.held = map[ck.KeyType]Held{}
		}
		r.held[t] = h
	}
	return h
}

// copy is the same key for another blob.
func (r *remote) copy() *remote {
	if r == nil {
		return nil
	}
	return &remote{unit: r.unit, master: r.master, wrapped: r.wrapped, check: r.check, size: r.size}
}

// drop forgets the objects, if there are any.
func (r *remote) drop() {
	r.mu.Lock()
	all := r.held
	r.held = nil
	r.mu.Unlock()
	for _, h := range all {
		h.Forget()
	}
}

// anyUse is for objects that are there only to be wrapped, or to tell their check value.
const anyUse = unit.BitEncrypt | unit.BitDecrypt | unit.BitSign | unit.BitVerify | unit.BitDerive

// fresh describes a key that is about to be made.
func fresh(class ck.ObjectClass, typ ck.KeyType, n int) Kind {
	k := Kind{Class: class, Type: typ, Bits: anyUse, Len: n, Extractable: true}
	if class == ck.CKO_PRIVATE_KEY {
		k.Bits = unit.BitSign
	}
	return k
}

// keep makes a key of an object that was just made, and forgets the object.
func (u *Unit) keep(h Held, typ ck.KeyType, n int, spki []byte) (*key, error) {
	defer h.Forget()
	wk, err := u.sealing()
	if err != nil {
		return nil, err
	}
	w, err := h.Wrap(wk.WKID())
	if err != nil {
		return nil, err
	}
	k := &key{typ: typ, spki: spki, remote: &remote{unit: u, master: wk.WKID(), wrapped: w, size: n}}
	if spki == nil {
		k.remote.check, err = u.checkOf(h, typ, n)
	}
	return k, err
}

// zeroBlocks are encrypted for the check value of a block cipher's key.
var zeroBlocks = map[ck.KeyType]struct {
	ecb ck.MechanismType
	len int
}{ck.CKK_AES: {ck.CKM_AES_ECB, 16}, ck.CKK_DES2: {ck.CKM_DES3_ECB, 8}, ck.CKK_DES3: {ck.CKM_DES3_ECB, 8}}

// checkOf is the check value of a secret key; of other keys than block ciphers'
// a device may not know it.
func (u *Unit) checkOf(h Held, typ ck.KeyType, n int) ([]byte, error) {
	if z, ok := zeroBlocks[typ]; ok {
		b, err := h.Crypt(mech.Mechanism{Type: z.ecb}, mech.OpEncrypt, make([]byte, z.len))
		if err != nil {
			return nil, err
		}
		return b[:3], nil
	}
	t, err := h.Read(ck.CKA_CHECK_VALUE)
	if v := t.Bytes(ck.CKA_CHECK_VALUE); err == nil && len(v) == 3 {
		return v, nil
	}
	if unit.Faulty(err) || !u.inMemory {
		return nil, faultOnly(err)
	}
	value, err := u.reveal(h, n)
	if err != nil {
		return nil, err
	}
	defer value.Wipe()
	return (&key{typ: typ, value: value}).checkValue(), nil
}

func faultOnly(err error) error {
	if unit.Faulty(err) {
		return err
	}
	return nil
}

// seal: what is sealed of a remote key, and the device's MAC over that and the
// attribute bits.

const remoteFormat = 2

func (k *key) marshalRemote(m Master) ([]byte, error) {
	wrapped, err := k.wrappedUnder(m)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+len(k.remote.wrapped)+len(k.spki)))
	b.AddUint8(k.format(remoteFormat))
	k.marshalFacts(b)
	k.marshalRules(b)
	b.AddUint32(uint32(k.remote.size))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.remote.check) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(wrapped) })
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	mac, err := k.remote.unit.dev.MAC(m, maced(k.bits, body))
	return append(body, mac...), err
}

// wrappedUnder is the key as the device wraps it under a master key: as it came, or
// for another master key than that, wrapped again inside the device.
func (k *key) wrappedUnder(m Master) ([]byte, error) {
	if k.remote.master == m {
		return k.remote.wrapped, nil
	}
	h := k.wrappable()
	defer h.Forget()
	return h.Wrap(m)
}

// wrappable is the key as an object that may be wrapped, whatever its own rights
// are. The caller forgets it.
func (k *key) wrappable() Held {
	kind := k.kind()
	kind.Extractable = true
	return k.remote.unit.dev.Unwrap(k.remote.master, kind, k.remote.wrapped)
}

const lenRemoteMAC = 32

// maced is what the device's MAC is over.
func maced(bits unit.Bits, body []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("grep11 key"), uint64(bits)), body...)
}

func (u *Unit) unmarshalRemote(m Master, bits unit.Bits, sealed []byte) (*key, error) {
	n := len(sealed) - lenRemoteMAC
	if n < 1 {
		return nil, errSealedFormat
	}
	mac, err := u.dev.MAC(m, maced(bits, sealed[:n]))
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, sealed[n:]) {
		return nil, fmt.Errorf("key blob was altered: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	s := cryptobyte.String(sealed[:n])
	k, err := unmarshalFacts(bits, &s, remoteFormat)
	if err != nil {
		return nil, err
	}
	var size uint32
	var check, wrapped cryptobyte.String
	if !s.ReadUint32(&size) || !s.ReadUint8LengthPrefixed(&check) || !s.ReadUint24LengthPrefixed(&wrapped) || !s.Empty() {
		return nil, errSealedFormat
	}
	k.remote = &remote{unit: u, master: m, wrapped: wrapped, check: bytes.Clone(check), size: int(size)}
	k.remote.kind = k.kind()
	return k, nil
}

// kind is how the device is to open the key.
func (k *key) kind() Kind {
	return Kind{Class: k.class, Type: k.typ, Bits: k.bits, Extractable: k.bits.Has(unit.BitExtractable)}
}

// secret is the value of a key whose value may be had: of one in a device, read
// from there.
func (k *key) secret(u *Unit) (ck.Secret, error) {
	if k.remote == nil {
		return append(ck.Secret(nil), k.value...), nil
	}
	h := k.wrappable()
	defer h.Forget()
	plain, err := u.reveal(h, k.remote.size)
	if err != nil || k.class == ck.CKO_SECRET_KEY {
		return plain, err
	}
	defer plain.Wipe()
	value, _, err := importPKCS8(plain)
	return value, err
}

// passage is a wrapping key that both sides know, for one key to pass between
// device and memory.
func (u *Unit) passage(use unit.Bits) (Held, *key, error) {
	k := &key{typ: ck.CKK_AES, value: make(ck.Secret, 32)}
	rand.Read(k.value)
	h, err := u.dev.Take(Kind{Class: ck.CKO_SECRET_KEY, Type: ck.CKK_AES, Bits: use}, ck.Template{ck.Bytes(ck.CKA_VALUE, k.value)})
	return h, k.wipeLater(), err
}

var kwp = mech.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}

// reveal reads a key that may be wrapped: a secret's n bytes, or with n 0 a
// private key's PKCS#8.
func (u *Unit) reveal(h Held, n int) (ck.Secret, error) {
	p, k, err := u.passage(unit.BitWrap)
	if err != nil {
		return nil, err
	}
	defer p.Forget()
	w, err := p.Export(kwp, h)
	if err != nil {
		return nil, err
	}
	plain, err := cryptKWP(k, kwp, mech.OpDecrypt, w)
	if err == nil && u.dev.PadsKeys() {
		return unfilled(plain, n)
	}
	return plain, err
}

// unfilled takes the zeros off that a device fills keys with.
func unfilled(plain ck.Secret, n int) (ck.Secret, error) {
	if n == 0 {
		s, der := cryptobyte.String(plain), cryptobyte.String(nil)
		if !s.ReadASN1Element(&der, asn1.SEQUENCE) {
			return nil, badPKCS8("not DER")
		}
		n = len(der)
	}
	if n > len(plain) {
		return nil, fmt.Errorf("wrapped key of %d bytes instead of %d: %w", len(plain), n, ck.CKR_DEVICE_ERROR)
	}
	return plain[:n], nil
}

// passIn makes an object of a value in memory, a private key's as PKCS#8.
func (u *Unit) passIn(clearText []byte, k Kind) (Held, error) {
	p, kek, err := u.passage(unit.BitUnwrap)
	if err != nil {
		return nil, err
	}
	defer p.Forget()
	w, err := cryptKWP(kek, kwp, mech.OpEncrypt, clearText)
	if err != nil {
		return nil, err
	}
	return p.Import(kwp, w, k)
}

// moveIn puts a key whose value is in memory into the device.
func (u *Unit) moveIn(k *key) error {
	if !u.inMemory {
		return fmt.Errorf("the key's value is outside the HSM, and keys_in_memory is off: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
	}
	clearText, err := k.exported()
	if err != nil {
		return err
	}
	if k.class == ck.CKO_PRIVATE_KEY {
		defer clear(clearText)
	}
	h, err := u.passIn(clearText, fresh(k.class, k.typ, 0))
	if err != nil {
		return err
	}
	n := len(k.value)
	check := []byte(nil)
	if k.class == ck.CKO_SECRET_KEY {
		check = k.checkValue()
	}
	defer h.Forget()
	wk, err := u.sealing()
	if err != nil {
		return err
	}
	wrapped, err := h.Wrap(wk.WKID())
	if err != nil {
		return err
	}
	k.remote = &remote{unit: u, master: wk.WKID(), wrapped: wrapped, check: check, size: n}
	k.value.Wipe()
	k.value = nil
	return nil
}
