package local

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"grep11/grep11client/extpb"
	"grep11/grep11client/grep11pb"
	"grep11/grep11client/wire"
	"grep11/pkcs11/ck"
)

const maxPage = 1000

// isTrue reads a stored Boolean.
func isTrue(o *extpb.Object, at ck.AttributeType, absent bool) bool {
	v, ok := o.Attributes[uint64(at)]
	if !ok {
		return absent
	}
	return v.GetAttributeTF()
}

func class(o *extpb.Object) ck.ObjectClass {
	return ck.ObjectClass(o.Attributes[uint64(ck.CKA_CLASS)].GetAttributeI())
}

// private objects are shown to the user alone.
func private(o *extpb.Object) bool {
	c := class(o)
	return isTrue(o, ck.CKA_PRIVATE, c == ck.CKO_PRIVATE_KEY || c == ck.CKO_SECRET_KEY)
}

func (l login) sees(o *extpb.StoreObject) bool {
	return !private(o.Object) || l.user == ck.CKU_USER && l.token == string(o.Token)
}

// object finds what a caller may see, by its id or its handle. Handles can be
// guessed: one of a hidden object is none. Caller holds s.mu and has looked.
func (s *Store) object(token, credential, id []byte, handle uint64) (*extpb.StoreObject, error) {
	l, err := s.who(credential)
	if err != nil {
		return nil, err
	}
	byHandle := len(id) == 0
	if byHandle {
		id = []byte(s.handles[handle])
	}
	o := s.objects[string(id)]
	if o == nil || string(o.Token) != string(token) || byHandle && !l.sees(o) {
		return nil, fmt.Errorf("no such object: %w", ck.CKR_OBJECT_HANDLE_INVALID)
	}
	if !l.sees(o) {
		return nil, fmt.Errorf("a private object: %w", ck.CKR_USER_NOT_LOGGED_IN)
	}
	return o, nil
}

// add stores new objects, and gives them ids and handles.
func (s *Store) add(token, credential []byte, objects ...*extpb.Object) error {
	if len(objects) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change(func() (*extpb.StoreRecord, error) {
		if _, err := s.token(token); err != nil {
			return nil, err
		}
		l, err := s.who(credential)
		if err != nil {
			return nil, err
		}
		record := &extpb.StoreRecord{NextHandle: s.handle}
		for _, o := range objects {
			o.Id, o.Handle, o.Version = random(16), record.NextHandle, 1
			record.NextHandle++
			stored := &extpb.StoreObject{Token: token, Object: o}
			if !l.sees(stored) {
				return nil, ck.CKR_USER_NOT_LOGGED_IN
			}
			record.Objects = append(record.Objects, stored)
		}
		return record, nil
	})
}

// public is an object as it is given out: blobs stay, but for GetObject.
func public(o *extpb.Object, blob bool) *extpb.Object {
	o = proto.CloneOf(o)
	if !blob {
		o.Blob = nil
	}
	return o
}

func (s *Store) createObject(credential []byte, r *extpb.CreateObjectRequest) (*extpb.ObjectResponse, error) {
	if _, err := wire.DecodeTemplate(r.Attributes); err != nil {
		return nil, err
	}
	o := &extpb.Object{Attributes: r.Attributes, Blob: r.Blob}
	if err := s.add(r.Token, credential, o); err != nil {
		return nil, err
	}
	return &extpb.ObjectResponse{Object: public(o, false)}, nil
}

func (s *Store) findObjects(credential []byte, r *extpb.FindObjectsRequest) (*extpb.FindObjectsResponse, error) {
	want, err := wire.DecodeTemplate(r.Template)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(); err != nil {
		return nil, err
	}
	l, err := s.who(credential)
	if err != nil {
		return nil, err
	}
	out := &extpb.FindObjectsResponse{}
	for _, h := range s.after(r.After) {
		o := s.objects[s.handles[h]]
		if string(o.Token) != string(r.Token) || !l.sees(o) || !matches(o.Object, want) {
			continue
		}
		if len(out.Objects) >= int(min(max(r.Max, 1), maxPage)) {
			out.More = true
			break
		}
		out.Objects = append(out.Objects, public(o.Object, false))
	}
	return out, nil
}

// after lists handles above one, in order.
func (s *Store) after(handle uint64) []uint64 {
	var out []uint64
	for h := range s.handles {
		if h > handle {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out
}

// matches compares values as an application sees them, so that the forms they
// came in do not matter.
func matches(o *extpb.Object, want ck.Template) bool {
	for _, w := range want {
		if w.Type == ck.CKA_UNIQUE_ID {
			if string(w.Value) != hex.EncodeToString(o.Id) {
				return false
			}
			continue
		}
		v, ok := o.Attributes[uint64(w.Type)]
		if !ok {
			return false
		}
		one, err := wire.DecodeTemplate(wire.Attributes{uint64(w.Type): v})
		if err != nil || len(one) != 1 || !one[0].Equal(w) {
			return false
		}
	}
	return true
}

func (s *Store) getObject(credential []byte, r *extpb.GetObjectRequest) (*extpb.ObjectResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.look(); err != nil {
		return nil, err
	}
	o, err := s.object(r.Token, credential, r.Id, r.Handle)
	if err != nil {
		return nil, err
	}
	return &extpb.ObjectResponse{Object: public(o.Object, true)}, nil
}

func (s *Store) destroyObject(credential []byte, r *extpb.DestroyObjectRequest) (*extpb.DestroyObjectResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.change(func() (*extpb.StoreRecord, error) {
		o, err := s.object(r.Token, credential, r.Id, 0)
		if err != nil {
			return nil, err
		}
		if !isTrue(o.Object, ck.CKA_DESTROYABLE, true) {
			return nil, fmt.Errorf("not destroyable: %w", ck.CKR_ACTION_PROHIBITED)
		}
		return &extpb.StoreRecord{DeletedObjects: [][]byte{r.Id}}, nil
	})
	return &extpb.DestroyObjectResponse{}, err
}

// setAttributes changes a stored object, or a key that is not stored. What the
// blob seals is changed by the service first; if another process was quicker
// with its own change, the caller is told to look again.
func (s *Store) setAttributes(ctx context.Context, credential []byte, r *extpb.SetAttributesRequest) (*extpb.ObjectResponse, error) {
	if len(r.Id) == 0 {
		blob, err := s.reseal(ctx, r.Blob, r.Attributes)
		return &extpb.ObjectResponse{Object: &extpb.Object{Blob: blob, Attributes: r.Attributes}}, err
	}
	got, err := s.getObject(credential, &extpb.GetObjectRequest{Token: r.Token, Id: r.Id})
	if err != nil {
		return nil, err
	}
	o := got.Object
	if !isTrue(o, ck.CKA_MODIFIABLE, true) {
		return nil, fmt.Errorf("not modifiable: %w", ck.CKR_ACTION_PROHIBITED)
	}
	if o.Blob, err = s.reseal(ctx, o.Blob, r.Attributes); err != nil {
		return nil, err
	}
	o.Attributes = overlaid(o.Attributes, r.Attributes)
	if err := s.put(credential, r.Token, o); err != nil {
		return nil, err
	}
	return &extpb.ObjectResponse{Object: public(o, false)}, nil
}

// put replaces an object that nobody has changed since it was read.
func (s *Store) put(credential, token []byte, o *extpb.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change(func() (*extpb.StoreRecord, error) {
		now, err := s.object(token, credential, o.Id, 0)
		if err != nil {
			return nil, err
		}
		if now.Object.Version != o.Version {
			return nil, fmt.Errorf("changed by another process meanwhile: %w", ck.CKR_IBM_GREP11_CONFLICT)
		}
		o.Version++
		return &extpb.StoreRecord{Objects: []*extpb.StoreObject{{Token: token, Object: o}}}, nil
	})
}

func overlaid(under, over wire.Attributes) wire.Attributes {
	out := make(wire.Attributes, len(under)+len(over))
	for k, v := range under {
		out[k] = v
	}
	for k, v := range over {
		out[k&0xFFFFFFFF] = v
	}
	return out
}

// sealed are the Booleans that a blob holds (grep11-wire 10.5) and a template
// may change; all else is the store's.
var sealed = []ck.AttributeType{ck.CKA_EXTRACTABLE, ck.CKA_MODIFIABLE, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER,
	ck.CKA_DECRYPT, ck.CKA_ENCRYPT, ck.CKA_DERIVE, ck.CKA_UNWRAP, ck.CKA_WRAP, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER,
	ck.CKA_TRUSTED, ck.CKA_WRAP_WITH_TRUSTED}

// reseal lets the service change what a key's blob holds, if the changes touch that.
func (s *Store) reseal(ctx context.Context, blob []byte, changes wire.Attributes) ([]byte, error) {
	inside := wire.Attributes{}
	for _, at := range sealed {
		if v, ok := changes[uint64(at)]; ok {
			inside[uint64(at)] = v
		}
	}
	if len(blob) == 0 || len(inside) == 0 {
		return blob, nil
	}
	resp, err := s.service(ctx, &extpb.Request{Call: &extpb.Request_SetAttributeValue{
		SetAttributeValue: &grep11pb.SetAttributeValueRequest{Object: blob, Attributes: inside}}})
	return resp.GetSetAttributeValue().GetObject(), err
}

// copyObject copies a stored object or a key that is not stored.
func (s *Store) copyObject(ctx context.Context, credential []byte, r *extpb.CopyObjectRequest) (*extpb.ObjectResponse, error) {
	from := &extpb.Object{Blob: r.Blob, Attributes: r.Source}
	if len(r.Id) > 0 {
		got, err := s.getObject(credential, &extpb.GetObjectRequest{Token: r.Token, Id: r.Id})
		if err != nil {
			return nil, err
		}
		from = got.Object
	}
	if !isTrue(from, ck.CKA_COPYABLE, true) {
		return nil, fmt.Errorf("not copyable: %w", ck.CKR_ACTION_PROHIBITED)
	}
	blob, err := s.reseal(ctx, from.Blob, r.Attributes)
	if err != nil {
		return nil, err
	}
	made := &extpb.Object{Blob: blob, Attributes: overlaid(from.Attributes, r.Attributes)}
	delete(made.Attributes, uint64(ck.CKA_UNIQUE_ID))
	if !isTrue(made, ck.CKA_TOKEN, false) {
		return &extpb.ObjectResponse{Object: made}, nil
	}
	if err := s.add(r.Token, credential, made); err != nil {
		return nil, err
	}
	return &extpb.ObjectResponse{Object: public(made, false)}, nil
}
