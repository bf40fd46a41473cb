package keystore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// database is an open database: one connection that writes, several that read.
type database struct {
	dialect
	write, read *sql.DB
	shared      string // where other servers announce their changes; empty: there are none
	release     func() error
	here        *presence // of what is across a network

	stmts sync.Map // of read's prepared statements, by their text
}

// stmt prepares a query once.
func (d *database) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := d.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := d.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, taken := d.stmts.LoadOrStore(query, s); taken {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

// rows runs a query. Queries read few rows; where there is no network that
// could hold them up they run to their end, for a driver watches a context at
// a price.
func (d *database) rows(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	if d.shared == "" {
		return d.query(context.Background(), query, args)
	}
	if err := d.here.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	still := context.AfterFunc(d.here.context(), func() { cancel(errAway) })
	rows, err = d.query(ctx, query, args)
	if !still() && err != nil {
		err = errAway
	}
	return rows, err
}

func (d *database) query(ctx context.Context, query string, args []any) (rows *sql.Rows, err error) {
	// After a restart of the database each connection of the pool may be dead.
	for try := 0; try == 0 || try <= readers && lostConnection(err) && ctx.Err() == nil; try++ {
		var s *sql.Stmt
		if s, err = d.stmt(ctx, query); err == nil {
			rows, err = s.QueryContext(ctx, args...)
		}
		if err == nil {
			break
		}
	}
	return rows, err
}

// row runs a query for one row, for what scans it. None is sql.ErrNoRows.
func (d *database) row(ctx context.Context, query string, args ...any) scanner {
	return func(into ...any) error {
		rows, err := d.rows(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			return errors.Join(rows.Err(), sql.ErrNoRows)
		}
		return rows.Scan(into...)
	}
}

// scanner reads the columns of one row.
type scanner func(into ...any) error

func (d *database) close() error {
	var errs []error
	for _, db := range []*sql.DB{d.read, d.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, d.release())...)
}
