package grep11client

import (
	"context"
	"errors"
	"fmt"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

// maxPage is the most objects that the service gives at once.
const maxPage = 1000

func object(o *extpb.Object) (Object, error) {
	if o == nil {
		return Object{}, fmt.Errorf("the service gave no object: %w", ck.CKR_DEVICE_ERROR)
	}
	known, err := decodeKnown(o.Attributes)
	return Object{Key: Key{ID: o.Id, Blob: o.Blob}, Handle: ck.ObjectHandle(o.Handle), Version: o.Version, Attributes: known}, err
}

func objects(in []*extpb.Object) ([]Object, error) {
	out := make([]Object, 0, len(in))
	for _, o := range in {
		one, err := object(o)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// CreateObject stores a certificate or a data object.
func (t *Token) CreateObject(ctx context.Context, tmpl ck.Template) (Object, error) {
	attrs, err := wire.EncodeTemplate(tmpl)
	if err != nil {
		return Object{}, err
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_CreateObject{CreateObject: &extpb.CreateObjectRequest{
		RequestId: requestID(), Token: t.id, Attributes: attrs}}})
	if err != nil {
		return Object{}, err
	}
	return object(resp.GetCreateObject().GetObject())
}

// FindObjects gives a page of at most max stored objects whose handles come
// after one, in the order of handles, and whether more match.
func (t *Token) FindObjects(ctx context.Context, tmpl ck.Template, after ck.ObjectHandle, max int) (found []Object, more bool, err error) {
	attrs, err := wire.EncodeTemplate(tmpl)
	if err != nil {
		return nil, false, err
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_FindObjects{FindObjects: &extpb.FindObjectsRequest{
		Token: t.id, Template: attrs, After: uint64(after), Max: uint32(min(max, maxPage))}}})
	if err != nil {
		return nil, false, err
	}
	if found, err = objects(resp.GetFindObjects().GetObjects()); err != nil {
		return nil, false, err
	}
	for _, o := range found { // who asks for all pages would do so for ever
		if o.Handle <= after {
			return nil, false, fmt.Errorf("object %#x comes after %#x in the service's page: %w", uint64(o.Handle), uint64(after), ck.CKR_DEVICE_ERROR)
		}
		after = o.Handle
	}
	return found, resp.GetFindObjects().GetMore(), nil
}

// GetObject reads one stored object by its handle, with its blob.
func (t *Token) GetObject(ctx context.Context, h ck.ObjectHandle) (Object, error) {
	return t.getObject(ctx, &extpb.GetObjectRequest{Token: t.id, Handle: uint64(h)})
}

func (t *Token) getObject(ctx context.Context, req *extpb.GetObjectRequest) (Object, error) {
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_GetObject{GetObject: req}})
	if err != nil {
		return Object{}, err
	}
	return object(resp.GetGetObject().GetObject())
}

// SetAttributes changes attributes of a stored object, or of a key that is not
// stored; the object that comes back replaces o.
func (t *Token) SetAttributes(ctx context.Context, o Object, changes ck.Template) (Object, error) {
	attrs, err := wire.EncodeTemplate(changes)
	if err != nil {
		return Object{}, err
	}
	req := &extpb.SetAttributesRequest{RequestId: requestID(), Token: t.id, Id: o.ID, Attributes: attrs}
	if len(o.ID) == 0 {
		req.Blob = o.Blob
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_SetAttributes{SetAttributes: req}})
	if errors.Is(err, ck.CKR_FUNCTION_NOT_SUPPORTED) && len(o.ID) == 0 {
		return t.setPlain(ctx, o, changes)
	}
	if err != nil {
		return Object{}, err
	}
	return replaced(o, changes, resp.GetSetAttributes().GetObject())
}

// replaced is a changed or copied object. One that is not stored keeps the
// attributes that only the library knows.
func replaced(o Object, changes ck.Template, w *extpb.Object) (Object, error) {
	n, err := object(w)
	if err != nil || len(n.ID) > 0 {
		return n, err
	}
	n.Attributes = o.Attributes.With(changes).With(n.Attributes)
	if len(n.Blob) == 0 {
		n.Blob = o.Blob
	}
	return n, nil
}

// setPlain changes a key on a server that has only grep11.Crypto: Booleans are
// sealed in the blob, everything else is the library's.
func (t *Token) setPlain(ctx context.Context, o Object, changes ck.Template) (Object, error) {
	n := o
	n.Attributes = o.Attributes.With(changes)
	var sealed ck.Template
	for _, a := range changes {
		if a.Type.Kind() == ck.KindBool && a.Type != ck.CKA_TOKEN && a.Type != ck.CKA_PRIVATE {
			sealed = append(sealed, a)
		}
	}
	if len(sealed) == 0 {
		return n, nil
	}
	attrs, err := wire.EncodeTemplate(sealed)
	if err != nil {
		return Object{}, err
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_SetAttributeValue{
		SetAttributeValue: &grep11pb.SetAttributeValueRequest{Object: o.Blob, Attributes: attrs}}})
	if err != nil {
		return Object{}, err
	}
	n.Blob = resp.GetSetAttributeValue().GetObject()
	return n, nil
}

// CopyObject copies an object; CKA_TOKEN in changes says whether the copy is stored.
func (t *Token) CopyObject(ctx context.Context, o Object, changes ck.Template) (Object, error) {
	attrs, err := wire.EncodeTemplate(changes)
	if err != nil {
		return Object{}, err
	}
	req := &extpb.CopyObjectRequest{RequestId: requestID(), Token: t.id, Id: o.ID, Attributes: attrs}
	if len(o.ID) == 0 {
		req.Blob = o.Blob
		if req.Source, err = wire.EncodeTemplate(o.Attributes); err != nil {
			return Object{}, err
		}
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_CopyObject{CopyObject: req}})
	if errors.Is(err, ck.CKR_FUNCTION_NOT_SUPPORTED) && len(o.ID) == 0 && !stored(changes) {
		return t.setPlain(ctx, o, changes)
	}
	if err != nil {
		return Object{}, err
	}
	return replaced(o, changes, resp.GetCopyObject().GetObject())
}

// DestroyObject removes a stored object.
func (t *Token) DestroyObject(ctx context.Context, o Object) error {
	_, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_DestroyObject{DestroyObject: &extpb.DestroyObjectRequest{
		RequestId: requestID(), Token: t.id, Id: o.ID}}})
	return err
}

// KeyValue reads a value that may be read: CKA_VALUE and private components of
// keys that are neither sensitive nor unextractable. Others: CKR_ATTRIBUTE_SENSITIVE,
// beside those that could be read.
func (t *Token) KeyValue(ctx context.Context, k Key, types []ck.AttributeType) (ck.Template, error) {
	if len(k.Blob) == 0 {
		o, err := t.getObject(ctx, &extpb.GetObjectRequest{Token: t.id, Id: k.ID})
		if err != nil {
			return nil, err
		}
		k = o.Key
	}
	found, err := t.attributes(ctx, k.Blob, types)
	if err == nil || len(types) == 1 {
		return found, err
	}
	found = nil
	for _, at := range types { // one by one, for GREP11 gives all or nothing
		one, e := t.attributes(ctx, k.Blob, []ck.AttributeType{at})
		if e != nil && !errors.Is(e, ck.CKR_ATTRIBUTE_SENSITIVE) && !errors.Is(e, ck.CKR_ATTRIBUTE_TYPE_INVALID) {
			return nil, e
		}
		found = append(found, one...)
	}
	return found, err
}

func (t *Token) attributes(ctx context.Context, blob []byte, types []ck.AttributeType) (ck.Template, error) {
	want := make(wire.Attributes, len(types))
	for _, at := range types {
		want[uint64(at)] = &grep11pb.AttributeValue{}
	}
	resp, err := t.call(ctx, &extpb.Request{Call: &extpb.Request_GetAttributeValue{
		GetAttributeValue: &grep11pb.GetAttributeValueRequest{Object: blob, Attributes: want}}})
	if err != nil {
		return nil, err
	}
	return decodeKnown(resp.GetGetAttributeValue().GetAttributes())
}
