package keystore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"grep11/pkcs11/ck"
)

// Imported counts what an import did.
type Imported struct {
	Tokens, Objects, Retained int // new here
	Known                     int // objects and retained keys that were here already
}

// maxLine bounds a line of an export: the largest object, in base64.
const maxLine = 4 << 20

// maxImported bounds handles: above it are those of session objects.
const maxImported = 1 << 47

var errExport = errors.New("the export is damaged")

// Import adds the tokens, objects and retained keys of an export that are not here
// yet, known by their ids; what is here keeps its credits. Handles and token numbers stay the same where they were never
// used here, so that a restore into an empty store gives the same store. An
// import that was interrupted goes on where it was when it is done again.
func (s *Store) Import(ctx context.Context, r io.Reader, progress func(Imported)) (Imported, error) {
	im := importer{ctx: ctx, s: s, tokens: map[uint64]ID{}, progress: progress}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return im.done, fmt.Errorf("%w: %v", errExport, err)
		}
		if err := im.take(l); err != nil {
			return im.done, err
		}
	}
	if err := lines.Err(); err != nil {
		return im.done, fmt.Errorf("reading the export: %w", err)
	}
	if !im.ended {
		return im.done, fmt.Errorf("%w: it has no end", errExport)
	}
	return im.done, nil
}

type importer struct {
	ctx      context.Context
	s        *Store
	tokens   map[uint64]ID // by their numbers in the export
	page     []line        // of objects and retained keys
	objects  int           // read
	retained int           // read
	headed   bool
	ended    bool
	done     Imported
	progress func(Imported)
}

func (im *importer) take(l line) error {
	switch {
	case im.ended:
		return fmt.Errorf("%w: more after its end", errExport)
	case l.Head != nil:
		im.headed = true
		if l.Head.Format != exportFormat || l.Head.Version < 1 || l.Head.Version > exportVersion {
			return fmt.Errorf("an export of format %q, version %d, is not known here: use a newer server", l.Head.Format, l.Head.Version)
		}
		return nil
	case !im.headed:
		return fmt.Errorf("%w: it has no head", errExport)
	case l.Token != nil:
		return im.token(l.Token)
	case l.Object != nil:
		im.objects++
		return im.add(l)
	case l.Retained != nil:
		im.retained++
		return im.add(l)
	case l.End != nil:
		im.ended = true
		if *l.End != (exportEnd{len(im.tokens), im.objects, im.retained}) {
			return fmt.Errorf("%w: its end counts %+v", errExport, *l.End)
		}
		return im.flush()
	}
	return fmt.Errorf("%w: a line that says nothing", errExport)
}

// token makes the token unless it is here.
func (im *importer) token(e *exportToken) error {
	id, err := ParseID(e.ID)
	if err != nil {
		return fmt.Errorf("%w: token: %w", errExport, err)
	}
	im.tokens[e.Number] = id
	made := false
	err = im.s.writer.do(im.ctx, func(t *tx) error {
		_, err := t.token(id)
		if !errors.Is(err, ck.CKR_TOKEN_NOT_RECOGNIZED) {
			return err
		}
		made = true
		number, err := t.nextToken(e.Number)
		if err != nil {
			return err
		}
		return t.insertToken(Token{ID: id, Number: number, Label: e.Label, Serial: e.Serial,
			SO: PIN{Hash: e.SOPIN}, User: PIN{Hash: e.UserPIN}})
	})
	if err == nil && made {
		im.done.Tokens++
	}
	return err
}

func (im *importer) add(l line) error {
	if im.page = append(im.page, l); len(im.page) < exportPage {
		return nil
	}
	return im.flush()
}

// flush stores what was read, as one.
func (im *importer) flush() error {
	var now Imported
	err := im.s.writer.do(im.ctx, func(t *tx) error {
		for _, l := range im.page {
			if err := im.store(t, l, &now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	im.page = im.page[:0]
	im.done.Objects += now.Objects
	im.done.Retained += now.Retained
	im.done.Known += now.Known
	im.progress(im.done)
	return nil
}

func (im *importer) store(t *tx, l line, now *Imported) (err error) {
	var known bool
	count := &now.Objects
	if l.Object != nil {
		known, err = im.object(t, l.Object)
	} else {
		count = &now.Retained
		known, err = im.retain(t, l.Retained)
	}
	if known {
		count = &now.Known
	}
	*count++
	return err
}

func (im *importer) object(t *tx, e *exportObject) (known bool, err error) {
	o, err := e.read(im.tokens)
	if err != nil {
		return false, err
	}
	var n int
	if err := t.row(`SELECT 1 FROM objects WHERE id = $1`, []any{o.ID[:]}, &n); !errors.Is(err, sql.ErrNoRows) {
		return true, err
	}
	tok, err := t.token(o.Token)
	if err != nil {
		return false, err
	}
	return false, t.insert(tok, o, e.Attributes)
}

// read checks an object before it is stored.
func (e *exportObject) read(tokens map[uint64]ID) (*Object, error) {
	id, err := ParseID(e.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: object: %w", errExport, err)
	}
	token, ok := tokens[e.Token]
	if !ok || e.Handle == 0 || e.Handle > maxImported || len(e.Attributes) > MaxEncoded {
		return nil, fmt.Errorf("%w: object %x", errExport, e.ID)
	}
	attributes, err := decodeTemplate(e.Attributes)
	if err != nil {
		return nil, fmt.Errorf("%w: object %x", errExport, e.ID)
	}
	return &Object{ID: id, Handle: e.Handle, Token: token, Version: e.Version, Private: e.Private,
		Attributes: attributes, Blob: e.Blob}, nil
}

func (im *importer) retain(t *tx, e *exportRetained) (known bool, err error) {
	id, err := ParseID(e.ID)
	if err != nil || len(e.Secret) != sha256.Size || len(e.Refill)%sha256.Size != 0 || len(e.Blob) == 0 || e.Credits < Unlimited {
		return false, fmt.Errorf("%w: retained key %x", errExport, e.ID)
	}
	if _, err := t.retained(id); !errors.Is(err, ck.CKR_IBM_BLOB_ERROR) {
		return true, err
	}
	return false, t.insertRetained(Retained{ID: id, Credits: e.Credits, Made: time.Unix(e.Made, 0), Blob: e.Blob, secret: e.Secret, refill: e.Refill})
}
