package soft

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

func invalidMechanism(m mech.Mechanism, why string) error {
	return fmt.Errorf("%v %s: %w", m.Type, why, ck.CKR_MECHANISM_INVALID)
}

// rights that each kind of operation needs of its key.
var rights = [...]unit.Bits{
	mech.OpEncrypt: unit.BitEncrypt,
	mech.OpDecrypt: unit.BitDecrypt,
	mech.OpSign:    unit.BitSign,
	mech.OpVerify:  unit.BitVerify,
}

// operation is one that may run: mechanism and key were checked against each
// other. Whoever holds one keeps its key until the end (release).
type operation struct {
	op   mech.Op
	mech mech.Mechanism
	row  *mech.Row
	eng  *engine
	blob unit.Blob
	key  *key // nil for digests
	// policy is the unit's when the operation began.
	policy *policy
}

func (u *Unit) begin(op mech.Op, m mech.Mechanism, blob unit.Blob) (*operation, error) {
	e, row, err := u.engineOf(m, op.Flag())
	if err != nil {
		return nil, err
	}
	o := &operation{op: op, mech: m, row: row, eng: e, blob: blob, policy: u.policy.Load()}
	if len(row.Keys) == 0 {
		return o, nil
	}
	if o.key, err = u.operationKey(op, m, blob); err != nil {
		return nil, err
	}
	if err := u.may(o.key, rights[op], m, row); err != nil {
		o.key.release()
		return nil, err
	}
	return o, nil
}

// operationKey also takes a plain SPKI to verify with (grep11-wire 11.5).
func (u *Unit) operationKey(op mech.Op, m mech.Mechanism, b unit.Blob) (*key, error) {
	if spki, ok := b.RawSPKI(); ok && op == mech.OpVerify {
		return rawPublic(spki)
	}
	if op == mech.OpVerify && isBLS(m) {
		return u.concatenated(b)
	}
	return u.openKey(b)
}

// may is what key and policy allow.
func (u *Unit) may(k *key, right unit.Bits, m mech.Mechanism, row *mech.Row) error {
	if err := k.may(right, m, row); err != nil {
		return err
	}
	return u.policy.Load().permits(right, m, row, k)
}

// may checks a right, the mechanism against the key's type and its list of
// allowed mechanisms.
func (k *key) may(right unit.Bits, m mech.Mechanism, row *mech.Row) error {
	if !row.Allows(k.typ) {
		return fmt.Errorf("%v with a key of type %v: %w", m.Type, k.typ, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	recovering := right == unit.BitSign && mech.Recovers(m.Type) && k.bits.Has(unit.BitSignRecover)
	if !k.bits.Has(right) && !recovering {
		return fmt.Errorf("the key was not made for this use: %w", ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	return k.allows(m.Type)
}

func (k *key) allows(m ck.MechanismType) error {
	if k.allowed == nil {
		return nil
	}
	for _, t := range k.allowed {
		if t == m {
			return nil
		}
	}
	return fmt.Errorf("%v is not among the key's allowed mechanisms: %w", m, ck.CKR_MECHANISM_INVALID)
}

// Single runs a whole operation.
func (u *Unit) Single(_ context.Context, op mech.Op, m mech.Mechanism, blob unit.Blob, in unit.Input) ([]byte, error) {
	o, err := u.begin(op, m, blob)
	if err != nil {
		return nil, err
	}
	defer o.key.release()
	return o.whole(in)
}

// whole runs the operation on all its data.
func (o *operation) whole(in unit.Input) ([]byte, error) {
	if o.op == mech.OpEncrypt || o.op == mech.OpDecrypt {
		return o.eng.crypt(o.key, o.mech, o.op, in.Data)
	}
	data, err := o.reduce(in)
	if err != nil {
		return nil, err
	}
	return o.end(data, in.Signature)
}

// reduce hashes the message where the mechanism does.
func (o *operation) reduce(in unit.Input) ([]byte, error) {
	if in.Prehashed {
		return o.prehashed(in.Data)
	}
	if o.eng.hash == nil {
		return in.Data, nil
	}
	h, err := o.eng.hash(o.key, o.mech)
	if err != nil {
		return nil, err
	}
	h.Write(in.Data)
	return h.Sum(nil), nil
}

// prehashed takes a digest under a mechanism that combines a hash with a
// signature; the key's allowed mechanisms were checked against that one.
func (o *operation) prehashed(digest []byte) ([]byte, error) {
	if o.op == mech.OpDigest || o.row.Hash == 0 || o.row.Out != mech.OutModulus && o.row.Out != mech.OutTwiceOrder {
		return nil, fmt.Errorf("%v takes no digest: %w", o.mech.Type, ck.CKR_DATA_INVALID)
	}
	if len(digest) != o.row.Hash.Size() {
		return nil, fmt.Errorf("digest of %d bytes for %v: %w", len(digest), o.mech.Type, ck.CKR_DATA_LEN_RANGE)
	}
	return digest, nil
}

// end makes or checks the result of digest, sign and verify.
func (o *operation) end(data, sig []byte) ([]byte, error) {
	switch o.op {
	case mech.OpSign:
		sig, err := o.eng.sign(o.key, o.mech, data)
		if err != nil {
			return nil, err
		}
		if err := o.policy.crossCheck(o, data, sig); err != nil {
			return nil, err
		}
		return sig, nil
	case mech.OpVerify:
		return nil, o.eng.verify(o.key, o.mech, data, sig)
	}
	return data, nil
}

// Reencrypt decrypts and encrypts again; the plaintext stays here.
func (u *Unit) Reencrypt(ctx context.Context, dec mech.Mechanism, decKey unit.Blob, enc mech.Mechanism, encKey unit.Blob, data []byte) ([]byte, error) {
	to, err := u.begin(mech.OpEncrypt, enc, encKey) // before anything is decrypted
	if err != nil {
		return nil, err
	}
	defer to.key.release()
	plain, err := u.Single(ctx, mech.OpDecrypt, dec, decKey, unit.Input{Data: data})
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return to.whole(unit.Input{Data: plain})
}
