package keystore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"grep11/pkcs11/ck"
)

// migrations[i] takes a store of format i+1 to format i+2. A server that is
// older than its store refuses it, so none is ever undone.
var migrations = []string{
	// Handles are counted here and not by the database, so that a restored
	// object can keep its own.
	`ALTER TABLE service ADD COLUMN next_handle BIGINT NOT NULL DEFAULT 1;
	UPDATE service SET next_handle = (SELECT COALESCE(max(handle), 0) + 1 FROM objects)`,
	retainedTable,
	resealingTable,
}

// formatName and formatVersion tell our stores from others, and old from new.
const formatName = "grep11 key store"

var formatVersion = 1 + len(migrations)

var errForeign = errors.New("the database is not a key store that this server can use")

// prepare makes the schema in an empty database, and checks that of any other.
// Of servers that start together on an empty database, one makes the schema;
// the others fail at that, and find it there when they look again.
func prepare(ctx context.Context, db *database) (key ck.Secret, err error) {
	for range 3 {
		if key, err = db.prepare(ctx); err == nil || errors.Is(err, errForeign) {
			break
		}
	}
	return key, err
}

func (d *database) prepare(ctx context.Context) (ck.Secret, error) {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // no effect after Commit
	var tables int
	if err := tx.QueryRowContext(ctx, d.tables).Scan(&tables); err != nil {
		return nil, err
	}
	if tables == 0 {
		if err := makeSchema(ctx, tx, d.dialect); err != nil {
			return nil, err
		}
	}
	key, version, err := readFormat(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, tx, d.dialect, version); err != nil {
		return nil, err
	}
	return key, tx.Commit()
}

func makeSchema(ctx context.Context, tx *sql.Tx, d dialect) error {
	if _, err := tx.ExecContext(ctx, d.ddl(schema)); err != nil {
		return err
	}
	key := make([]byte, 32)
	rand.Read(key)
	_, err := tx.ExecContext(ctx, `INSERT INTO service (format, version, seal_key, next_token, next_handle) VALUES ($1, $2, $3, 0, 1)`,
		formatName, formatVersion, key)
	return err
}

func readFormat(ctx context.Context, tx *sql.Tx) (key ck.Secret, version int, err error) {
	row := tx.QueryRowContext(ctx, `SELECT version, seal_key FROM service WHERE format = $1`, formatName)
	if err := row.Scan(&version, (*[]byte)(&key)); err != nil {
		return nil, 0, fmt.Errorf("%w: name another one (%w)", errForeign, explain(err))
	}
	return key, version, tooNew(version)
}

func tooNew(version int) error {
	if version <= formatVersion {
		return nil
	}
	return fmt.Errorf("%w: it has format %d, known here are formats up to %d: use a newer server: %w",
		errForeign, version, formatVersion, ck.CKR_DEVICE_ERROR)
}

// migrate brings a store to today's format.
func migrate(ctx context.Context, tx *sql.Tx, d dialect, version int) error {
	if version == formatVersion {
		return nil
	}
	for v := version; v < formatVersion; v++ {
		if _, err := tx.ExecContext(ctx, d.ddl(migrations[v-1])); err != nil {
			return fmt.Errorf("migration of the store from format %d: %w", v, err)
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE service SET version = $1`, formatVersion)
	return err
}
