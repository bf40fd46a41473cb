package hsm

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/server/soft"
	"grep11/server/unit"
)

// wrapping is how keys are wrapped under the master key: the first of these that
// the HSM has. Its number is kept with each wrapped key.
type wrapping struct {
	mech  ck.MechanismType
	lenIV int
}

// ckmKeyWrapPad is CKM_AES_KEY_WRAP_PAD. Some HSMs have RFC 5649 under this
// number, others a padding of their own; both do for a key that comes back to them.
const ckmKeyWrapPad = ck.MechanismType(0x210A)

var wrappings = []wrapping{{ck.CKM_AES_KEY_WRAP_KWP, 0}, {ckmKeyWrapPad, 0}, {ck.CKM_AES_CBC_PAD, 16}}

const wraps = ck.CKF_WRAP | ck.CKF_UNWRAP

// chooseWrapping takes the best that the HSM has.
func (c *connection) chooseWrapping() error {
	for _, w := range wrappings {
		if c.uses[w.mech]&wraps == wraps {
			c.wrapping = w
			return nil
		}
	}
	return fmt.Errorf("the HSM has none of %v, 0x210A and %v to wrap and unwrap: %w",
		ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_CBC_PAD, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

func known(t ck.MechanismType) (wrapping, bool) {
	for _, w := range wrappings {
		if w.mech == t {
			return w, true
		}
	}
	return wrapping{}, false
}

// master is a master key: two keys in the HSM, and the wrapping key outside that
// stands for them. A connection's does not change.
type master struct {
	aes, mac pkcs11.ObjectHandle
	wk       *unit.WrappingKey
}

// of finds a master key by its id.
func (c *connection) of(id soft.Master) (*master, error) {
	for _, m := range []*master{c.current, c.next} {
		if m != nil && m.wk.WKID() == id {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no master key %x in the HSM: %w", id, ck.CKR_IBM_WKID_MISMATCH)
}

// wrapUnder wraps a key under a master key's AES key: mechanism, IV, wrapped key.
func (c *connection) wrapUnder(s pkcs11.SessionHandle, kek pkcs11.ObjectHandle, iv []byte, key pkcs11.ObjectHandle) ([]byte, error) {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(c.wrapping.mech)), iv...)
	w, err := c.WrapKey(s, mechanism(c.wrapping.mech, iv), kek, key)
	if err != nil {
		return nil, fmt.Errorf("wrap under the master key: %w", rv(err))
	}
	return append(out, w...), nil
}

// wrap is wrapUnder with a fresh IV.
func (c *connection) wrap(s pkcs11.SessionHandle, kek, key pkcs11.ObjectHandle) ([]byte, error) {
	iv := make([]byte, c.wrapping.lenIV)
	rand.Read(iv)
	return c.wrapUnder(s, kek, iv, key)
}

// unwrap makes a session object of what wrap gave.
func (c *connection) unwrap(s pkcs11.SessionHandle, kek pkcs11.ObjectHandle, wrapped []byte, t []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if len(wrapped) < 4 {
		return 0, fmt.Errorf("wrapped key of %d bytes: %w", len(wrapped), ck.CKR_IBM_BLOB_ERROR)
	}
	w, ok := known(ck.MechanismType(binary.BigEndian.Uint32(wrapped)))
	if !ok || len(wrapped) <= 4+w.lenIV {
		return 0, fmt.Errorf("key is wrapped by a mechanism nobody has: %w", ck.CKR_IBM_BLOB_ERROR)
	}
	o, err := c.UnwrapKey(s, mechanism(w.mech, wrapped[4:4+w.lenIV]), kek, wrapped[4+w.lenIV:], t)
	if err != nil {
		return 0, fmt.Errorf("unwrap under the master key: %w", rv(err))
	}
	return o, nil
}

// masterKeys describe the two keys of one label.
func masterKeys(label string) (aes, mac []*pkcs11.Attribute) {
	aes = append(attributes(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_AES)}), labelled(label))
	mac = append(attributes(ck.Template{ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET)}), labelled(label))
	return aes, mac
}

// masterKey finds the two keys of a label, and makes what stands for them.
func (c *connection) masterKey(label string) (m *master, err error) {
	aes, mac := masterKeys(label)
	m = &master{}
	if m.aes, err = c.findOne(aes, "AES key", label); err != nil {
		return nil, err
	}
	if m.mac, err = c.findOne(mac, "generic secret for MACs", label); err != nil {
		return nil, err
	}
	return m, c.deriveWrappingKey(m)
}

func (c *connection) findOne(t []*pkcs11.Attribute, what, label string) (pkcs11.ObjectHandle, error) {
	if err := c.FindObjectsInit(c.control, t); err != nil {
		return 0, fmt.Errorf("look for the master key: %w", rv(err))
	}
	found, _, err := c.FindObjects(c.control, 2)
	if end := c.FindObjectsFinal(c.control); err == nil {
		err = end
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for the master key: %w", rv(err))
	case len(found) == 0:
		return 0, fmt.Errorf("master key: no %s %q is in the HSM: make it with \"grep11 unit create\": %w", what, label, ck.CKR_IBM_WK_NOT_INITIALIZED)
	case len(found) > 1:
		return 0, fmt.Errorf("master key: the HSM has more than one %s %q: %w", what, label, ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	return found[0], c.checkInside(found[0], what, label)
}

// checkInside refuses a master key that could leave the HSM.
func (c *connection) checkInside(o pkcs11.ObjectHandle, what, label string) error {
	a, err := c.GetAttributeValue(c.control, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil)})
	if err != nil {
		return fmt.Errorf("master key: %w", rv(err))
	}
	if len(a) != 2 || !isFalse(a[0].Value) || isFalse(a[1].Value) {
		return fmt.Errorf("master key: the %s %q is extractable or not sensitive: %w", what, label, ck.CKR_IBM_WK_NOT_INITIALIZED)
	}
	return nil
}

func isFalse(b []byte) bool { return len(b) == 1 && b[0] == 0 }

// deriveWrappingKey makes what seals outside the HSM, and the pattern, which
// stands for both keys: a MAC over a known key as the master key wraps it.
func (c *connection) deriveWrappingKey(m *master) error {
	zero, err := c.CreateObject(c.control, attributes(inSession(ck.Template{
		ck.Ulong(ck.CKA_CLASS, uint64(ck.CKO_SECRET_KEY)), ck.Ulong(ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET),
		ck.Bytes(ck.CKA_VALUE, make([]byte, 32)), ck.Bool(ck.CKA_EXTRACTABLE, true), ck.Bool(ck.CKA_SIGN, true)})))
	if err != nil {
		return fmt.Errorf("make the known key: %w", rv(err))
	}
	defer c.DestroyObject(c.control, zero)
	wrapped, err := c.wrapUnder(c.control, m.aes, make([]byte, c.wrapping.lenIV), zero)
	if err != nil {
		return err
	}
	pattern, err := c.hmac(c.control, m.mac, append([]byte("grep11 verification pattern"), wrapped...))
	if err != nil {
		return err
	}
	secret, err := c.hmac(c.control, m.mac, []byte("grep11 unit secret"))
	if err != nil {
		return err
	}
	defer clear(secret)
	m.wk, err = unit.WrappingKeyOf([sha256.Size]byte(pattern), secret)
	return err
}

// hmac is HMAC-SHA-256 under a master key's MAC key.
func (c *connection) hmac(s pkcs11.SessionHandle, mac pkcs11.ObjectHandle, data []byte) ([]byte, error) {
	if err := c.SignInit(s, mechanism(ck.CKM_SHA256_HMAC, nil), mac); err != nil {
		return nil, fmt.Errorf("MAC: %w", rv(err))
	}
	out, err := c.Sign(s, data)
	if err == nil && len(out) != sha256.Size {
		return nil, fmt.Errorf("MAC of %d bytes: %w", len(out), ck.CKR_DEVICE_ERROR)
	}
	if err != nil {
		return nil, fmt.Errorf("MAC: %w", rv(err))
	}
	return out, nil
}

// Create makes the master key in the HSM, unless it is there.
func Create(c Config) error {
	p := newPool(c.withDefaults())
	defer p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	conn, err := p.login()
	if err != nil {
		return err
	}
	defer conn.CloseSession(conn.control)
	return conn.createMaster(p.config.MasterKey)
}

func (c *connection) createMaster(label string) error {
	aes, mac := masterKeys(label)
	inside := ck.Template{ck.Bool(ck.CKA_TOKEN, true), ck.Bool(ck.CKA_PRIVATE, true), ck.Bool(ck.CKA_SENSITIVE, true),
		ck.Bool(ck.CKA_EXTRACTABLE, false), ck.Bool(ck.CKA_MODIFIABLE, false), ck.Ulong(ck.CKA_VALUE_LEN, 32)}
	for _, k := range []struct {
		name string
		gen  ck.MechanismType
		find []*pkcs11.Attribute
		uses ck.Template
	}{
		{"AES key", ck.CKM_AES_KEY_GEN, aes, rights(true, ck.CKA_WRAP, ck.CKA_UNWRAP).With(rights(false, ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_DERIVE))},
		{"secret for MACs", ck.CKM_GENERIC_SECRET_KEY_GEN, mac, rights(true, ck.CKA_SIGN, ck.CKA_VERIFY).With(rights(false, ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_DERIVE))},
	} {
		if _, err := c.findOne(k.find, k.name, label); err == nil {
			continue
		} else if ck.RVOf(err) != ck.CKR_IBM_WK_NOT_INITIALIZED {
			return err
		}
		if _, err := c.GenerateKey(c.control, mechanism(k.gen, nil), append(k.find, attributes(inside.With(k.uses))...)); err != nil {
			return fmt.Errorf("make the master key's %s: %w", k.name, rv(err))
		}
	}
	return nil
}
