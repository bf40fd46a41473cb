package keystore

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"

	"grep11/pkcs11/ck"
)

// Changes of all servers come one after the other here as they do in SQLite:
// whoever writes holds the service's row. That the queries need no more of a
// database than this is why one text serves both.
var postgresDialect = dialect{
	bytes:   "BYTEA",
	handles: "BIGINT",
	begin:   []string{"BEGIN", "SELECT version FROM service FOR UPDATE"},
	tables:  "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()",
	tell:    "SELECT pg_notify('" + channel + "', $1)",

	snapshot: sql.LevelRepeatableRead,
	lasting:  "SET LOCAL idle_in_transaction_session_timeout = '10min'", // whoever takes an export may be slow
}

// A server that is stopped or cut off in the middle of a transaction must not
// hold up the others for longer than a caller waits for one of them.
var postgresLimits = map[string]string{
	"statement_timeout":                   "10s",
	"idle_in_transaction_session_timeout": "1s",
	"application_name":                    "grep11",
}

// IsPostgres tells an address of PostgreSQL from a path.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// postgresName is the address without its password, for messages.
func postgresName(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "postgres://(not an address)"
	}
	return u.Redacted()
}

func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the address is not understood: write postgres://USER@HOST:PORT/DATABASE") // err shows the password
	}
	for name, value := range postgresLimits {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTime
	}
	dialer := &net.Dialer{Control: giveUp}
	c.DialFunc = dialer.DialContext
	return c, nil
}

// A connection that carries nothing any more is given up after a while, rather
// than when TCP does, which is minutes.
const (
	connectTime = 2 * time.Second
	silenceTime = 3 * time.Second
)

func giveUp(network, _ string, conn syscall.RawConn) (err error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	failed := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silenceTime.Milliseconds()))
	})
	return errors.Join(failed, err)
}

func openPostgres(ctx context.Context, dsn string) (*database, error) {
	c, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := &database{dialect: postgresDialect, shared: dsn, release: func() error { return nil }}
	db.write, db.read = stdlib.OpenDB(*c), stdlib.OpenDB(*c)
	for _, pool := range []*sql.DB{db.write, db.read} {
		pool.SetMaxOpenConns(readers)
		pool.SetMaxIdleConns(readers)
	}
	if err := db.write.PingContext(ctx); err != nil {
		return nil, errors.Join(explain(err), db.close())
	}
	return db, nil
}

// postgresFailures are by SQLSTATE.
var postgresFailures = map[string]failure{
	"53100": {ck.CKR_DEVICE_MEMORY, "the database's disk is full: make room"},
	"25006": {ck.CKR_DEVICE_ERROR, "the database is read-only, perhaps a standby: name the primary"},
	"28P01": {ck.CKR_DEVICE_ERROR, "the database refuses the password"},
	"28000": {ck.CKR_DEVICE_ERROR, "the database refuses the user"},
	"3D000": {ck.CKR_DEVICE_ERROR, "there is no such database: create it"},
	"42501": {ck.CKR_DEVICE_ERROR, "the user may not use the tables: grant it the rights of their owner"},
	"57014": {ck.CKR_DEVICE_ERROR, "the database did not answer in time"},
	"57P01": {ck.CKR_DEVICE_ERROR, "the database is stopped"},
	"57P03": {ck.CKR_DEVICE_ERROR, "the database starts or stops"},
	"XX001": {ck.CKR_DEVICE_ERROR, "the database is damaged: restore it from a backup"},
}
