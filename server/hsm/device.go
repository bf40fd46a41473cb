package hsm

import (
	"fmt"
	"time"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/soft"
)

// device is the HSM as a soft.Device.
type device struct{ *pool }

var _ soft.Device = device{}

// Uses are the flags of a mechanism that the HSM has, or had when it was last reached.
func (d device) Uses(t ck.MechanismType) ck.Flags {
	c := d.last.Load()
	if c == nil {
		return ^ck.Flags(0)
	}
	return c.uses[c.native(t)]
}

// native is the number under which the HSM has a mechanism: RFC 5649 has two.
func (c *connection) native(t ck.MechanismType) ck.MechanismType {
	if t == ck.CKM_AES_KEY_WRAP_KWP {
		return c.kwp
	}
	return t
}

func (c *connection) mechanismOf(m mech.Mechanism) ([]*pkcs11.Mechanism, func()) {
	m.Type = c.native(m.Type)
	return mechanismOf(m)
}

// PadsKeys: some HSMs lose the length of keys that they wrap.
func (d device) PadsKeys() bool {
	c := d.last.Load()
	return c != nil && c.pads
}

// MAC authenticates with a master key's MAC key.
func (d device) MAC(id soft.Master, data []byte) ([]byte, error) {
	return call(d.pool, d.config.Timeout, func(c *connection, s pkcs11.SessionHandle) ([]byte, error) {
		m, err := c.of(id)
		if err != nil {
			return nil, err
		}
		return c.hmac(s, m.mac, data)
	})
}

// make runs what makes an object and keeps that.
func (d device) make(timeout time.Duration, k soft.Kind, f func(*connection, pkcs11.SessionHandle) (pkcs11.ObjectHandle, error)) (soft.Held, error) {
	o := &object{pool: d.pool, kind: k}
	_, err := call(d.pool, timeout, func(c *connection, s pkcs11.SessionHandle) (struct{}, error) {
		h, err := f(c, s)
		o.conn, o.handle = c, h
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Unwrap makes a session object, when it is first used, of what Wrap gave.
func (d device) Unwrap(m soft.Master, k soft.Kind, wrapped []byte) soft.Held {
	return &object{pool: d.pool, kind: k, master: m, wrapped: wrapped}
}

// Generate makes a secret key.
func (d device) Generate(m ck.MechanismType, k soft.Kind) (soft.Held, error) {
	t := template(k)
	if k.Type == ck.CKK_AES || m == ck.CKM_GENERIC_SECRET_KEY_GEN {
		t = append(t, ck.Ulong(ck.CKA_VALUE_LEN, k.Len))
	}
	return d.make(d.config.Timeout, k, func(c *connection, s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
		return c.GenerateKey(s, mechanism(m, nil), attributes(t))
	})
}

// Take makes an object of values that the memory has.
func (d device) Take(k soft.Kind, values ck.Template) (soft.Held, error) {
	t := append(template(k), values...)
	return d.make(d.config.Timeout, k, func(c *connection, s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
		return c.CreateObject(s, attributes(t))
	})
}

// GeneratePair makes a key pair; public has the public half's attributes, of
// which those in read are answered.
func (d device) GeneratePair(m ck.MechanismType, k soft.Kind, public ck.Template, read ...ck.AttributeType) (soft.Held, ck.Template, error) {
	public = inSession(public)
	o := &object{pool: d.pool, kind: k}
	t, err := call(d.pool, d.config.Generate, func(c *connection, s pkcs11.SessionHandle) (ck.Template, error) {
		pub, priv, err := c.GenerateKeyPair(s, mechanism(m, nil), attributes(public), attributes(template(k).Without(ck.CKA_KEY_TYPE, ck.CKA_CLASS)))
		if err != nil {
			return nil, err
		}
		defer c.DestroyObject(s, pub)
		o.conn, o.handle = c, priv
		t, err := c.read(s, pub, read)
		if err != nil {
			_ = c.DestroyObject(s, priv)
		}
		return t, err
	})
	if err != nil {
		return nil, nil, err
	}
	return o, t, nil
}

func (c *connection) read(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, types []ck.AttributeType) (ck.Template, error) {
	var ask []*pkcs11.Attribute
	for _, t := range types {
		ask = append(ask, pkcs11.NewAttribute(uint(t), nil))
	}
	got, err := c.GetAttributeValue(s, o, ask)
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", types, rv(err))
	}
	var out ck.Template
	for _, a := range got {
		out = append(out, ck.Bytes(ck.AttributeType(a.Type), a.Value))
	}
	return out, nil
}
