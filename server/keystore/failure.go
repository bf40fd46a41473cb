package keystore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"grep11/pkcs11/ck"
)

// failure is what a database's error means for the caller, and what to do.
type failure struct {
	rv   ck.RV
	text string
}

// explain gives a database error its RV. Errors that have one keep it.
func explain(err error) error {
	var rv ck.RV
	if err == nil || errors.As(err, &rv) || errors.Is(err, context.Canceled) {
		return err
	}
	if f, ok := meaning(err); ok {
		return fmt.Errorf("%s (%v): %w", f.text, err, f.rv)
	}
	return fmt.Errorf("%v: %w", err, ck.CKR_DEVICE_ERROR)
}

func meaning(err error) (f failure, ok bool) {
	var s sqlite3.Error
	var p *pgconn.PgError
	var c *pgconn.ConnectError
	switch {
	case errors.As(err, &s):
		f, ok = sqliteFailures[s.Code]
	case errors.As(err, &p):
		f, ok = postgresFailures[p.Code]
	case errors.As(err, &c):
		return failure{ck.CKR_DEVICE_ERROR, "the database cannot be reached: check that it runs, and the address"}, true
	}
	return f, ok
}

// lostConnection tells that a database across a network gave no answer to a
// query; another connection may get one.
func lostConnection(err error) bool {
	var p *pgconn.PgError
	var s sqlite3.Error
	var c *pgconn.ConnectError
	if errors.As(err, &p) {
		return p.Code == "57P01" // said while the connection was cut
	}
	return !errors.As(err, &s) && !errors.As(err, &c)
}
