package soft

import (
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// Device is an HSM in which a unit's secret and private keys live (package hsm).
// A unit on one keeps to itself what needs no such key: formats, rights and
// rules, hashes, public keys. Errors carry an RV; unit.Fault marks the device's.
type Device interface {
	// Uses are the flags of a mechanism of the device, 0 for none; all are set
	// as long as the device was not reached yet.
	Uses(m ck.MechanismType) ck.Flags
	// PadsKeys: the device wraps keys as if zeros filled them to a multiple of 8
	// bytes, and does not say how many.
	PadsKeys() bool
	// MAC authenticates what is sealed beside a wrapped key, with a key that
	// never leaves the device. 32 bytes.
	MAC(m Master, data []byte) ([]byte, error)
	Generate(m ck.MechanismType, k Kind) (Held, error)
	// GeneratePair answers attributes of the public half, those named in read.
	GeneratePair(m ck.MechanismType, k Kind, public ck.Template, read ...ck.AttributeType) (Held, ck.Template, error)
	// Take makes an object of values that are known outside.
	Take(k Kind, values ck.Template) (Held, error)
	// Unwrap gives a key that Held.Wrap wrapped; the device sees it when it is used.
	Unwrap(m Master, k Kind, wrapped []byte) Held
}

// Master names one of a device's master keys: the id of the wrapping key that
// stands for it. Until a rotation is over there are two.
type Master [16]byte

// Kind is what a device has to know of a key.
type Kind struct {
	Class       ck.ObjectClass
	Type        ck.KeyType
	Bits        unit.Bits // what it is used for
	Len         int       // bytes of a secret key to make
	Extractable bool      // it may be wrapped
}

// Held is a key in a device. Methods may be called by many goroutines until
// Forget, which is called once.
type Held interface {
	// Wrap wraps the key under a master key of the device.
	Wrap(m Master) ([]byte, error)
	Sign(m mech.Mechanism, data []byte) ([]byte, error)
	Verify(m mech.Mechanism, data, sig []byte) error
	Crypt(m mech.Mechanism, op mech.Op, data []byte) ([]byte, error)
	// Export and Import wrap and unwrap another key with this one.
	Export(m mech.Mechanism, key Held) ([]byte, error)
	Import(m mech.Mechanism, wrapped []byte, k Kind) (Held, error)
	Derive(m mech.Mechanism, k Kind) (Held, error)
	Read(types ...ck.AttributeType) (ck.Template, error)
	Forget()
}

// DeviceConfig describes a unit on a device.
type DeviceConfig struct {
	Name      string
	CacheKeys int
	// KeysInMemory: where the device itself cannot wrap, unwrap or derive by a
	// mechanism, the key passes this unit's memory.
	KeysInMemory bool
}

// NewOn makes a unit on a device. It has no wrapping key before Adopt.
func NewOn(d Device, c DeviceConfig) *Unit {
	return &Unit{name: c.Name, keys: newKeyCache(c.CacheKeys), dev: d, inMemory: c.KeysInMemory}
}

// Adopt takes the wrapping keys that stand for the device's master keys: the
// current one, and the next one or nil.
func (u *Unit) Adopt(cur, next *unit.WrappingKey) {
	u.mu.Lock()
	u.cur, u.next = cur, next
	u.mu.Unlock()
}

// can tells whether the device has a mechanism with all of some flags.
func (u *Unit) can(m ck.MechanismType, f ck.Flags) bool { return u.dev.Uses(m)&f == f }

// declined are the codes of a device that has a mechanism, but not for this
// key or parameter.
var declined = map[ck.RV]bool{
	ck.CKR_MECHANISM_INVALID: true, ck.CKR_MECHANISM_PARAM_INVALID: true, ck.CKR_ARGUMENTS_BAD: true,
	ck.CKR_KEY_NOT_WRAPPABLE: true, ck.CKR_FUNCTION_NOT_SUPPORTED: true, ck.CKR_KEY_SIZE_RANGE: true,
	ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT: true, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT: true,
}

func isDeclined(err error) bool { return err != nil && !unit.Faulty(err) && declined[ck.RVOf(err)] }

// passing tells whether a key may pass the memory; why not is err, or a reason.
func (u *Unit) passing(m mech.Mechanism, err error) error {
	if u.inMemory {
		return nil
	}
	return errors.Join(err, fmt.Errorf("%v: the HSM does not do this itself, and keys_in_memory is off: %w", m.Type, ck.CKR_MECHANISM_INVALID))
}
