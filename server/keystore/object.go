package keystore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
)

// ID names a token, an object, a login or a request: 16 random bytes.
type ID [16]byte

// NewID makes an id.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// ParseID reads an id that came from outside; a wrong length is CKR_ARGUMENTS_BAD.
func ParseID(b []byte) (id ID, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("id of %d bytes instead of %d: %w", len(b), len(id), ck.CKR_ARGUMENTS_BAD)
	}
	return ID(b), nil
}

// Object is a stored object. Handle is never used again. Attributes include
// those that the blob seals, as its unit reported them; none is sensitive.
// An Object that came from the store is shared: do not change what it points to.
type Object struct {
	ID         ID
	Handle     ck.ObjectHandle
	Token      ID
	Version    uint64
	Private    bool
	Attributes ck.Template
	Blob       []byte
}

// A search does not read blobs.
const (
	selectObject = `SELECT o.handle, o.id, o.version, o.private, o.attributes, o.key_blob FROM objects o `
	selectFound  = `SELECT o.handle, o.id, o.version, o.private, o.attributes, NULL `
)

func scanObject(token ID, scan scanner) (*Object, error) {
	o := &Object{Token: token}
	var id, attributes []byte
	err := scan((*uint64)(&o.Handle), &id, &o.Version, &o.Private, &attributes, &o.Blob)
	if err != nil {
		return nil, err
	}
	if o.ID, err = ParseID(id); err != nil {
		return nil, err
	}
	o.Attributes, err = decodeTemplate(attributes)
	return o, err
}

func noObject(what any, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("object %x is not here: %w", what, ck.CKR_OBJECT_HANDLE_INVALID)
	}
	return explain(err)
}

// Object reads an object with its blob. One that is not there, or is another
// token's, is CKR_OBJECT_HANDLE_INVALID.
func (s *Store) Object(ctx context.Context, token, id ID) (*Object, error) {
	o, err := s.objects.get(id, func() (*Object, bool, error) {
		tok, err := s.Token(ctx, token)
		if err != nil {
			return nil, false, err
		}
		o, err := scanObject(token, s.db.row(ctx, selectObject+`WHERE o.id = $1 AND o.token = $2`, id[:], tok.Number))
		if err != nil {
			return nil, false, noObject(id[:], err)
		}
		return o, o.size() <= maxCached, nil
	})
	if err == nil && o.Token != token {
		return nil, noObject(id[:], sql.ErrNoRows)
	}
	return o, err
}

func (o *Object) size() int {
	n := len(o.Blob)
	for _, a := range o.Attributes {
		n += len(a.Value)
	}
	return n
}

// ObjectByHandle is Object for a handle.
func (s *Store) ObjectByHandle(ctx context.Context, token ID, h ck.ObjectHandle) (*Object, error) {
	tok, err := s.Token(ctx, token)
	if err != nil {
		return nil, err
	}
	var id []byte
	err = s.db.row(ctx, `SELECT id FROM objects WHERE handle = $1 AND token = $2`, int64(h), tok.Number)(&id)
	if err != nil {
		return nil, noObject(uint64(h), err)
	}
	return s.Object(ctx, token, ID(id))
}

// Create stores new objects of one token, all or none. It fills in their
// handles and then asks for the result to remember for the request; it gives
// the result of the request's first answer, which may be an earlier one.
func (s *Store) Create(ctx context.Context, r Request, objects []*Object, result func() ([]byte, error)) ([]byte, error) {
	encoded := make([][]byte, len(objects))
	for i, o := range objects {
		var err error
		if encoded[i], err = encodeTemplate(o.Attributes); err != nil {
			return nil, err
		}
	}
	return s.once(ctx, r, func(t *tx) ([]byte, error) {
		tok, err := t.token(r.Token)
		if err != nil {
			return nil, err
		}
		for i, o := range objects {
			if err := t.insert(tok, o, encoded[i]); err != nil {
				return nil, err
			}
		}
		return result()
	})
}

// insert stores an object, with the handle it has if that was never used.
func (t *tx) insert(tok Token, o *Object, encoded []byte) error {
	handle, err := t.nextHandle(o.Handle)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO objects (handle, id, token, version, private, attributes, key_blob)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		uint64(handle), o.ID[:], tok.Number, o.Version, truth(o.Private), encoded, notNull(o.Blob))
	if err != nil {
		return err
	}
	o.Handle = handle
	return t.addMarks(tok, o)
}

// Update replaces attributes and blob of an object that still has the version
// before o's; another change in between is CKR_IBM_GREP11_CONFLICT.
func (s *Store) Update(ctx context.Context, r Request, o *Object) error {
	encoded, err := encodeTemplate(o.Attributes)
	if err != nil {
		return err
	}
	_, err = s.once(ctx, r, func(t *tx) ([]byte, error) {
		tok, old, err := t.object(r.Token, o.ID)
		if err != nil {
			return nil, err
		}
		if old.Version+1 != o.Version {
			return nil, fmt.Errorf("object %x was changed meanwhile: %w", o.ID[:], ck.CKR_IBM_GREP11_CONFLICT)
		}
		t.touch(touchedObject, o.ID)
		if err := t.removeMarks(tok, old); err != nil {
			return nil, err
		}
		if _, err := t.exec(`UPDATE objects SET version = $1, private = $2, attributes = $3, key_blob = $4 WHERE handle = $5`,
			o.Version, truth(o.Private), encoded, notNull(o.Blob), uint64(o.Handle)); err != nil {
			return nil, err
		}
		return nil, t.addMarks(tok, o)
	})
	return err
}

// Destroy removes an object.
func (s *Store) Destroy(ctx context.Context, r Request, id ID) error {
	_, err := s.once(ctx, r, func(t *tx) ([]byte, error) {
		tok, old, err := t.object(r.Token, id)
		if err != nil {
			return nil, err
		}
		t.touch(touchedObject, id)
		if err := t.removeMarks(tok, old); err != nil {
			return nil, err
		}
		_, err = t.exec(`DELETE FROM objects WHERE handle = $1`, uint64(old.Handle))
		return nil, err
	})
	return err
}

// object reads an object as the transaction sees it.
func (t *tx) object(token, id ID) (Token, *Object, error) {
	tok, err := t.token(token)
	if err != nil {
		return tok, nil, err
	}
	o, err := scanObject(token, func(into ...any) error {
		return t.row(selectObject+`WHERE o.id = $1 AND o.token = $2`, []any{id[:], tok.Number}, into...)
	})
	if err != nil {
		return tok, nil, noObject(id[:], err)
	}
	return tok, o, nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
