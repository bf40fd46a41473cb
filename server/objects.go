package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
	"grep11/server/access"
	"grep11/server/keystore"
	"grep11/server/unit"
)

func (x *extension) createObject(ctx context.Context, c access.Caller, r *extpb.CreateObjectRequest) (*extpb.ObjectResponse, error) {
	j, err := newJob(c, "CreateObject", r.RequestId, r.Token)
	if err != nil {
		return nil, err
	}
	t, err := wire.DecodeTemplate(r.Attributes)
	if err != nil {
		return nil, err
	}
	n, err := x.fresh(ctx, t, r.Blob)
	if err != nil {
		return nil, err
	}
	if n.attributes, err = j.settle(n.attributes.Set(ck.Bool(ck.CKA_TOKEN, true))); err != nil {
		return nil, err
	}
	return one(x.keep(ctx, j, nil, n))
}

// fresh takes an object from outside. What the blob of a key says counts.
func (x *extension) fresh(ctx context.Context, t ck.Template, blob unit.Blob) (newObject, error) {
	class, err := classOf(t)
	if err != nil {
		return newObject{}, err
	}
	if classes[class].key != (len(blob) > 0) {
		return newObject{}, fmt.Errorf("%v with a blob of %d bytes: %w", class, len(blob), ck.CKR_TEMPLATE_INCONSISTENT)
	}
	if err := checkNew(class, t); err != nil || len(blob) == 0 {
		return newObject{attributes: t}, err
	}
	known, err := x.sealed(ctx, blob)
	if err != nil {
		return newObject{}, err
	}
	if sealed, err := classOf(known); err != nil || sealed != class {
		return newObject{}, fmt.Errorf("blob of a %v as %v: %w", sealed, class, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return newObject{attributes: t.With(known), blob: blob}, nil
}

// sealed asks a unit for all that a blob says of its key.
func (x *extension) sealed(ctx context.Context, blob unit.Blob) (ck.Template, error) {
	k, err := x.do(ctx, func(u unit.Unit) (k unit.Key, err error) {
		k.Attributes, err = u.Attributes(ctx, blob, nil)
		return k, err
	})
	return k.Attributes, err
}

func (x *extension) findObjects(ctx context.Context, c access.Caller, r *extpb.FindObjectsRequest) (*extpb.FindObjectsResponse, error) {
	token, err := keystore.ParseID(r.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	t, err := wire.DecodeTemplate(r.Template)
	if err != nil {
		return nil, err
	}
	found, more, err := x.store.Find(ctx, token, keystore.Query{
		Template: t, After: ck.ObjectHandle(r.After), Max: int(r.Max), Private: c.UserOf(token),
	})
	if err != nil {
		return nil, err
	}
	out := &extpb.FindObjectsResponse{More: more}
	for _, o := range found {
		w, err := wireObject(o)
		if err != nil {
			return nil, err
		}
		out.Objects = append(out.Objects, w)
	}
	return out, nil
}

func (x *extension) getObject(ctx context.Context, c access.Caller, r *extpb.GetObjectRequest) (*extpb.ObjectResponse, error) {
	o, err := x.named(ctx, c, r)
	if err != nil {
		return nil, err
	}
	w, err := wireObject(o)
	if err != nil {
		return nil, err
	}
	w.Blob = o.Blob
	return &extpb.ObjectResponse{Object: w}, nil
}

// named finds an object by id or handle. Handles can be guessed, so a private
// object's handle is no handle to those who may not see it.
func (x *extension) named(ctx context.Context, c access.Caller, r *extpb.GetObjectRequest) (*keystore.Object, error) {
	if len(r.Id) > 0 {
		return x.object(ctx, c, r.Token, r.Id)
	}
	token, err := keystore.ParseID(r.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	o, err := x.store.ObjectByHandle(ctx, token, ck.ObjectHandle(r.Handle))
	if err == nil && !c.MaySee(o) {
		err = fmt.Errorf("object %x is not here: %w", r.Handle, ck.CKR_OBJECT_HANDLE_INVALID)
	}
	return o, err
}

func (x *extension) destroyObject(ctx context.Context, c access.Caller, r *extpb.DestroyObjectRequest) (*extpb.DestroyObjectResponse, error) {
	j, err := newJob(c, "DestroyObject", r.RequestId, r.Token)
	if err != nil {
		return nil, err
	}
	if _, done, err := x.store.Result(ctx, j.request); done || err != nil {
		return &extpb.DestroyObjectResponse{}, err
	}
	o, err := x.object(ctx, c, r.Token, r.Id)
	if err != nil {
		return nil, err
	}
	if ok, err := o.Attributes.Bool(ck.CKA_DESTROYABLE, true); err != nil || !ok {
		return nil, errors.Join(err, fmt.Errorf("object %x is not destroyable: %w", r.Id, ck.CKR_ACTION_PROHIBITED))
	}
	return &extpb.DestroyObjectResponse{}, x.store.Destroy(ctx, j.request, o.ID)
}

// wireObject is an object in an answer, without its blob.
func wireObject(o *keystore.Object) (*extpb.Object, error) {
	attributes, err := wire.EncodeTemplate(o.Attributes)
	return &extpb.Object{Id: o.ID[:], Handle: uint64(o.Handle), Version: o.Version, Attributes: attributes}, err
}

// one is the answer of calls that make one object.
func one(r *extpb.MakeKeyResponse, err error) (*extpb.ObjectResponse, error) {
	if err != nil {
		return nil, err
	}
	return &extpb.ObjectResponse{Object: r.Objects[0]}, nil
}

// job is a change that a caller asked for.
type job struct {
	caller  access.Caller
	token   keystore.ID
	request keystore.Request
}

func newJob(c access.Caller, method string, requestID, token []byte) (job, error) {
	t, err := keystore.ParseID(token)
	if err != nil {
		return job{}, fmt.Errorf("token: %w", err)
	}
	r, err := request(requestID, method, t)
	return job{c, t, r}, err
}

// settle completes the attributes of a new object, and checks that the caller
// may have it so.
func (j job) settle(t ck.Template) (ck.Template, error) {
	class, err := classOf(t)
	if err != nil {
		return nil, err
	}
	private, err := isPrivate(class, t, j.caller, j.token)
	if err != nil {
		return nil, err
	}
	token, err := t.Bool(ck.CKA_TOKEN, false)
	if err != nil {
		return nil, err
	}
	if on, err := t.Bool(ck.CKA_TRUSTED, false); err != nil || on && !j.caller.SOOf(j.token) {
		return nil, errors.Join(err, fmt.Errorf("CKA_TRUSTED is the SO's to set: %w", ck.CKR_ATTRIBUTE_READ_ONLY))
	}
	return complete(class, t, token, private), nil
}

// newObject is an object about to be stored, or given out as a session object.
type newObject struct {
	attributes ck.Template
	blob       unit.Blob
}

func (n newObject) stored() bool {
	token, _ := n.attributes.Bool(ck.CKA_TOKEN, false) // settle made it
	return token
}

// keep stores those of the objects that are token objects, as one, and answers
// with all. A repeat of the request gets the first answer.
func (x *extension) keep(ctx context.Context, j job, checkSum []byte, objects ...newObject) (*extpb.MakeKeyResponse, error) {
	answer := &extpb.MakeKeyResponse{CheckSum: checkSum}
	var rows []*keystore.Object
	places := map[*keystore.Object]*extpb.Object{}
	for _, n := range objects {
		o := j.row(n)
		w, err := wireObject(o)
		if err != nil {
			return nil, err
		}
		answer.Objects = append(answer.Objects, w)
		if n.stored() {
			rows = append(rows, o)
			places[o] = w
		} else {
			w.Id, w.Version, w.Blob = nil, 0, n.blob
		}
	}
	if len(rows) == 0 {
		return answer, nil
	}
	result, err := x.store.Create(ctx, j.request, rows, func() ([]byte, error) {
		for o, w := range places {
			w.Handle = uint64(o.Handle)
		}
		return shorten(answer)
	})
	if err != nil {
		return nil, err
	}
	if rows[0].Handle == 0 { // the request was answered meanwhile
		return x.recall(ctx, j.token, result)
	}
	return answer, nil
}

// row is the object as it is stored.
func (j job) row(n newObject) *keystore.Object {
	o := &keystore.Object{ID: keystore.NewID(), Token: j.token, Version: 1, Blob: n.blob}
	o.Private, _ = n.attributes.Bool(ck.CKA_PRIVATE, false) // settle made it
	o.Attributes = n.attributes
	if n.stored() {
		o.Attributes = append(o.Attributes[:len(o.Attributes):len(o.Attributes)],
			ck.Bytes(ck.CKA_UNIQUE_ID, fmt.Appendf(nil, "%x", o.ID[:])))
	}
	return o
}

// shorten is what a request's row keeps of its answer: of stored objects only
// their names, for the rest is in their own rows.
func shorten(r *extpb.MakeKeyResponse) ([]byte, error) {
	short := &extpb.MakeKeyResponse{CheckSum: r.CheckSum}
	for _, o := range r.Objects {
		if o.Handle != 0 {
			o = &extpb.Object{Id: o.Id, Handle: o.Handle}
		}
		short.Objects = append(short.Objects, o)
	}
	return proto.Marshal(short)
}

// recall makes the answer again. An object that was destroyed since has no
// attributes.
func (x *extension) recall(ctx context.Context, token keystore.ID, result []byte) (*extpb.MakeKeyResponse, error) {
	r := &extpb.MakeKeyResponse{}
	if err := proto.Unmarshal(result, r); err != nil {
		return nil, fmt.Errorf("stored answer of a request: %v: %w", err, ck.CKR_DEVICE_ERROR)
	}
	for i, w := range r.Objects {
		if w.Handle == 0 {
			continue
		}
		o, err := x.store.ObjectByHandle(ctx, token, ck.ObjectHandle(w.Handle))
		if errors.Is(err, ck.CKR_OBJECT_HANDLE_INVALID) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Objects[i], err = wireObject(o); err != nil {
			return nil, err
		}
	}
	return r, nil
}
