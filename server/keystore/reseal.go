package keystore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
)

// Sealed is a stored key's blob and its place.
type Sealed struct {
	Handle   ck.ObjectHandle
	ID       ID
	Blob     []byte
	Retained bool // a retained key, no object
}

// Sealed lists the blobs of all tokens, and of retained keys, after a handle, in
// the handles' order. Objects without a blob are left out.
func (s *Store) Sealed(ctx context.Context, after ck.ObjectHandle, limit int) (found []Sealed, err error) {
	rows, err := s.db.rows(ctx, `SELECT handle, id, key_blob, 0 AS retained FROM objects WHERE handle > $1 AND length(key_blob) > 0
		UNION ALL SELECT handle, id, key_blob, 1 FROM retained WHERE handle > $1 ORDER BY handle LIMIT $2`, int64(after), limit)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var o Sealed
		var id []byte
		if err := rows.Scan((*uint64)(&o.Handle), &id, &o.Blob, &o.Retained); err != nil {
			return nil, explain(err)
		}
		if o.ID, err = ParseID(id); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, explain(rows.Err())
}

// Reseal replaces a key's blob by the same key under another wrapping key, if
// the blob is still the one it was made of. The version moves, or a change that
// is under way would bring the old blob back.
func (s *Store) Reseal(ctx context.Context, o Sealed, blob []byte) error {
	if bytes.Equal(o.Blob, blob) || len(blob) == 0 {
		return fmt.Errorf("key %x: nothing to reseal: %w", o.ID[:], ck.CKR_ARGUMENTS_BAD)
	}
	update := `UPDATE objects SET key_blob = $1, version = version + 1 WHERE handle = $2 AND key_blob = $3`
	if o.Retained {
		update = `UPDATE retained SET key_blob = $1 WHERE handle = $2 AND key_blob = $3`
	}
	return s.writer.do(ctx, func(t *tx) error {
		n, err := t.exec(update, blob, uint64(o.Handle), o.Blob)
		if err == nil && n != 1 {
			err = errChanged
		}
		if err == nil {
			t.touch(touchedObject, o.ID)
		}
		return err
	})
}

var errChanged = fmt.Errorf("the key was changed or destroyed meanwhile: %w", ck.CKR_IBM_GREP11_CONFLICT)

// Changed tells that Reseal found another blob, or none: it is looked at again later.
func Changed(err error) bool { return errors.Is(err, errChanged) }

// BeginResealing notes that keys are sealed under the new master key of this
// pattern from now on, so that a server that starts goes on with it.
func (s *Store) BeginResealing(ctx context.Context, pattern []byte) error {
	if now, err := s.Resealing(ctx); err != nil || bytes.Equal(now, pattern) {
		return err
	}
	return s.writer.do(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM resealing`); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO resealing (pattern) VALUES ($1)`, pattern)
		return err
	})
}

// Resealing is the pattern that BeginResealing was called with last, nil if it never was.
func (s *Store) Resealing(ctx context.Context) (pattern []byte, err error) {
	err = s.db.row(ctx, `SELECT pattern FROM resealing`)(&pattern)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return pattern, explain(err)
}
