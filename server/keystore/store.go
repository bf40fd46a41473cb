package keystore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"grep11/pkcs11/ck"
)

// Store is an open key store. All methods may be called by many goroutines.
// A change is durable when its method returned nil.
type Store struct {
	db      *database
	writer  *writer
	sealKey ck.Secret // immutable

	tokens  *cache[ID, Token]
	objects *cache[ID, *Object]
	logins  *cache[ID, Login]
}

// How much is remembered; objects of more than maxCached bytes are not.
const (
	cachedTokens  = 1024
	cachedObjects = 8192
	cachedLogins  = 65536
	maxCached     = 16 << 10
)

// database is an open database: one connection that writes, several that read.
type database struct {
	dialect
	write, read *sql.DB
	release     func() error

	stmts sync.Map // of read's prepared statements, by their text
}

// stmt prepares a query once. Queries here are short and read few rows, so
// they run to their end: a driver watches a context at a price.
func (d *database) stmt(query string) (*sql.Stmt, error) {
	if s, ok := d.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := d.read.Prepare(query)
	if err != nil {
		return nil, err
	}
	if first, taken := d.stmts.LoadOrStore(query, s); taken {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

// row runs a query for one row.
func (d *database) row(query string, args ...any) *sql.Row {
	s, err := d.stmt(query)
	if err != nil {
		return d.read.QueryRow(query, args...) // with the same error in it
	}
	return s.QueryRow(args...)
}

func (d *database) close() error {
	var errs []error
	for _, db := range []*sql.DB{d.read, d.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, d.release())...)
}

// Open opens the store at dsn, a file path, and makes it where there is none.
// A store that is damaged, foreign or of a newer version is refused.
func Open(ctx context.Context, dsn string) (*Store, error) {
	db, err := openSQLite(dsn)
	if err != nil {
		return nil, err
	}
	key, err := prepare(ctx, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("key store %s: %w", dsn, explain(err)), db.close())
	}
	s := &Store{
		db: db, sealKey: key,
		tokens:  newCache[ID, Token](cachedTokens),
		objects: newCache[ID, *Object](cachedObjects),
		logins:  newCache[ID, Login](cachedLogins),
	}
	s.writer = startWriter(db, s.forget)
	return s, nil
}

// Close ends the writer after the changes that were already handed in.
func (s *Store) Close() error {
	s.writer.stop()
	return s.db.close()
}

// ServiceKey seals credentials; all servers on this store share it.
func (s *Store) ServiceKey() ck.Secret { return s.sealKey }

// forget drops what changed from the caches.
func (s *Store) forget(what []touched) {
	for _, t := range what {
		switch t.kind {
		case touchedToken:
			s.tokens.drop(t.id)
		case touchedObject:
			s.objects.drop(t.id)
		case touchedLogin:
			s.logins.drop(t.id)
		case touchedAll:
			s.tokens.clear()
			s.objects.clear()
			s.logins.clear()
		}
	}
}

// prepare makes the schema in an empty database, and checks that of any other.
func prepare(ctx context.Context, db *database) (ck.Secret, error) {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // no effect after Commit
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return nil, err
	}
	if tables == 0 {
		if err := makeSchema(ctx, tx, db.dialect); err != nil {
			return nil, err
		}
	}
	key, err := checkFormat(ctx, tx)
	if err != nil {
		return nil, err
	}
	return key, tx.Commit()
}

func makeSchema(ctx context.Context, tx *sql.Tx, d dialect) error {
	if _, err := tx.ExecContext(ctx, d.ddl()); err != nil {
		return err
	}
	key := make([]byte, 32)
	rand.Read(key)
	_, err := tx.ExecContext(ctx, `INSERT INTO service (format, version, seal_key, next_token) VALUES ($1, $2, $3, 0)`,
		formatName, formatVersion, key)
	return err
}

func checkFormat(ctx context.Context, tx *sql.Tx) (ck.Secret, error) {
	var version int
	var key []byte
	row := tx.QueryRowContext(ctx, `SELECT version, seal_key FROM service WHERE format = $1`, formatName)
	if err := row.Scan(&version, &key); err != nil {
		return nil, fmt.Errorf("the database is not a key store of this service: name another one (%w)", explain(err))
	}
	if version > formatVersion {
		return nil, fmt.Errorf("the store has format %d and this server knows formats up to %d: use a newer server: %w",
			version, formatVersion, ck.CKR_DEVICE_ERROR)
	}
	return key, nil
}
