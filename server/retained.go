package server

import (
	"context"
	"fmt"

	"grep11/grep11client/extpb"
	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// Retained keys (CKM_IBM_RETAINKEY) are in the store that the service's servers
// share, so that each of them knows the handle and counts the uses. Their blobs
// never leave it: with one, uses would not be counted.

// isRetained tells a handle from a blob.
func isRetained(given []byte) bool { return len(given) == mech.LenRetained }

// use gives the blob of a key that is about to be used. The use of a retained key is paid
// before it happens, and once, whatever comes of it.
func (c *call) use(ctx context.Context, given unit.Blob) (unit.Blob, error) {
	if !isRetained(given) {
		return given, nil
	}
	store := c.srv.ext.store
	k, err := store.Retained(ctx, given)
	if err != nil {
		return nil, err
	}
	if c.inParts && k.Credits != keystore.Unlimited {
		return nil, fmt.Errorf("a state could be used again, and retained key %x counts its uses: %w", k.ID[:], ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	}
	return k.Blob, store.Spend(ctx, k)
}

// wrapsSecret are the derivations whose data is the blob of a wrapping key.
var wrapsSecret = map[ck.MechanismType]bool{
	ck.CKM_IBM_DH_PKCS_DERIVE_RAW: true, ck.CKM_IBM_ECDH1_DERIVE_RAW: true,
	ck.CKM_IBM_EC_X25519_RAW: true, ck.CKM_IBM_EC_X448_RAW: true,
}

// second finds the blob of a derivation's second key, in its data or its parameter.
func (c *call) second(ctx context.Context, m mech.Mechanism, data []byte) (_ []byte, err error) {
	if p, ok := m.Param.(*mech.Kyber); ok {
		p.Blob, err = c.use(ctx, p.Blob)
		return data, err
	}
	if wrapsSecret[m.Type] {
		return c.use(ctx, data)
	}
	return data, nil
}

// retain moves a key into the store and gives its handle. A handle that comes
// back gets new credits, if the refill data is the same.
func (c *call) retain(ctx context.Context, m mech.Mechanism, k *pb.KeyBlob, legacy []byte) (handle []byte, err error) {
	given, err := c.given(ctx, k, legacy)
	if err != nil {
		return nil, err
	}
	blob, err := c.object(ctx, given)
	if err != nil {
		return nil, err
	}
	kept, err := onUnit(ctx, c, func(u unit.Unit) ([]byte, error) { return u.WrapKey(ctx, m, blob, nil, nil) })
	if err != nil {
		return nil, err
	}
	p, err := mech.As[*mech.Retain](m)
	if err != nil {
		return nil, err
	}
	if isRetained(given) {
		return given, c.srv.ext.store.Refill(ctx, keystore.ID(given), credits(p), p.Refill)
	}
	return c.srv.ext.store.Retain(ctx, kept, credits(p), p.Refill)
}

// credits of a parameter that the unit has checked.
func credits(p *mech.Retain) int64 {
	if p.Credits == 0 {
		return keystore.Unlimited
	}
	return int64(p.Credits)
}

// rewrapRetained rewraps what a handle stands for. Another call that does the same
// may be faster.
func (c *call) rewrapRetained(ctx context.Context, handle []byte) error {
	k, err := c.srv.ext.store.Retained(ctx, handle)
	if err != nil {
		return err
	}
	if err := c.rewrapOne(ctx, k.Sealed()); !keystore.Changed(err) {
		return err
	}
	return nil
}

// retainedPage is how many retained keys are listed at a time.
const retainedPage = 500

// ListRetained is for who has to keep them in order; it shows no handles.
func (c *call) ListRetained(ctx context.Context, r *extpb.ListRetainedRequest) (*extpb.ListRetainedResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	keys, err := c.srv.ext.store.ListRetained(ctx, ck.ObjectHandle(r.After), retainedPage)
	if err != nil {
		return nil, err
	}
	out := &extpb.ListRetainedResponse{}
	for _, k := range keys {
		out.Keys = append(out.Keys, c.describeRetained(ctx, k))
	}
	if len(keys) == retainedPage {
		out.Next = uint64(keys[retainedPage-1].Place)
	}
	return out, ctx.Err()
}

func (c *call) describeRetained(ctx context.Context, k keystore.Retained) *extpb.RetainedKey {
	w := &extpb.RetainedKey{Id: k.ID[:], Made: k.Made.Unix(), Unlimited: k.Credits == keystore.Unlimited}
	if !w.Unlimited {
		w.Credits = uint64(k.Credits)
	}
	t, err := c.srv.ext.sealed(ctx, k.Blob)
	if err != nil {
		w.Detail = ck.RVOf(err).Error()
		return w
	}
	w.Class, _, _ = t.Ulong(ck.CKA_CLASS) // the unit made them
	w.KeyType, _, _ = t.Ulong(ck.CKA_KEY_TYPE)
	w.CheckValue = t.Bytes(ck.CKA_CHECK_VALUE)
	return w
}

// RemoveRetained is what an owner who lost a handle, or fears that another one has
// it, asks for.
func (c *call) RemoveRetained(ctx context.Context, r *extpb.RemoveRetainedRequest) (*extpb.RemoveRetainedResponse, error) {
	if err := administrator(ctx); err != nil {
		return nil, err
	}
	id, err := keystore.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	return &extpb.RemoveRetainedResponse{}, c.srv.ext.store.RemoveRetained(ctx, id)
}
