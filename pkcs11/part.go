package pkcs11

import (
	"context"
	"fmt"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/pkcs11/public"
)

// How data reaches the service: an operation's data is hashed here, or
// collected here and sent in one round trip at the end; only what is too long
// for that goes in parts, with a state that the service seals.

const (
	maxCollected = 64 << 10 // before parts are sent
	maxSingle    = 16 << 20 // sent at once, if the caller has it at once
	maxHeld      = 64 << 20 // where a mechanism needs all data at its end
	lenPart      = 1 << 20  // of one request
)

// hashes tells whether the mechanism signs a digest that may be made here.
func (op *operation) hashes() bool {
	signature := op.row.Out == mech.OutModulus || op.row.Out == mech.OutTwiceOrder
	return op.row.Hash != 0 && signature
}

// local tells whether Go's crypto does the operation here: it needs no secret.
func (s *session) local(op *operation) bool {
	if !s.slot.service.localPublicOps || op.key == nil || op.key.class != ck.CKO_PUBLIC_KEY {
		return false
	}
	return op.key.publicKey().Can(opKinds[op.kind].op, op.mech)
}

// prehash starts hashing here if the operation's end can take a digest.
func (s *session) prehash(ctx context.Context, op *operation) bool {
	if op.hash != nil {
		return true
	}
	if op.parts || !op.hashes() || !s.slot.service.localPublicOps {
		return false
	}
	if !s.local(op) && !s.slot.token().CanPrehash(ctx) {
		return false
	}
	op.hash = op.row.Hash.New()
	return true
}

// single does an operation on all its data.
func (s *session) single(ctx context.Context, op *operation, data, sig []byte) ([]byte, error) {
	prehashed := s.prehash(ctx, op)
	if prehashed {
		op.hash.Reset()
		op.hash.Write(data)
		data = op.hash.Sum(nil)
	}
	return s.finish(ctx, op, data, sig, prehashed)
}

// finish gives data, or its digest, to whoever does the operation.
func (s *session) finish(ctx context.Context, op *operation, data, sig []byte, prehashed bool) ([]byte, error) {
	o := opKinds[op.kind].op
	if s.local(op) {
		return s.localOp(op, data, sig, prehashed)
	}
	if len(data) > maxSingle && !op.row.Single {
		return s.inParts(ctx, op, data, sig)
	}
	return s.slot.token().Single(ctx, o, op.mech, op.key.Key, data, sig, prehashed)
}

func (s *session) localOp(op *operation, data, sig []byte, prehashed bool) ([]byte, error) {
	k := op.key.publicKey()
	if opKinds[op.kind].op == mech.OpVerify {
		return nil, k.Verify(op.mech, data, sig, prehashed)
	}
	return k.Encrypt(op.mech, data)
}

// inParts sends data that is too long for one message.
func (s *session) inParts(ctx context.Context, op *operation, data, sig []byte) ([]byte, error) {
	out, err := s.send(ctx, op, data)
	if err != nil {
		return nil, err
	}
	rest, err := s.slot.token().Finish(ctx, opKinds[op.kind].op, op.state, sig)
	return append(out, rest...), err
}

// send passes data on to the service, in pieces.
func (s *session) send(ctx context.Context, op *operation, data []byte) (out []byte, err error) {
	o, token := opKinds[op.kind].op, s.slot.token()
	if op.state == nil {
		if op.state, err = token.Init(ctx, o, op.mech, op.key.Key); err != nil {
			return nil, err
		}
	}
	for len(data) > 0 {
		n := min(len(data), lenPart)
		piece, next, err := token.Update(ctx, o, op.state, data[:n])
		if err != nil {
			return nil, err
		}
		op.state, out, data = next, append(out, piece...), data[n:]
	}
	return out, nil
}

// collect takes a part of what is signed or verified.
func (s *session) collect(ctx context.Context, op *operation, part []byte) error {
	hashed := s.prehash(ctx, op)
	op.parts = true
	if hashed {
		op.hash.Write(part)
		return nil
	}
	needsAll := op.row.Single || s.local(op)
	if needsAll && len(op.buf)+len(part) > maxHeld {
		return fmt.Errorf("%v takes %d bytes at most: %w", op.mech, maxHeld, ck.CKR_DATA_LEN_RANGE)
	}
	if needsAll || len(op.buf)+len(part) <= maxCollected {
		op.buf = append(op.buf, part...)
		return nil
	}
	_, err := s.send(ctx, op, append(op.buf, part...))
	op.buf = op.buf[:0]
	return err
}

// collected ends what collect began.
func (s *session) collected(ctx context.Context, op *operation, sig []byte) ([]byte, error) {
	switch {
	case op.hash != nil:
		return s.finish(ctx, op, op.hash.Sum(nil), sig, true)
	case op.state != nil:
		return s.inParts(ctx, op, op.buf, sig)
	}
	return s.single(ctx, op, op.buf, sig)
}

// orderBytes is the length of a curve's order.
func orderBytes(params []byte) int { return public.OrderBytes(params) }
