package keystore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
	"grep11/pkcs11/mech"
)

// Retained is a key that callers use by a handle in place of its blob
// (CKM_IBM_RETAINKEY). Whoever has the handle may use it. A handle is the key's id
// and a secret, of which the store keeps the digest: what it lists, and what a
// backup holds, is no handle. Nothing of it is remembered, since its uses count.
type Retained struct {
	ID      ID
	Place   ck.ObjectHandle // among the objects, by their handles
	Credits int64           // uses left; Unlimited: they are not counted
	Made    time.Time
	Blob    []byte

	secret []byte // digest of the rest of the caller's handle
	refill []byte // digest of what gives new credits; empty: nothing does
}

// Unlimited are the credits of a key whose uses are not counted.
const Unlimited = -1

const selectRetained = `SELECT handle, id, secret, refill, credits, made, key_blob FROM retained `

func scanRetained(scan scanner) (k Retained, err error) {
	var id []byte
	var made int64
	if err := scan((*uint64)(&k.Place), &id, &k.secret, &k.refill, &k.Credits, &made, &k.Blob); err != nil {
		return k, err
	}
	k.Made = time.Unix(made, 0)
	k.ID, err = ParseID(id)
	return k, err
}

// noRetained is one answer for what is not there and what was altered.
func noRetained(id ID, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("no retained key %x has this handle: %w", id[:], ck.CKR_IBM_BLOB_ERROR)
	}
	return explain(err)
}

// Sealed is the key's blob and its place.
func (k Retained) Sealed() Sealed {
	return Sealed{Handle: k.Place, ID: k.ID, Blob: k.Blob, Retained: true}
}

func digest(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// Retain stores a key and gives its handle.
func (s *Store) Retain(ctx context.Context, blob []byte, credits int64, refill ck.Secret) (handle []byte, err error) {
	handle = make([]byte, mech.LenRetained)
	rand.Read(handle)
	k := Retained{ID: ID(handle), Credits: credits, Made: time.Now(), Blob: blob, secret: digest(handle[len(ID{}):])}
	if len(refill) > 0 {
		k.refill = digest(refill)
	}
	if err := s.writer.do(ctx, func(t *tx) error { return t.insertRetained(k) }); err != nil {
		return nil, err
	}
	return handle, nil
}

func (t *tx) insertRetained(k Retained) error {
	place, err := t.nextHandle(k.Place)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO retained (handle, id, secret, refill, credits, made, key_blob) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		uint64(place), k.ID[:], k.secret, notNull(k.refill), k.Credits, k.Made.Unix(), k.Blob)
	return err
}

// Retained finds the key that a handle of mech.LenRetained bytes stands for. One
// that stands for none is CKR_IBM_BLOB_ERROR.
func (s *Store) Retained(ctx context.Context, handle []byte) (Retained, error) {
	id, secret := ID(handle), handle[len(ID{}):]
	k, err := scanRetained(s.db.row(ctx, selectRetained+`WHERE id = $1`, id[:]))
	if err == nil && subtle.ConstantTimeCompare(k.secret, digest(secret)) != 1 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return Retained{}, noRetained(id, err)
	}
	return k, nil
}

// Spend takes a credit for a use that is about to happen, where they are counted. A key
// that has none is CKR_KEY_EXHAUSTED.
func (s *Store) Spend(ctx context.Context, k Retained) error {
	if k.Credits == Unlimited {
		return nil
	}
	return s.writer.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE retained SET credits = credits - 1 WHERE id = $1 AND credits > 0`, k.ID[:])
		if err != nil || n == 1 {
			return err
		}
		now, err := t.retained(k.ID)
		if err == nil && now.Credits != Unlimited {
			err = fmt.Errorf("retained key %x has no credits left: %w", k.ID[:], ck.CKR_KEY_EXHAUSTED)
		}
		return err
	})
}

func (t *tx) retained(id ID) (Retained, error) {
	k, err := scanRetained(func(into ...any) error { return t.row(selectRetained+`WHERE id = $1`, []any{id[:]}, into...) })
	return k, noRetained(id, err)
}

// Refill sets a key's credits anew for whoever knows what it was retained with;
// anything else is CKR_MECHANISM_PARAM_INVALID.
func (s *Store) Refill(ctx context.Context, id ID, credits int64, refill ck.Secret) error {
	return s.writer.do(ctx, func(t *tx) error {
		k, err := t.retained(id)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(k.refill, digest(refill)) != 1 {
			return fmt.Errorf("retained key %x has other refill data, or none: %w", id[:], ck.CKR_MECHANISM_PARAM_INVALID)
		}
		_, err = t.exec(`UPDATE retained SET credits = $1 WHERE id = $2`, credits, id[:])
		return err
	})
}

// ListRetained lists retained keys after a place, in the order of their places.
func (s *Store) ListRetained(ctx context.Context, after ck.ObjectHandle, limit int) (keys []Retained, err error) {
	rows, err := s.db.rows(ctx, selectRetained+`WHERE handle > $1 ORDER BY handle LIMIT $2`, int64(after), limit)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scanRetained(rows.Scan)
		if err != nil {
			return nil, explain(err)
		}
		keys = append(keys, k)
	}
	return keys, explain(rows.Err())
}

// RemoveRetained removes a key; what its handle stood for is gone.
func (s *Store) RemoveRetained(ctx context.Context, id ID) error {
	return s.writer.do(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM retained WHERE id = $1`, id[:])
		if err == nil && n == 0 {
			err = noRetained(id, sql.ErrNoRows)
		}
		return err
	})
}
