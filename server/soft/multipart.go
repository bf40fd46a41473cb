package soft

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/unit"
)

// part is an operation between two calls. Its state holds the mechanism, the
// key's blob and, once data came, how far the hash or the cipher is; never the
// key itself.
type part struct {
	*operation
	begun bool
	run   interface {
		MarshalBinary() ([]byte, error)
		UnmarshalBinary(b []byte) error
	} // nil: single part only
}

// Init starts an operation.
func (u *Unit) Init(_ context.Context, op mech.Op, m mech.Mechanism, blob unit.Blob) (unit.State, error) {
	o, err := u.begin(op, m, blob)
	if err != nil {
		return nil, err
	}
	defer o.key.release()
	p := &part{operation: o}
	if err := p.start(); err != nil {
		return nil, err
	}
	return u.save(p)
}

// start makes the hash or cipher at its beginning.
func (p *part) start() (err error) {
	switch {
	case p.op == mech.OpEncrypt || p.op == mech.OpDecrypt:
		if p.eng.stream != nil {
			p.run, err = p.eng.stream(p.key, p.mech, p.op)
		}
	case p.eng.hash != nil:
		p.run, err = p.eng.hash(p.key, p.mech)
	}
	return err
}

const stateFormat = 1

func (u *Unit) save(p *part) (unit.State, error) {
	var run, param []byte
	var err error
	if p.begun {
		if run, err = p.run.MarshalBinary(); err != nil {
			return nil, fmt.Errorf("%v: %v: %w", p.mech.Type, err, ck.CKR_STATE_UNSAVEABLE)
		}
		defer clear(run)
	}
	if p.mech.Param != nil {
		if param, err = json.Marshal(p.mech.Param); err != nil {
			return nil, fmt.Errorf("%v: %v: %w", p.mech.Type, err, ck.CKR_STATE_UNSAVEABLE)
		}
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 64+len(param)+len(p.blob)+len(run)))
	b.AddUint8(stateFormat)
	b.AddUint8(uint8(p.op))
	b.AddUint32(uint32(p.mech.Type))
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(param) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.blob) })
	b.AddBytes(run)
	sealed, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%v: %v: %w", p.mech.Type, err, ck.CKR_STATE_UNSAVEABLE)
	}
	defer clear(sealed)
	wk, err := u.stateKey(p.blob)
	if err != nil {
		return nil, err
	}
	return wk.SealState(sealed)
}

// stateKey seals a state under the wrapping key of its key's blob, so that
// both are good equally long.
func (u *Unit) stateKey(b unit.Blob) (*unit.WrappingKey, error) {
	if _, raw := b.RawSPKI(); len(b) == 0 || raw {
		return u.sealing()
	}
	id, err := b.WKID()
	if err != nil {
		return nil, err
	}
	return u.of(id)
}

// load continues a state. One of another family of functions is
// CKR_OPERATION_NOT_INITIALIZED.
func (u *Unit) load(op mech.Op, state unit.State) (*part, error) {
	id, err := state.WKID()
	if err != nil {
		return nil, err
	}
	wk, err := u.of(id)
	if err != nil {
		return nil, err
	}
	sealed, err := wk.OpenState(state)
	if err != nil {
		return nil, err
	}
	return u.parse(op, sealed)
}

var errState = fmt.Errorf("state has another format: %w", ck.CKR_SAVED_STATE_INVALID)

func (u *Unit) parse(op mech.Op, sealed []byte) (*part, error) {
	s := cryptobyte.String(sealed)
	var format, was uint8
	var typ uint32
	var param, blob cryptobyte.String
	if !s.ReadUint8(&format) || format != stateFormat || !s.ReadUint8(&was) || !s.ReadUint32(&typ) ||
		!s.ReadUint24LengthPrefixed(&param) || !s.ReadUint24LengthPrefixed(&blob) {
		return nil, errState
	}
	if mech.Op(was) != op {
		return nil, fmt.Errorf("state of another function: %w", ck.CKR_OPERATION_NOT_INITIALIZED)
	}
	if op == mech.OpDigest && len(blob) > 0 {
		return nil, errState // digests have no key
	}
	m := mech.Mechanism{Type: ck.MechanismType(typ)}
	var err error
	if m.Param, err = parseParam(m.Type, param); err != nil {
		return nil, err
	}
	o, err := u.begin(op, m, unit.Blob(blob))
	if err != nil {
		return nil, err
	}
	p := &part{operation: o, begun: len(s) > 0}
	err = p.start()
	if err == nil && p.begun && (p.run == nil || p.run.UnmarshalBinary(s) != nil) {
		err = errState
	}
	if err != nil {
		o.key.release()
		return nil, err
	}
	return p, nil
}

func parseParam(t ck.MechanismType, b []byte) (mech.Param, error) {
	if len(b) == 0 {
		return nil, nil
	}
	row, err := mech.Lookup(t)
	if err != nil {
		return nil, err
	}
	read := paramOf[row.Param]
	if read == nil {
		return nil, errState
	}
	return read(b)
}

// paramOf reads a kind of parameter back from a state.
var paramOf = map[mech.ParamKind]func([]byte) (mech.Param, error){
	mech.ParamIV:        fromJSON[mech.IV],
	mech.ParamKeyWrapIV: fromJSON[mech.IV],
	mech.ParamBytes:     fromJSON[mech.Raw],
	mech.ParamPSS:       fromJSON[*mech.PSS],
	mech.ParamOAEP:      fromJSON[*mech.OAEP],
	mech.ParamCTR:       fromJSON[*mech.CTR],
	mech.ParamGCM:       fromJSON[*mech.GCM],
	mech.ParamECDH1:     fromJSON[*mech.ECDH1],
	mech.ParamEdDSA:     fromJSON[*mech.EdDSA],

	mech.ParamECSG:        fromJSON[*mech.ECSG],
	mech.ParamCCM:         fromJSON[*mech.CCM],
	mech.ParamChaCha:      fromJSON[*mech.ChaCha],
	mech.ParamContext:     fromJSON[*mech.SignContext],
	mech.ParamHashContext: fromJSON[*mech.SignContext],

	mech.ParamMACLen:   fromJSON[*mech.MACLen],
	mech.ParamChaCha20: fromJSON[*mech.ChaCha20],
	mech.ParamSipHash:  fromJSON[*mech.SipHash],
}

func fromJSON[P mech.Param](b []byte) (mech.Param, error) {
	var p P
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, errState
	}
	return p, nil
}

// Update takes the next part.
func (u *Unit) Update(_ context.Context, op mech.Op, s unit.State, data []byte) ([]byte, unit.State, error) {
	p, err := u.load(op, s)
	if err != nil {
		return nil, nil, err
	}
	defer p.key.release()
	out, err := p.update(data)
	if err != nil {
		return nil, nil, err
	}
	next, err := u.save(p)
	return out, next, err
}

func (p *part) update(data []byte) ([]byte, error) {
	p.begun = true
	switch run := p.run.(type) {
	case stream:
		return run.update(data)
	case running:
		_, err := run.Write(data)
		return nil, err
	}
	return nil, fmt.Errorf("%v has no multi-part functions: %w", p.mech.Type, ck.CKR_OPERATION_NOT_INITIALIZED)
}

// DigestKey adds a secret key's value to a digest.
func (u *Unit) DigestKey(_ context.Context, s unit.State, blob unit.Blob) (unit.State, error) {
	p, err := u.load(mech.OpDigest, s)
	if err != nil {
		return nil, err
	}
	k, err := u.openKey(blob)
	if err != nil {
		return nil, err
	}
	defer k.release()
	if k.class != ck.CKO_SECRET_KEY {
		return nil, fmt.Errorf("%v has no value to digest: %w", k.class, ck.CKR_KEY_INDIGESTIBLE)
	}
	if k.bits.Has(unit.BitAttrBound) && !k.bits.Has(unit.BitUseAsData) {
		return nil, fmt.Errorf("attribute-bound key is not for use as data: %w", ck.CKR_KEY_INDIGESTIBLE)
	}
	value, err := u.digestible(k)
	if err != nil {
		return nil, err
	}
	defer value.Wipe()
	if _, err := p.update(value); err != nil {
		return nil, err
	}
	return u.save(p)
}

// digestible is a key's value to be hashed. One in a device that may not be read
// stays there.
func (u *Unit) digestible(k *key) (ck.Secret, error) {
	if k.remote != nil && !u.inMemory && !k.readable() {
		return nil, fmt.Errorf("the HSM does not give its value: %w", ck.CKR_KEY_INDIGESTIBLE)
	}
	return k.secret(u)
}

// Finish ends an operation.
func (u *Unit) Finish(_ context.Context, op mech.Op, s unit.State, in unit.Input, whole bool) ([]byte, error) {
	p, err := u.load(op, s)
	if err != nil {
		return nil, err
	}
	defer p.key.release()
	if whole {
		if p.begun {
			return nil, fmt.Errorf("one-part call after an update: %w", ck.CKR_OPERATION_ACTIVE)
		}
		return p.whole(in)
	}
	return p.final(in)
}

func (p *part) final(in unit.Input) ([]byte, error) {
	switch run := p.run.(type) {
	case stream:
		return run.final()
	case running:
		return p.end(run.Sum(nil), in.Signature)
	}
	return nil, fmt.Errorf("%v has no multi-part functions: %w", p.mech.Type, ck.CKR_OPERATION_NOT_INITIALIZED)
}
