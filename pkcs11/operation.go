package pkcs11

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/des"
	"fmt"
	"hash"
	"slices"

	"grep11/grep11client"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// opKind is a kind of operation. A session has at most one active operation of
// each kind; operations of different kinds may be active side by side, as the
// dual-function calls need them.
type opKind uint8

const (
	opDigest opKind = iota
	opEncrypt
	opDecrypt
	opSign
	opVerify
	opSignRecover
	opVerifyRecover
	opVerifySignature
	opMessageEncrypt
	opMessageDecrypt
	opMessageSign
	opMessageVerify
	numOps
)

// opKinds is what the kinds differ in.
var opKinds = [numOps]struct {
	op     mech.Op
	right  ck.AttributeType // the key must have it CK_TRUE
	class  classes          // of the key
	cancel ck.Flags         // names the kind in C_SessionCancel
}{
	opDigest:  {op: mech.OpDigest, cancel: ck.CKF_DIGEST},
	opEncrypt: {op: mech.OpEncrypt, right: ck.CKA_ENCRYPT, class: publics | secrets, cancel: ck.CKF_ENCRYPT},
	opDecrypt: {op: mech.OpDecrypt, right: ck.CKA_DECRYPT, class: hidden, cancel: ck.CKF_DECRYPT},
	opSign:    {op: mech.OpSign, right: ck.CKA_SIGN, class: hidden, cancel: ck.CKF_SIGN},
	opVerify:  {op: mech.OpVerify, right: ck.CKA_VERIFY, class: publics | secrets, cancel: ck.CKF_VERIFY},

	opSignRecover:     {op: mech.OpSign, right: ck.CKA_SIGN_RECOVER, class: privates, cancel: ck.CKF_SIGN_RECOVER},
	opVerifyRecover:   {op: mech.OpVerify, right: ck.CKA_VERIFY_RECOVER, class: publics, cancel: ck.CKF_VERIFY_RECOVER},
	opVerifySignature: {op: mech.OpVerify, right: ck.CKA_VERIFY, class: publics | secrets, cancel: ck.CKF_VERIFY},

	opMessageEncrypt: {op: mech.OpEncrypt, right: ck.CKA_ENCRYPT, class: secrets, cancel: ck.CKF_MESSAGE_ENCRYPT},
	opMessageDecrypt: {op: mech.OpDecrypt, right: ck.CKA_DECRYPT, class: secrets, cancel: ck.CKF_MESSAGE_DECRYPT},
	opMessageSign:    {op: mech.OpSign, right: ck.CKA_SIGN, class: hidden, cancel: ck.CKF_MESSAGE_SIGN},
	opMessageVerify:  {op: mech.OpVerify, right: ck.CKA_VERIFY, class: publics | secrets, cancel: ck.CKF_MESSAGE_VERIFY},
}

func (k opKind) String() string { return opKinds[k].op.String() }

// operation is one active operation. Guarded by its session's lock.
type operation struct {
	kind  opKind
	mech  mech.Mechanism
	row   *mech.Row
	key   *object // nil for digests
	login int     // the slot's login number when it began

	locked bool // waits for the context login of CKA_ALWAYS_AUTHENTICATE
	parts  bool // an update was made
	once   bool // a call with all data at once was made, and told a length

	hash hash.Hash // what is signed or digested here
	buf  []byte    // data that was not sent yet; a digest's beginning
	long bool      // buf is not all that was digested
	sig  []byte    // of C_VerifySignatureInit

	message *operation         // of a message-based process: the message in parts
	counter uint64             // of IVs made for messages
	state   grep11client.State // of the service, once data was sent
	held    int                // bytes of a cipher that have given no output yet

	result []byte // made, but the caller's buffer was too small
	input  []byte // what result was made of
}

// begin starts an operation; without a mechanism it ends the active one.
//
// PKCS#11 v3.2 §5.8 and on.
func (s *session) begin(ctx context.Context, k opKind, m *mech.Mechanism, h ck.ObjectHandle) error {
	if m == nil {
		return s.cancel(k)
	}
	op, err := s.prepare(ctx, k, *m, h)
	if err != nil {
		return err
	}
	if err := s.parameter(ctx, *m, opKinds[k].op.Flag()); err != nil {
		return err
	}
	s.ops[k] = op
	return nil
}

// prepare makes an operation, but for its parameter.
func (s *session) prepare(ctx context.Context, k opKind, m mech.Mechanism, h ck.ObjectHandle) (*operation, error) {
	if s.ops[k] != nil {
		return nil, fmt.Errorf("%v: %w", k, ck.CKR_OPERATION_ACTIVE)
	}
	row, err := s.mechanism(m, opKinds[k].op.Flag())
	if err != nil {
		return nil, err
	}
	op := &operation{kind: k, mech: m, row: row}
	_, op.login = s.slot.who()
	if opKinds[k].class != 0 {
		if op.key, err = s.key(ctx, h, use{row, opKinds[k].class, opKinds[k].right}); err != nil {
			return nil, err
		}
		op.locked = op.key.is(ck.CKA_ALWAYS_AUTHENTICATE)
	}
	return op, nil
}

func (s *session) cancel(k opKind) error {
	if s.ops[k] == nil {
		return fmt.Errorf("no mechanism and no %v to end: %w", k, ck.CKR_ARGUMENTS_BAD)
	}
	s.end(k)
	return nil
}

// mechanism finds the row of a mechanism that may be used for use.
func (s *session) mechanism(m mech.Mechanism, use ck.Flags) (*mech.Row, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, err
	}
	if row.Use&use == 0 || !s.slot.service.offers(row, use) {
		return nil, fmt.Errorf("%v is not for this function: %w", m.Type, ck.CKR_MECHANISM_INVALID)
	}
	return row, nil
}

// parameter checks a mechanism's parameter. A mechanism that the service does not
// have is refused as such, even if the list was not known before.
func (s *session) parameter(ctx context.Context, m mech.Mechanism, use ck.Flags) error {
	bad := m.Check()
	if bad == nil {
		return nil
	}
	if _, err := s.slot.service.offered(ctx); err != nil {
		return bad
	}
	if _, err := s.mechanism(m, use); err != nil {
		return err
	}
	return bad
}

// use is what a key is wanted for.
type use struct {
	row   *mech.Row
	class classes
	right ck.AttributeType
}

// check tells why a key does not fit, in the standard's order.
func (u use) check(o *object) error {
	if !o.isKey() {
		return fmt.Errorf("%v is no key: %w", o, ck.CKR_KEY_HANDLE_INVALID)
	}
	if classOf[o.class]&u.class == 0 || !u.row.Allows(o.keyType()) {
		return fmt.Errorf("%v with %v: %w", u.row.Type, o, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	if !o.is(u.right) {
		return fmt.Errorf("%v has no %v: %w", o, u.right, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	allowed, _ := o.attribute(ck.CKA_ALLOWED_MECHANISMS)
	if list, err := allowed.Ulongs(); err == nil && len(list) > 0 && !slices.Contains(list, uint64(u.row.Type)) {
		return fmt.Errorf("%v does not allow %v: %w", o, u.row.Type, ck.CKR_MECHANISM_INVALID)
	}
	return nil
}

// key finds a key for a use. A refusal is never given by attributes that may
// have changed since they were read.
func (s *session) key(ctx context.Context, h ck.ObjectHandle, u use) (*object, error) {
	for _, fresh := range []bool{false, true} {
		o, err := s.object(ctx, h, fresh)
		if isGone(err) {
			return nil, fmt.Errorf("key handle %#x: %w", uint64(h), ck.CKR_KEY_HANDLE_INVALID)
		}
		if err != nil {
			return nil, err
		}
		if err := u.check(o); err == nil || fresh {
			return o, err
		}
	}
	panic("pkcs11: unreachable")
}

// active gives the operation of a kind. Where the login it needs is over, or its
// key's PIN was not shown, it ends, and CKR_USER_NOT_LOGGED_IN says why.
func (s *session) active(k opKind) (*operation, error) {
	op := s.ops[k]
	if op == nil {
		return nil, fmt.Errorf("%v: %w", k, ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	if op.key == nil {
		return op, nil
	}
	if _, login := s.slot.who(); login != op.login && op.key.is(ck.CKA_PRIVATE) {
		s.end(k)
		return nil, fmt.Errorf("%v: the login has changed: %w", k, ck.CKR_USER_NOT_LOGGED_IN)
	}
	if op.locked {
		s.end(k)
		return nil, fmt.Errorf("%v wants its PIN for each use: %w", op.key, ck.CKR_USER_NOT_LOGGED_IN)
	}
	return op, nil
}

// whole is active for a call that does an operation in one part.
func (s *session) whole(k opKind) (*operation, error) {
	op, err := s.active(k)
	if err != nil {
		return nil, err
	}
	if op.parts {
		s.end(k)
		return nil, fmt.Errorf("%v in parts cannot end with all data at once: %w", k, ck.CKR_OPERATION_ACTIVE)
	}
	op.once = true
	return op, nil
}

// parted is active for a call that does a part of an operation, or its end.
func (s *session) parted(k opKind) (*operation, error) {
	op, err := s.active(k)
	if err == nil && op.once {
		s.end(k)
		return nil, fmt.Errorf("%v of all data at once cannot go on in parts: %w", k, ck.CKR_OPERATION_ACTIVE)
	}
	return op, err
}

// end forgets an operation. Caller holds s.mu.
func (s *session) end(k opKind) {
	if op := s.ops[k]; op != nil {
		op.wipe()
		s.ops[k] = nil
	}
}

func (op *operation) wipe() {
	clear(op.buf)
	clear(op.result)
	if op.message != nil {
		op.message.wipe()
	}
}

// fail ends an operation whose call failed and hands the error on. A key that
// is gone is forgotten.
func (s *session) fail(k opKind, err error) error {
	if op := s.ops[k]; op != nil && op.key != nil && isGone(err) {
		s.slot.objects.stored.Remove(op.key.Handle)
	}
	s.end(k)
	return err
}

// conclude ends an operation with a result of at most bound bytes, made of
// input. For a length query or a short buffer the operation stays active,
// PKCS#11 v3.2 §5.2.
//
// Decryption may give less than bound: where the caller has room for a little
// less, the result is made and kept until a call brings room for it.
func (s *session) conclude(op *operation, out *Output, bound int, input []byte, produce func() ([]byte, error)) error {
	if op.result != nil && bytes.Equal(op.input, input) {
		bound = len(op.result)
	} else {
		op.result = nil
	}
	if op.result == nil && (out.Has(bound) || op.kind == opDecrypt && out.Has(bound-slack(op, bound))) {
		result, err := produce()
		if err == nil && (op.kind != opDecrypt || len(result) > bound) {
			err = exactly(bound, result)
		}
		if err != nil {
			return s.fail(op.kind, err)
		}
		op.result, op.input, bound = result, bytes.Clone(input), len(result)
	}
	if ready, err := out.Reserve(bound); !ready {
		return err
	}
	err := out.Write(op.result)
	s.end(op.kind)
	return err
}

// slack is how much shorter than bound a decryption's result may be.
func slack(op *operation, bound int) int {
	switch op.row.Out {
	case mech.OutPadded:
		return min(op.row.Block, bound)
	case mech.OutModulus, mech.OutKeyWrap:
		return bound
	}
	return 0
}

// keyBytes is the size that output lengths depend on: of an RSA modulus, of the
// order of a curve or group, of a cipher's block, of a parameter set's signature
// or ciphertext.
func (o *object) keyBytes() int {
	if o == nil {
		return 0
	}
	switch o.keyType() {
	case ck.CKK_RSA:
		return len(bytes.TrimLeft(o.Attributes.Bytes(ck.CKA_MODULUS), "\x00"))
	case ck.CKK_EC, ck.CKK_EC_EDWARDS:
		return orderBytes(o.Attributes.Bytes(ck.CKA_EC_PARAMS))
	case ck.CKK_DSA:
		return len(bytes.TrimLeft(o.Attributes.Bytes(ck.CKA_SUBPRIME), "\x00"))
	case ck.CKK_AES:
		return aes.BlockSize
	case ck.CKK_DES2, ck.CKK_DES3:
		return des.BlockSize
	}
	if set := mech.SetOf(o.keyType(), o.Attributes); set != nil {
		return set.LenOut
	}
	return 0
}
