package grep11client

import (
	"context"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// State is a sealed multi-part operation.
type State []byte

type pb = grep11pb.Mechanism

// family has the requests of one kind of operation. The five families differ
// in the names of their messages alone.
type family struct {
	single func(m *pb, key *grep11pb.KeyBlob, data, sig []byte) *extpb.Request
	init   func(m *pb, key *grep11pb.KeyBlob) *extpb.Request
	update func(s, data []byte) *extpb.Request
	finish func(s, sig []byte) *extpb.Request
}

// families is indexed by mech.Op.
var families = [...]family{
	mech.OpDigest:  digestFamily,
	mech.OpEncrypt: encryptFamily,
	mech.OpDecrypt: decryptFamily,
	mech.OpSign:    signFamily,
	mech.OpVerify:  verifyFamily,
}

// bytesOf gives the result of Single, Update or Finish: the digest, the
// signature, the ciphertext or the plaintext.
func bytesOf(r *extpb.Response) []byte {
	switch r := r.Result.(type) {
	case *extpb.Response_SignSingle:
		return r.SignSingle.GetSignature()
	case *extpb.Response_EncryptSingle:
		return r.EncryptSingle.GetCiphered()
	case *extpb.Response_DecryptSingle:
		return r.DecryptSingle.GetPlain()
	case *extpb.Response_DigestSingle:
		return r.DigestSingle.GetDigest()
	case *extpb.Response_EncryptUpdate:
		return r.EncryptUpdate.GetCiphered()
	case *extpb.Response_DecryptUpdate:
		return r.DecryptUpdate.GetPlain()
	case *extpb.Response_EncryptFinal:
		return r.EncryptFinal.GetCiphered()
	case *extpb.Response_DecryptFinal:
		return r.DecryptFinal.GetPlain()
	case *extpb.Response_SignFinal:
		return r.SignFinal.GetSignature()
	case *extpb.Response_DigestFinal:
		return r.DigestFinal.GetDigest()
	}
	return nil
}

// stateOf gives the state that an Init or Update left.
func stateOf(r *extpb.Response) State {
	switch r := r.Result.(type) {
	case *extpb.Response_DigestInit:
		return r.DigestInit.GetState()
	case *extpb.Response_DigestUpdate:
		return r.DigestUpdate.GetState()
	case *extpb.Response_DigestKey:
		return r.DigestKey.GetState()
	case *extpb.Response_EncryptInit:
		return r.EncryptInit.GetState()
	case *extpb.Response_EncryptUpdate:
		return r.EncryptUpdate.GetState()
	case *extpb.Response_DecryptInit:
		return r.DecryptInit.GetState()
	case *extpb.Response_DecryptUpdate:
		return r.DecryptUpdate.GetState()
	case *extpb.Response_SignInit:
		return r.SignInit.GetState()
	case *extpb.Response_SignUpdate:
		return r.SignUpdate.GetState()
	case *extpb.Response_VerifyInit:
		return r.VerifyInit.GetState()
	case *extpb.Response_VerifyUpdate:
		return r.VerifyUpdate.GetState()
	}
	return nil
}

// Single runs a whole operation in one round trip. sig is for verification
// only. Prehashed: data is the mechanism's digest of the message; see CanPrehash.
// Data too long for one message goes in parts, where the mechanism has any.
func (t *Token) Single(ctx context.Context, op mech.Op, m mech.Mechanism, key Key, data, sig []byte, prehashed bool) ([]byte, error) {
	if len(data) > maxData {
		return t.inParts(ctx, op, m, key, data, sig)
	}
	w, err := wire.EncodeMechanism(m)
	if err != nil {
		return nil, err
	}
	req := families[op].single(w, key.wire(), data, sig)
	req.Prehashed = prehashed
	resp, err := t.call(ctx, req)
	if err != nil {
		return nil, err
	}
	return bytesOf(resp), nil
}

// maxData bounds the data of one message, in bytes; messages have room for
// twice as much, since results may be longer.
const maxData = maxMessage / 2

func (t *Token) inParts(ctx context.Context, op mech.Op, m mech.Mechanism, key Key, data, sig []byte) ([]byte, error) {
	row, err := mech.Lookup(m.Type)
	if err != nil {
		return nil, err
	}
	if row.Single {
		return nil, fmt.Errorf("%v over %d bytes: %w", m, len(data), ck.CKR_DATA_LEN_RANGE)
	}
	state, err := t.Init(ctx, op, m, key)
	if err != nil {
		return nil, err
	}
	var out, part []byte
	for rest := data; len(rest) > 0; {
		n := min(len(rest), maxData)
		if part, state, err = t.Update(ctx, op, state, rest[:n]); err != nil {
			return nil, err
		}
		out, rest = append(out, part...), rest[n:]
	}
	part, err = t.Finish(ctx, op, state, sig)
	return append(out, part...), err
}

// CanPrehash tells whether the service takes digests under combined
// mechanisms. Before the first call it may have to ask.
func (t *Token) CanPrehash(ctx context.Context) bool {
	l := t.c.best(nil)
	if l == nil || l.answers.Load() == 0 {
		if _, err := t.c.Service(ctx); err != nil {
			return false
		}
		l = t.c.best(nil)
	}
	return l != nil && !l.unary.Load()
}

// Init starts an operation in parts.
func (t *Token) Init(ctx context.Context, op mech.Op, m mech.Mechanism, key Key) (State, error) {
	w, err := wire.EncodeMechanism(m)
	if err != nil {
		return nil, err
	}
	return t.state(ctx, families[op].init(w, key.wire()))
}

func (t *Token) state(ctx context.Context, req *extpb.Request) (State, error) {
	resp, err := t.call(ctx, req)
	if err != nil {
		return nil, err
	}
	return checkState(stateOf(resp))
}

// checkState: an operation without a state could not go on.
func checkState(s State) (State, error) {
	if len(s) == 0 {
		return nil, fmt.Errorf("the service gave no state: %w", ck.CKR_DEVICE_ERROR)
	}
	return s, nil
}

// Update continues an operation. The state it takes may be used again, after
// an error; the one it gives replaces it.
func (t *Token) Update(ctx context.Context, op mech.Op, s State, data []byte) (out []byte, next State, err error) {
	resp, err := t.call(ctx, families[op].update(s, data))
	if err != nil {
		return nil, nil, err
	}
	next, err = checkState(stateOf(resp))
	return bytesOf(resp), next, err
}

// DigestKey adds a key's value to a digest.
func (t *Token) DigestKey(ctx context.Context, s State, key Key) (State, error) {
	return t.state(ctx, &extpb.Request{Call: &extpb.Request_DigestKey{
		DigestKey: &grep11pb.DigestKeyRequest{State: s, Key: key.wire()}}})
}

// Finish ends an operation. It takes the signature to verify, nil otherwise.
func (t *Token) Finish(ctx context.Context, op mech.Op, s State, sig []byte) ([]byte, error) {
	resp, err := t.call(ctx, families[op].finish(s, sig))
	if err != nil {
		return nil, err
	}
	return bytesOf(resp), nil
}

// Random gives n random bytes of a unit.
func (t *Token) Random(ctx context.Context, n int) ([]byte, error) {
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_GenerateRandom{
		GenerateRandom: &grep11pb.GenerateRandomRequest{Len: uint64(n)}}})
	if err != nil {
		return nil, err
	}
	b := resp.GetGenerateRandom().GetRnd()
	if len(b) != n {
		return nil, fmt.Errorf("%d random bytes instead of %d: %w", len(b), n, ck.CKR_DEVICE_ERROR)
	}
	return b, nil
}
