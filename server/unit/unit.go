// Package unit is the seam between the service and an HSM: key blobs in,
// results out. It also holds what every kind of unit has in common: the
// formats of key blobs and of multi-part states.
package unit

import (
	"context"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Blob is a sealed key, opaque to all but the units of one service. A public
// key's blob starts with its DER SubjectPublicKeyInfo.
type Blob []byte

// State is a sealed multi-part operation; any unit of the service continues it.
type State []byte

// Key is what a unit answers for a key it made.
type Key struct {
	Blob Blob
	// CheckSum as GREP11 gives it for the call that made the key.
	CheckSum []byte
	// Attributes as sealed or computed by the unit: class, type, sizes, usage
	// flags, histories, public values, check value. Never a sensitive value.
	Attributes ck.Template
}

// Input is what an operation works on. Prehashed: Data is the digest that the
// mechanism's hash would have made of the message.
type Input struct {
	Data      []byte
	Signature []byte // to verify
	Prehashed bool
}

// Unit is a crypto unit. Every method may be called by many goroutines. Errors
// carry the RV that GREP11 names for the case. Faulty tells which errors mean
// that the unit itself failed, so that another one should be asked.
type Unit interface {
	Name() string
	// Mechanisms the unit offers, in the order of mech.All.
	Mechanisms() []*mech.Row
	// WrappingKey is the verification pattern of the current wrapping key.
	// Without one: CKR_IBM_WK_NOT_INITIALIZED.
	WrappingKey() ([]byte, error)
	// Check proves the unit works, by an operation with a key of its own.
	Check(ctx context.Context) error

	GenerateRandom(ctx context.Context, n int) ([]byte, error)

	// Single runs a whole operation. The result is the digest, signature,
	// ciphertext or plaintext; nil for mech.OpVerify. key is nil for digests.
	Single(ctx context.Context, op mech.Op, m mech.Mechanism, key Blob, in Input) ([]byte, error)
	// Init starts an operation that Update and Finish carry on.
	Init(ctx context.Context, op mech.Op, m mech.Mechanism, key Blob) (State, error)
	Update(ctx context.Context, op mech.Op, s State, data []byte) (out []byte, next State, err error)
	DigestKey(ctx context.Context, s State, key Blob) (State, error)
	// Finish ends an operation with its last data: all of it for one-part
	// calls after Init (whole), none for Final.
	Finish(ctx context.Context, op mech.Op, s State, in Input, whole bool) ([]byte, error)
	Reencrypt(ctx context.Context, dec mech.Mechanism, decKey Blob, enc mech.Mechanism, encKey Blob, data []byte) ([]byte, error)

	GenerateKey(ctx context.Context, m mech.Mechanism, t ck.Template) (Key, error)
	GenerateKeyPair(ctx context.Context, m mech.Mechanism, pub, priv ck.Template) (pubKey, privKey Key, err error)
	// WrapKey exports a key. With CKM_IBM_RETAINKEY it gives a blob of the key that
	// is for the service's store and not for its caller.
	WrapKey(ctx context.Context, m mech.Mechanism, key, kek, mac Blob) ([]byte, error)
	UnwrapKey(ctx context.Context, m mech.Mechanism, wrapped []byte, kek, mac Blob, t ck.Template) (Key, error)
	DeriveKey(ctx context.Context, m mech.Mechanism, base Blob, data []byte, t ck.Template) (Key, error)
	// Rewrap seals a blob under the committed next wrapping key.
	Rewrap(ctx context.Context, b Blob) (Blob, error)

	// Attributes answers those asked for, or all it has for none. Values that
	// are sensitive or unknown come back as errors after all others were read:
	// the template is valid beside CKR_ATTRIBUTE_SENSITIVE and CKR_ATTRIBUTE_TYPE_INVALID.
	Attributes(ctx context.Context, b Blob, types []ck.AttributeType) (ck.Template, error)
	// SetAttributes changes Booleans and gives a new blob.
	SetAttributes(ctx context.Context, b Blob, t ck.Template) (Key, error)

	Close() error
}
