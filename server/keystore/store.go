package keystore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grep11/pkcs11/ck"
)

// Store is an open key store. All methods may be called by many goroutines.
// A change is durable when its method returned nil.
type Store struct {
	db       *database
	writer   *writer
	listener *listener // nil where no other server can change the store
	sealKey  ck.Secret // immutable

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

// Open opens the store at dsn: the path of a SQLite file, which is made where
// there is none, or the postgres:// address of a database that several servers
// may share. A store that is damaged, foreign or of a newer version is refused.
func Open(ctx context.Context, dsn string) (*Store, error) {
	name, open := dsn, openSQLite
	if IsPostgres(dsn) {
		name, open = postgresName(dsn), openPostgres
	}
	db, err := open(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", name, err)
	}
	key, err := prepare(ctx, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("key store %s: %w", name, explain(err)), db.close())
	}
	s := &Store{
		db: db, sealKey: key,
		tokens:  newCache[ID, Token](cachedTokens),
		objects: newCache[ID, *Object](cachedObjects),
		logins:  newCache[ID, Login](cachedLogins),
	}
	self := NewID()
	if db.shared != "" {
		s.listener = startListener(db.shared, self, s.forget)
		db.here = &s.listener.here
		s.tokens.sure, s.objects.sure, s.logins.sure = s.listener.sure, s.listener.sure, s.listener.sure
		s.tokens.spare, s.objects.spare, s.logins.spare = s.listener.spare, s.listener.spare, s.listener.spare
	}
	s.writer = startWriter(db, self, s.forget)
	return s, nil
}

// BridgeOutage has tokens, objects and logins that were in use serve on, for so
// long, while a shared database does not answer. Changes that other servers make
// meanwhile are not heard of. Without it nothing is served so.
func (s *Store) BridgeOutage(d time.Duration) {
	if s.listener != nil {
		s.listener.outage.Store(int64(d))
	}
}

// Close ends the writer after the changes that were already handed in.
func (s *Store) Close() error {
	s.writer.stop()
	if s.listener != nil {
		s.listener.stop()
	}
	// SQLite's last connection puts the log into the file, and must be one that writes.
	err := s.db.read.Close()
	s.writer.disconnect()
	return errors.Join(err, s.db.close())
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
