package keystore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"grep11/pkcs11/ck"
)

// A batch is what was waiting while the one before was made durable.
const (
	maxBatch = 256
	maxQueue = 1024

	batchTime = 10 * time.Second // where there is a network to wait for
)

// writer owns the connection that writes. It runs the changes that callers
// hand in one after the other, each in its savepoint, commits many at once,
// and answers after the commit: one flush of the disk serves all of them.
type writer struct {
	*database
	self   ID // tells its announcements from those of other servers
	forget func([]touched)
	queue  chan *change
	done   chan struct{}

	mu     sync.RWMutex // held shared while handing in, so that stop can end the queue
	closed bool         // guarded by mu

	// Only the writer's goroutine:
	conn   *sql.Conn // nil until needed, and after it failed
	known  map[string]*sql.Stmt
	tidied time.Time
}

// change is one caller's change; run is called at most once.
type change struct {
	ctx  context.Context
	run  func(*tx) error
	err  error
	done chan struct{}
}

// tx is the open transaction as a change sees it.
type tx struct {
	w       *writer
	ctx     context.Context // the batch's
	touched []touched
	next    ck.ObjectHandle // the next handle; 0: not read yet
}

// touched names something that caches must forget after the commit.
type touched struct {
	kind touchedKind
	id   ID
}

type touchedKind uint8

const (
	touchedToken touchedKind = iota
	touchedObject
	touchedLogin
	touchedAll
)

func startWriter(db *database, self ID, forget func([]touched)) *writer {
	w := &writer{
		database: db, self: self, forget: forget,
		queue: make(chan *change, maxQueue), done: make(chan struct{}),
		known: map[string]*sql.Stmt{},
	}
	go w.loop()
	return w
}

// stop ends the writer when the queue is empty, and waits for it. Its connection
// stays, for disconnect.
func (w *writer) stop() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
}

// do hands in a change and waits until it is durable or refused. A caller that
// gives up before does not know which.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	c := &change{ctx: ctx, run: run, done: make(chan struct{})}
	if err := w.handIn(ctx, c); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the key store: %w", ctx.Err())
	}
}

func (w *writer) handIn(ctx context.Context, c *change) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fmt.Errorf("the key store is closed: %w", ck.CKR_DEVICE_REMOVED)
	}
	select {
	case w.queue <- c:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the key store: %w", ctx.Err())
	}
}

func (w *writer) loop() {
	defer close(w.done)
	for c := range w.queue {
		batch := w.gather(c)
		if err := w.commit(batch); err != nil {
			err = fmt.Errorf("key store: %w", explain(err))
			for _, c := range batch {
				c.err = err
			}
		}
		for _, c := range batch {
			close(c.done)
		}
	}
}

// gather takes what is waiting.
func (w *writer) gather(first *change) []*change {
	batch := []*change{first}
	for len(batch) < maxBatch {
		select {
		case c, ok := <-w.queue:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch as one transaction. A change that is refused leaves no
// trace; an error of commit means that none of the batch happened.
func (w *writer) commit(batch []*change) error {
	ctx, cancel := context.WithTimeout(w.here.context(), batchTime)
	defer cancel()
	if w.shared == "" {
		ctx = context.Background() // see database.rows
	}
	t := &tx{w: w, ctx: ctx}
	if err := t.runAll(batch); err != nil {
		w.disconnect()
		if errors.Is(context.Cause(ctx), errAway) {
			err = errAway
		}
		return err
	}
	w.forget(t.touched)
	return nil
}

func (t *tx) runAll(batch []*change) error {
	if err := t.w.connect(t.ctx); err != nil {
		return err
	}
	if err := t.beginAlone(); err != nil {
		return err
	}
	for _, c := range batch {
		if c.err = c.ctx.Err(); c.err != nil {
			continue
		}
		if err := t.attempt(c); err != nil {
			return err
		}
	}
	if err := t.tidy(); err != nil {
		return err
	}
	if err := errors.Join(t.keepNext(), t.announce()); err != nil {
		return err
	}
	_, err := t.exec(`COMMIT`)
	return err
}

// beginAlone starts the transaction, in the format that this server knows.
func (t *tx) beginAlone() error {
	for _, st := range t.w.begin {
		if _, err := t.exec(st); err != nil {
			return err
		}
	}
	var version int
	if err := t.row(`SELECT version FROM service`, nil, &version); err != nil {
		return err
	}
	return tooNew(version)
}

// attempt runs one change in its savepoint. The error is the batch's.
func (t *tx) attempt(c *change) error {
	if _, err := t.exec(`SAVEPOINT change`); err != nil {
		return err
	}
	if err := c.run(t); err != nil {
		c.err = explain(err)
		if _, err := t.exec(`ROLLBACK TO SAVEPOINT change`); err != nil {
			return fmt.Errorf("%w (then %w)", c.err, err)
		}
	}
	_, err := t.exec(`RELEASE SAVEPOINT change`)
	return err
}

func (w *writer) connect(ctx context.Context) (err error) {
	if w.conn == nil {
		w.conn, err = w.write.Conn(ctx)
	}
	return err
}

// disconnect gives up the connection, and with it what it did not commit.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.known {
		_ = stmt.Close() // or SQLite keeps the connection
	}
	clear(w.known)
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it
	w.conn = nil
}

// exec runs a statement and tells how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.w.prepared(t.ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a query for one row. sql.ErrNoRows stays as it is.
func (t *tx) row(query string, args []any, into ...any) error {
	stmt, err := t.w.prepared(t.ctx, query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(t.ctx, args...).Scan(into...)
}

func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := w.known[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, query)
	if err == nil {
		w.known[query] = stmt
	}
	return stmt, err
}

func (t *tx) touch(kind touchedKind, id ID) {
	t.touched = append(t.touched, touched{kind, id})
}
