package keystore

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"grep11/pkcs11/ck"
)

// An export is lines of JSON: a head, tokens, objects in the order of their
// handles, retained keys, an end that counts them. Blobs stay sealed; the rest is not, so
// whoever writes it to a file seals the whole (package archive).
type line struct {
	Head     *exportHead     `json:"head,omitempty"`
	Token    *exportToken    `json:"token,omitempty"`
	Object   *exportObject   `json:"object,omitempty"`
	Retained *exportRetained `json:"retained,omitempty"`
	End      *exportEnd      `json:"end,omitempty"`
}

type exportHead struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
}

type exportToken struct {
	ID      []byte `json:"id"`
	Number  uint64 `json:"number"`
	Label   string `json:"label"`
	Serial  string `json:"serial"`
	SOPIN   string `json:"so_pin"` // hashes
	UserPIN string `json:"user_pin"`
}

type exportObject struct {
	Handle     ck.ObjectHandle `json:"handle"`
	ID         []byte          `json:"id"`
	Token      uint64          `json:"token"` // its number
	Version    uint64          `json:"version"`
	Private    bool            `json:"private"`
	Attributes []byte          `json:"attributes"` // as stored
	Blob       []byte          `json:"blob"`
}

type exportRetained struct {
	ID      []byte `json:"id"`
	Secret  []byte `json:"secret"` // digests
	Refill  []byte `json:"refill"`
	Credits int64  `json:"credits"`
	Made    int64  `json:"made"`
	Blob    []byte `json:"blob"`
}

type exportEnd struct {
	Tokens   int `json:"tokens"`
	Objects  int `json:"objects"`
	Retained int `json:"retained"`
}

const (
	exportFormat  = "grep11 key store export"
	exportVersion = 2   // 1 had no retained keys
	exportPage    = 500 // objects read or written at a time
)

// Export writes all tokens, objects and retained keys as they are at one moment, also while a
// server works on the store: it reads only. progress is called now and then
// with the number of objects written.
func Export(ctx context.Context, dsn string, w io.Writer, progress func(objects int)) error {
	db, name, err := openToRead(ctx, dsn)
	if err != nil {
		return fmt.Errorf("key store %s: %w", name, err)
	}
	defer db.close()
	// One transaction sees one moment.
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{Isolation: db.snapshot, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("key store %s: %w", name, explain(err))
	}
	defer tx.Rollback()
	if db.lasting != "" {
		if _, err := tx.ExecContext(ctx, db.lasting); err != nil {
			return fmt.Errorf("key store %s: %w", name, explain(err))
		}
	}
	buffered := bufio.NewWriter(w)
	e := exporter{ctx: ctx, tx: tx, out: json.NewEncoder(buffered), progress: progress}
	if err := e.all(); err != nil {
		return fmt.Errorf("export of key store %s: %w", name, explain(err))
	}
	return buffered.Flush()
}

func openToRead(ctx context.Context, dsn string) (db *database, name string, err error) {
	if IsPostgres(dsn) {
		db, err = openPostgres(ctx, dsn)
		return db, postgresName(dsn), err
	}
	db, err = readSQLite(dsn)
	return db, dsn, err
}

type exporter struct {
	ctx      context.Context
	tx       *sql.Tx
	out      *json.Encoder
	progress func(int)
	end      exportEnd
}

func (e *exporter) all() error {
	if _, version, err := readFormat(e.ctx, e.tx); err != nil {
		return err
	} else if version != formatVersion {
		return fmt.Errorf("the store has format %d: start a server of this version on it once: %w", version, ck.CKR_DEVICE_ERROR)
	}
	head := exportHead{exportFormat, exportVersion, time.Now().UTC()}
	if err := e.out.Encode(line{Head: &head}); err != nil {
		return err
	}
	if err := e.tokens(); err != nil {
		return err
	}
	for after, n := ck.ObjectHandle(0), exportPage; n == exportPage; {
		var err error
		if n, err = e.page(&after); err != nil {
			return err
		}
		e.progress(e.end.Objects)
	}
	if err := e.retained(); err != nil {
		return err
	}
	return e.out.Encode(line{End: &e.end})
}

func (e *exporter) tokens() error {
	rows, err := e.tx.QueryContext(e.ctx, selectToken+`ORDER BY number`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t, err := scanToken(rows.Scan)
		if err != nil {
			return err
		}
		l := line{Token: &exportToken{t.ID[:], t.Number, t.Label, t.Serial, t.SO.Hash, t.User.Hash}}
		if err := e.out.Encode(l); err != nil {
			return err
		}
		e.end.Tokens++
	}
	return rows.Err()
}

func (e *exporter) retained() error {
	rows, err := e.tx.QueryContext(e.ctx, selectRetained+`ORDER BY handle`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		k, err := scanRetained(rows.Scan)
		if err != nil {
			return err
		}
		l := line{Retained: &exportRetained{k.ID[:], k.secret, k.refill, k.Credits, k.Made.Unix(), k.Blob}}
		if err := e.out.Encode(l); err != nil {
			return err
		}
		e.end.Retained++
	}
	return rows.Err()
}

func (e *exporter) page(after *ck.ObjectHandle) (n int, err error) {
	rows, err := e.tx.QueryContext(e.ctx, `SELECT handle, id, token, version, private, attributes, key_blob
		FROM objects WHERE handle > $1 ORDER BY handle LIMIT $2`, int64(*after), exportPage)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var o exportObject
		if err := rows.Scan((*uint64)(&o.Handle), &o.ID, &o.Token, &o.Version, &o.Private, &o.Attributes, &o.Blob); err != nil {
			return n, err
		}
		if err := e.out.Encode(line{Object: &o}); err != nil {
			return n, err
		}
		*after = o.Handle
		e.end.Objects++
	}
	return n, errors.Join(rows.Err(), e.ctx.Err())
}
