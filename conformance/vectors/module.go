package vectors

import (
	"bytes"
	"context"
	"fmt"

	"grep11/conformance"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// module is the service through the C functions of a PKCS#11 module, in one
// session of the user.
type module struct {
	*conformance.Module
	session uintptr
	offered map[ck.MechanismType]bool
	kek     key // AES key that brings private keys in
	made    []uintptr
}

// ThroughModule loads a module, initialises it with a configuration and runs
// vectors with the token of its first slot. The service ends with close.
func ThroughModule(path, config, pin string) (s Service, close func(), err error) {
	m := &module{offered: map[ck.MechanismType]bool{}}
	if m.Module, err = conformance.Load(path, 0); err != nil {
		return nil, nil, err
	}
	close = func() { m.Call("C_Finalize", 0) }
	if err = m.open(config, pin); err != nil {
		close()
		return nil, nil, err
	}
	return m, close, nil
}

// call gives a C function's answer as an error.
func (m *module) call(name string, arguments ...uintptr) error {
	if rv := m.Call(name, arguments...); rv != ck.CKR_OK {
		return fmt.Errorf("%s: %w", name, rv)
	}
	return nil
}

func (m *module) open(config, pin string) error {
	c := conformance.NewMemory()
	defer c.Free()
	reserved := c.Bytes([]byte("config=" + config + "\x00")).Address()
	if err := m.call("C_Initialize", c.Words(0, 0, 0, 0, uintptr(ck.CKF_OS_LOCKING_OK), reserved).Address()); err != nil {
		return err
	}
	slots, count := c.Room(64*8), c.Words(64)
	if err := m.call("C_GetSlotList", 1, slots.Address(), count.Address()); err != nil || count.Word() == 0 {
		return fmt.Errorf("%d slots with a token: %w", count.Word(), err)
	}
	handle := c.Words(0)
	if err := m.call("C_OpenSession", slots.Word(), uintptr(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION), 0, 0, handle.Address()); err != nil {
		return err
	}
	m.session = handle.Word()
	secret := c.Bytes([]byte(pin))
	if err := m.call("C_Login", m.session, uintptr(ck.CKU_USER), secret.Address(), uintptr(len(pin))); err != nil {
		return err
	}
	if err := m.list(c, slots.Word()); err != nil {
		return err
	}
	return m.makeKEK()
}

func (m *module) list(c *conformance.Memory, slot uintptr) error {
	count := c.Words(0)
	if err := m.call("C_GetMechanismList", slot, 0, count.Address()); err != nil {
		return err
	}
	types := c.Room(8 * int(count.Word()))
	if err := m.call("C_GetMechanismList", slot, types.Address(), count.Address()); err != nil {
		return err
	}
	for i := range int(count.Word()) {
		m.offered[ck.MechanismType(types.WordAt(i))] = true
	}
	return nil
}

func (m *module) makeKEK() error {
	t := ck.Template{ck.Ulong(ck.CKA_VALUE_LEN, 32), ck.Bool(ck.CKA_ENCRYPT, true), ck.Bool(ck.CKA_UNWRAP, true)}
	k, err := m.make(t, func(c *conformance.Memory, tmpl, n, at uintptr) error {
		return m.call("C_GenerateKey", m.session, c.Mechanism(ck.CKM_AES_KEY_GEN, nil).Address(), tmpl, n, at)
	})
	m.kek, m.made = k, nil
	return err
}

// make makes a session object until forget.
func (m *module) make(t ck.Template, how func(c *conformance.Memory, tmpl, n, at uintptr) error) (key, error) {
	c := conformance.NewMemory()
	defer c.Free()
	at := c.Words(0)
	if err := how(c, c.Template(t).Address(), uintptr(len(t)), at.Address()); err != nil {
		return key{}, err
	}
	m.made = append(m.made, at.Word())
	return key{handle: at.Word()}, nil
}

func (m *module) forget() {
	for _, handle := range m.made {
		if err := m.call("C_DestroyObject", m.session, handle); err != nil {
			panic("vectors: " + err.Error()) // a key that was made is there
		}
	}
	m.made = nil
}

func (m *module) offers(t ck.MechanismType) bool { return m.offered[t] }

func (m *module) create(t ck.Template) (key, error) {
	return m.make(t, func(_ *conformance.Memory, tmpl, n, at uintptr) error {
		return m.call("C_CreateObject", m.session, tmpl, n, at)
	})
}

func (m *module) importSecret(_ context.Context, kt ck.KeyType, value []byte) (key, error) {
	return m.create(append(secretKey(kt), ck.Bytes(ck.CKA_VALUE, value)))
}

// importPrivate unwraps a PKCS#8: what C_CreateObject takes are its parts.
func (m *module) importPrivate(_ context.Context, kt ck.KeyType, pkcs8 []byte) (key, error) {
	wrapped, err := m.crypt("C_Encrypt", m.kek, ck.CKM_AES_CBC_PAD, kekIV, pkcs8)
	if err != nil {
		return key{}, err
	}
	return m.make(privateKey(kt), func(c *conformance.Memory, tmpl, n, at uintptr) error {
		mechanism := c.Mechanism(ck.CKM_AES_CBC_PAD, kekIV).Address()
		return m.call("C_UnwrapKey", m.session, mechanism, m.kek.handle, c.Bytes(wrapped).Address(), uintptr(len(wrapped)), tmpl, n, at)
	})
}

func (m *module) importPublic(_ context.Context, spki []byte) (key, error) {
	t, err := publicParts(spki)
	if err != nil {
		return key{}, err
	}
	return m.create(t)
}

func (m *module) publicInfo(_ context.Context, k key) ([]byte, error) {
	return m.attribute(k, ck.CKA_PUBLIC_KEY_INFO)
}

func (m *module) attribute(k key, at ck.AttributeType) ([]byte, error) {
	c := conformance.NewMemory()
	defer c.Free()
	a := c.Words(uintptr(at), 0, 0)
	if err := m.call("C_GetAttributeValue", m.session, k.handle, a.Address(), 1); err != nil {
		return nil, err
	}
	value := c.Room(int(a.WordAt(2)))
	a.SetWords(uintptr(at), value.Address(), a.WordAt(2))
	err := m.call("C_GetAttributeValue", m.session, k.handle, a.Address(), 1)
	return bytes.Clone(value.Bytes()), err
}

func (m *module) decrypt(_ context.Context, k key, t ck.MechanismType, p mech.Param, ct []byte) ([]byte, error) {
	return m.crypt("C_Decrypt", k, t, p, ct)
}

func (m *module) sign(_ context.Context, k key, t ck.MechanismType, p mech.Param, data []byte) ([]byte, error) {
	return m.crypt("C_Sign", k, t, p, data)
}

func (m *module) init(c *conformance.Memory, name string, k key, t ck.MechanismType, p mech.Param) error {
	mechanism := c.Mechanism(t, layout(c, p)).Address()
	return m.call(name+"Init", m.session, mechanism, k.handle)
}

// crypt is an operation that turns data into other data: its length is asked
// for first.
func (m *module) crypt(name string, k key, t ck.MechanismType, p mech.Param, data []byte) ([]byte, error) {
	c := conformance.NewMemory()
	defer c.Free()
	if err := m.init(c, name, k, t, p); err != nil {
		return nil, err
	}
	in, n := c.Bytes(data).Address(), c.Words(0)
	if err := m.call(name, m.session, in, uintptr(len(data)), 0, n.Address()); err != nil {
		return nil, err
	}
	out := c.Room(int(n.Word()))
	err := m.call(name, m.session, in, uintptr(len(data)), out.Address(), n.Address())
	if err != nil {
		return nil, err
	}
	return bytes.Clone(out.Bytes()[:n.Word()]), nil
}

func (m *module) verify(_ context.Context, k key, t ck.MechanismType, p mech.Param, data, sig []byte) error {
	c := conformance.NewMemory()
	defer c.Free()
	if err := m.init(c, "C_Verify", k, t, p); err != nil {
		return err
	}
	return m.call("C_Verify", m.session, c.Bytes(data).Address(), uintptr(len(data)), c.Bytes(sig).Address(), uintptr(len(sig)))
}

func (m *module) derive(_ context.Context, base key, t ck.MechanismType, p mech.Param, lenBytes int) ([]byte, error) {
	k, err := m.make(readable(lenBytes), func(c *conformance.Memory, tmpl, n, at uintptr) error {
		return m.call("C_DeriveKey", m.session, c.Mechanism(t, layout(c, p)).Address(), base.handle, tmpl, n, at)
	})
	if err != nil {
		return nil, err
	}
	return m.attribute(k, ck.CKA_VALUE)
}

func (m *module) encapsulate(_ context.Context, public key) (secret, ct []byte, err error) {
	k, err := m.make(readable(32), func(c *conformance.Memory, tmpl, n, at uintptr) error {
		mechanism, length := c.Mechanism(ck.CKM_ML_KEM, nil).Address(), c.Words(0)
		if err := m.call("C_EncapsulateKey", m.session, mechanism, public.handle, tmpl, n, 0, length.Address(), at); err != nil {
			return err
		}
		out := c.Room(int(length.Word()))
		err := m.call("C_EncapsulateKey", m.session, mechanism, public.handle, tmpl, n, out.Address(), length.Address(), at)
		ct = bytes.Clone(out.Bytes())
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	secret, err = m.attribute(k, ck.CKA_VALUE)
	return secret, ct, err
}

func (m *module) decapsulate(_ context.Context, private key, ct []byte) ([]byte, error) {
	k, err := m.make(readable(32), func(c *conformance.Memory, tmpl, n, at uintptr) error {
		mechanism := c.Mechanism(ck.CKM_ML_KEM, nil).Address()
		return m.call("C_DecapsulateKey", m.session, mechanism, private.handle, tmpl, n, c.Bytes(ct).Address(), uintptr(len(ct)), at)
	})
	if err != nil {
		return nil, err
	}
	return m.attribute(k, ck.CKA_VALUE)
}
