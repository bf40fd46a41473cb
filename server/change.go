package server

import (
	"context"
	"errors"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/keystore"
	"grep11/server/unit"
)

// maxConflicts is how often a change is tried anew when another one of the
// same object came in between.
const maxConflicts = 8

func (x *extension) setAttributes(ctx context.Context, c access.Caller, r *extpb.SetAttributesRequest) (*extpb.ObjectResponse, error) {
	wanted, err := wire.DecodeTemplate(r.Attributes)
	if err != nil {
		return nil, err
	}
	if len(r.Id) == 0 {
		return x.setUnstored(ctx, c, r, wanted)
	}
	j, err := newJob(c, "SetAttributes", r.RequestId, r.Token)
	if err != nil {
		return nil, err
	}
	_, done, err := x.store.Result(ctx, j.request)
	for try := 0; err == nil && !done; try++ {
		err = x.setStored(ctx, j, r, wanted)
		if !errors.Is(err, ck.CKR_IBM_GREP11_CONFLICT) || try == maxConflicts {
			break
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	o, err := x.object(ctx, c, r.Token, r.Id)
	if err != nil {
		return nil, err
	}
	w, err := wireObject(o)
	return &extpb.ObjectResponse{Object: w}, err
}

func (x *extension) setStored(ctx context.Context, j job, r *extpb.SetAttributesRequest, wanted ck.Template) error {
	o, err := x.object(ctx, j.caller, r.Token, r.Id)
	if err != nil {
		return err
	}
	if ok, err := o.Attributes.Bool(ck.CKA_MODIFIABLE, true); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("object %x is not modifiable: %w", r.Id, ck.CKR_ACTION_PROHIBITED))
	}
	if isTrusted(o.Attributes) {
		return fmt.Errorf("object %x is a trusted certificate: %w", r.Id, ck.CKR_ACTION_PROHIBITED)
	}
	n, err := x.changed(ctx, j, newObject{o.Attributes, o.Blob}, false, wanted)
	if err != nil {
		return err
	}
	changed := *o
	changed.Version++
	changed.Attributes, changed.Blob = n.attributes, n.blob
	return x.store.Update(ctx, j.request, &changed)
}

// changed gives an object with changed attributes: a unit makes those that the
// blob seals, and says what they are then.
func (x *extension) changed(ctx context.Context, j job, o newObject, copying bool, wanted ck.Template) (newObject, error) {
	sealed, err := sift(o.attributes, len(o.blob) > 0, copying, j.caller, j.token, wanted)
	if err != nil {
		return o, err
	}
	n := newObject{attributes: o.attributes.With(wanted), blob: o.blob}
	if len(sealed) == 0 {
		return n, nil
	}
	if j.caller.SOOf(j.token) {
		ctx = unit.ByOfficer(ctx)
	}
	k, err := x.reseal(ctx, o.blob, sealed)
	if err != nil {
		return o, err
	}
	return newObject{n.attributes.With(k.Attributes), k.Blob}, nil
}

func (x *extension) reseal(ctx context.Context, blob unit.Blob, t ck.Template) (unit.Key, error) {
	return x.do(ctx, func(u unit.Unit) (unit.Key, error) { return u.SetAttributes(ctx, blob, t) })
}

// setUnstored changes the blob of a session object, whose other attributes the
// library keeps.
func (x *extension) setUnstored(ctx context.Context, c access.Caller, r *extpb.SetAttributesRequest, wanted ck.Template) (*extpb.ObjectResponse, error) {
	known, err := x.sealed(ctx, r.Blob)
	if err != nil {
		return nil, err
	}
	token, _ := keystore.ParseID(r.Token) // zero: nobody's
	n, err := x.changed(ctx, job{caller: c, token: token}, newObject{known, r.Blob}, false, wanted)
	if err != nil {
		return nil, err
	}
	attributes, err := wire.EncodeTemplate(n.attributes)
	return &extpb.ObjectResponse{Object: &extpb.Object{Attributes: attributes, Blob: n.blob}}, err
}

func (x *extension) copyObject(ctx context.Context, c access.Caller, r *extpb.CopyObjectRequest) (*extpb.ObjectResponse, error) {
	j, err := newJob(c, "CopyObject", r.RequestId, r.Token)
	if err != nil {
		return nil, err
	}
	if result, done, err := x.store.Result(ctx, j.request); err != nil {
		return nil, err
	} else if done {
		return one(x.recall(ctx, j.token, result))
	}
	wanted, err := wire.DecodeTemplate(r.Attributes)
	if err != nil {
		return nil, err
	}
	source, err := x.source(ctx, j, r)
	if err != nil {
		return nil, err
	}
	if ok, err := source.attributes.Bool(ck.CKA_COPYABLE, true); err != nil || !ok {
		return nil, errors.Join(err, fmt.Errorf("object is not copyable: %w", ck.CKR_ACTION_PROHIBITED))
	}
	n, err := x.changed(ctx, j, source, true, wanted)
	if err != nil {
		return nil, err
	}
	if n.attributes, err = j.settle(n.attributes); err != nil {
		return nil, err
	}
	return one(x.keep(ctx, j, nil, n))
}

// source is what is to be copied: a stored object, or one that came along.
func (x *extension) source(ctx context.Context, j job, r *extpb.CopyObjectRequest) (newObject, error) {
	if len(r.Id) > 0 {
		o, err := x.object(ctx, j.caller, r.Token, r.Id)
		if err != nil {
			return newObject{}, err
		}
		return newObject{o.Attributes, o.Blob}, nil
	}
	t, err := wire.DecodeTemplate(r.Source)
	if err != nil {
		return newObject{}, err
	}
	return x.fresh(ctx, t, r.Blob)
}
