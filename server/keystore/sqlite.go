package keystore

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"grep11/pkcs11/ck"
)

var sqliteDialect = dialect{
	bytes:   "BLOB",
	handles: "INTEGER",
	tree:    "WITHOUT ROWID",
	begin:   []string{"BEGIN IMMEDIATE"},
	tables:  "SELECT count(*) FROM sqlite_master",
}

// readers is how many connections search at the same time.
const readers = 8

// openSQLite opens the file for its one writer and its readers. The caches
// above hold what the file says, so a second process is kept out.
func openSQLite(_ context.Context, path string) (*database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	// SQLite gives its -wal and -shm files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db := &database{dialect: sqliteDialect, release: lock.Close}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if db.write, err = openFile(path, 1, "_txlock=immediate"); err == nil {
		db.read, err = openFile(path, readers, "_query_only=true")
	}
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

// readSQLite opens a file that a server may have open, to read alone.
func readSQLite(path string) (db *database, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	db = &database{dialect: sqliteDialect, release: func() error { return nil }}
	db.read, err = openFile(path, 1, "_query_only=true")
	return db, err
}

func openFile(path string, connections int, option string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?mode=rw&_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_cache_size=-16384&" + option
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(context.Background()); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("it is in use by another server: stop that one, or share a PostgreSQL store"), f.Close())
	}
	return f, nil
}

// sqliteFailures says what a SQLite error means for the caller, and what to do.
var sqliteFailures = map[sqlite3.ErrNo]failure{
	sqlite3.ErrNotADB:   {ck.CKR_DEVICE_ERROR, "the file is no SQLite database: name another file, or move this one away"},
	sqlite3.ErrCorrupt:  {ck.CKR_DEVICE_ERROR, "the database is damaged: restore it from a backup"},
	sqlite3.ErrFull:     {ck.CKR_DEVICE_MEMORY, "the disk is full: make room"},
	sqlite3.ErrReadonly: {ck.CKR_DEVICE_ERROR, "the file may not be written: check its owner and mode"},
	sqlite3.ErrCantOpen: {ck.CKR_DEVICE_ERROR, "the file cannot be opened: check the folder's owner and mode"},
	sqlite3.ErrIoErr:    {ck.CKR_DEVICE_ERROR, "the disk reports an error: check it, and the space left"},
}
