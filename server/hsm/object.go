package hsm

import (
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/soft"
)

// object is a session object. One that was unwrapped is made when it is first
// used, and made again after a lost connection; others go with theirs.
type object struct {
	*pool
	kind    soft.Kind
	master  soft.Master // that it was unwrapped with
	wrapped []byte      // nil: it was not unwrapped

	mu     sync.Mutex
	conn   *connection         // guarded by mu; nil: not made
	handle pkcs11.ObjectHandle // guarded by mu
	gone   bool                // guarded by mu: forgotten
}

// in gives the object's handle in a connection. s is the caller's session.
func (o *object) in(c *connection, s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.gone:
		panic("hsm: use of a key after it was forgotten")
	case o.conn == c:
		return o.handle, nil
	case o.wrapped == nil:
		return 0, fault("%w: %w", errGone, ck.CKR_DEVICE_ERROR)
	}
	m, err := c.of(o.master)
	if err != nil {
		return 0, err
	}
	h, err := c.unwrap(s, m.aes, o.wrapped, attributes(template(o.kind)))
	if err == nil {
		o.conn, o.handle = c, h
	}
	return h, err
}

// with runs f on the object's handle.
func with[T any](o *object, f func(*connection, pkcs11.SessionHandle, pkcs11.ObjectHandle) (T, error)) (T, error) {
	return call(o.pool, o.config.Timeout, func(c *connection, s pkcs11.SessionHandle) (T, error) {
		h, err := o.in(c, s)
		if err != nil {
			var zero T
			return zero, err
		}
		return f(c, s, h)
	})
}

func (o *object) Wrap(id soft.Master) ([]byte, error) {
	return with(o, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		m, err := c.of(id)
		if err != nil {
			return nil, err
		}
		return c.wrap(s, m.aes, h)
	})
}

func (o *object) Sign(m mech.Mechanism, data []byte) ([]byte, error) {
	return with(o, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		p, free := c.mechanismOf(m)
		defer free()
		if err := c.SignInit(s, p, h); err != nil {
			return nil, said("sign", m, err)
		}
		out, err := c.Ctx.Sign(s, data)
		return out, said("sign", m, err)
	})
}

func (o *object) Verify(m mech.Mechanism, data, sig []byte) error {
	_, err := with(o, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (struct{}, error) {
		p, free := c.mechanismOf(m)
		defer free()
		err := c.VerifyInit(s, p, h)
		if err == nil {
			err = c.Ctx.Verify(s, data, sig)
		}
		return struct{}{}, said("verify", m, err)
	})
	return err
}

// crypts are the two directions.
var crypts = map[mech.Op]struct {
	init func(*pkcs11.Ctx, pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	run  func(*pkcs11.Ctx, pkcs11.SessionHandle, []byte) ([]byte, error)
}{
	mech.OpEncrypt: {(*pkcs11.Ctx).EncryptInit, (*pkcs11.Ctx).Encrypt},
	mech.OpDecrypt: {(*pkcs11.Ctx).DecryptInit, (*pkcs11.Ctx).Decrypt},
}

func (o *object) Crypt(m mech.Mechanism, op mech.Op, data []byte) ([]byte, error) {
	return with(o, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
		p, free := c.mechanismOf(m)
		defer free()
		if err := crypts[op].init(c.Ctx, s, p, h); err != nil {
			return nil, said(op.String(), m, err)
		}
		out, err := crypts[op].run(c.Ctx, s, data)
		return out, said(op.String(), m, err)
	})
}

// Export wraps another key of the HSM under this one.
func (o *object) Export(m mech.Mechanism, key soft.Held) ([]byte, error) {
	return with(o, func(c *connection, s pkcs11.SessionHandle, kek pkcs11.ObjectHandle) ([]byte, error) {
		h, err := key.(*object).in(c, s)
		if err != nil {
			return nil, err
		}
		p, free := c.mechanismOf(m)
		defer free()
		out, err := c.WrapKey(s, p, kek, h)
		return out, said("wrap", m, err)
	})
}

// Import unwraps a key with this one.
func (o *object) Import(m mech.Mechanism, wrapped []byte, k soft.Kind) (soft.Held, error) {
	if len(wrapped) == 0 {
		return nil, fmt.Errorf("nothing to unwrap: %w", ck.CKR_WRAPPED_KEY_LEN_RANGE)
	}
	return o.make(k, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (pkcs11.ObjectHandle, error) {
		p, free := c.mechanismOf(m)
		defer free()
		out, err := c.UnwrapKey(s, p, h, wrapped, attributes(template(k)))
		return out, said("unwrap", m, err)
	})
}

// Derive makes a key of this one; its length is k.Len bytes.
func (o *object) Derive(m mech.Mechanism, k soft.Kind) (soft.Held, error) {
	t := append(template(k), ck.Ulong(ck.CKA_VALUE_LEN, k.Len))
	return o.make(k, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (pkcs11.ObjectHandle, error) {
		p, free := c.mechanismOf(m)
		defer free()
		out, err := c.DeriveKey(s, p, h, attributes(t))
		return out, said("derive", m, err)
	})
}

func (o *object) make(k soft.Kind, f func(*connection, pkcs11.SessionHandle, pkcs11.ObjectHandle) (pkcs11.ObjectHandle, error)) (soft.Held, error) {
	return device{o.pool}.make(o.config.Timeout, k, func(c *connection, s pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
		h, err := o.in(c, s)
		if err != nil {
			return 0, err
		}
		return f(c, s, h)
	})
}

func (o *object) Read(types ...ck.AttributeType) (ck.Template, error) {
	return with(o, func(c *connection, s pkcs11.SessionHandle, h pkcs11.ObjectHandle) (ck.Template, error) {
		return c.read(s, h, types)
	})
}

// Forget destroys the object; nobody uses it any more.
func (o *object) Forget() {
	o.mu.Lock()
	c, h := o.conn, o.handle
	o.conn, o.gone = nil, true
	o.mu.Unlock()
	if c == nil {
		return
	}
	_, err := call(o.pool, o.config.Timeout, func(now *connection, s pkcs11.SessionHandle) (struct{}, error) {
		if now != c {
			return struct{}{}, nil // it went with its session
		}
		return struct{}{}, c.DestroyObject(s, h)
	})
	if err != nil {
		o.config.Log.Debug("a session object is left in the HSM", "cause", err)
	}
}

func said(what string, m mech.Mechanism, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the HSM's %s with %v: %w", what, m.Type, rv(err))
}
