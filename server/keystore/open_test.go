package keystore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grep11/pkcs11/ck"
)

func mustExec(t *testing.T, path string, statements ...string) {
	t.Helper()
	dsn, driver := dsnOf(t, path), "sqlite3"
	if IsPostgres(dsn) {
		driver = "pgx"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, st := range statements {
		if _, err := db.Exec(st); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"a file that is no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("text "), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no SQLite database"},
		{"another program's database", func(t *testing.T, path string) {
			mustExec(t, path, `CREATE TABLE songs (title TEXT)`)
		}, "not a key store that"},
		{"a service table of another program", func(t *testing.T, path string) {
			mustExec(t, path, `CREATE TABLE service (format TEXT, version BIGINT, seal_key BLOB)`)
		}, "not a key store that"},
		{"a store of a newer server", func(t *testing.T, path string) {
			open(t, path).Close()
			mustExec(t, path, `UPDATE service SET version = version + 1`)
		}, "use a newer server"},
		{"a store cut short", func(t *testing.T, path string) {
			open(t, path).Close()
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		}, "damaged"},
		{"a store that another server has open", func(t *testing.T, path string) { open(t, path) }, "in use by another server"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		{"a path below nothing", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
	} {
		path := filepath.Join(t.TempDir(), "sub", "s.db")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		test.make(t, path)
		s, err := Open(context.Background(), path)
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", test.name)
			continue
		}
		if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "s.db"))
	newToken(t, s, "one")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestServiceKeyStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	key := s.ServiceKey()
	s.Close()
	if len(key) != 32 || !bytes.Equal(open(t, path).ServiceKey(), key) {
		t.Error("another key after reopening")
	}
}

func TestClosedStoreRefusesChanges(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	tok := newToken(t, s, "one")
	s.Close()
	_, err := s.Create(context.Background(), newRequest(tok.ID, "CreateObject"), []*Object{newKey(tok.ID, "k")}, noResult)
	if !errors.Is(err, ck.CKR_DEVICE_REMOVED) {
		t.Error(err)
	}
}

func TestOlderStoreIsMigrated(t *testing.T) {
	undo := []string{`DROP TABLE resealing`, `DROP TABLE retained`, `ALTER TABLE service DROP COLUMN next_handle`} // from the last format on
	for version := 1; version < formatVersion; version++ {
		path := filepath.Join(t.TempDir(), "s.db")
		s := open(t, path)
		tok := newToken(t, s, "one")
		o := newKey(tok.ID, "old")
		create(t, s, o)
		s.Close()
		mustExec(t, path, append(undo[:formatVersion-version:formatVersion-version], fmt.Sprintf(`UPDATE service SET version = %d`, version))...)
		s = open(t, path)
		n := newKey(tok.ID, "new")
		create(t, s, n)
		if n.Handle <= o.Handle {
			t.Errorf("handle %d after %d", n.Handle, o.Handle)
		}
		if found, _, err := s.Find(context.Background(), tok.ID, byLabel("old")); err != nil || len(found) != 1 {
			t.Error(len(found), err)
		}
		if k := retained(t, s, 1); k.Place <= n.Handle {
			t.Errorf("a retained key's place is %d after %d", k.Place, n.Handle)
		}
	}
}

func TestStoreThatWasMigratedMeanwhileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	tok := newToken(t, s, "one")
	mustExec(t, path, `UPDATE service SET version = version + 1`) // as another server's migration
	_, err := s.Create(context.Background(), newRequest(tok.ID, "CreateObject"), []*Object{newKey(tok.ID, "k")}, noResult)
	if err == nil || !strings.Contains(err.Error(), "use a newer server") {
		t.Error(err)
	}
}

func TestStoreKnowsWhichMasterKeyItIsResealedUnder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	ctx := context.Background()
	if p, err := s.Resealing(ctx); err != nil || p != nil {
		t.Fatalf("a new store: %x, %v", p, err)
	}
	for _, p := range []string{"first", "second", "second"} {
		if err := s.BeginResealing(ctx, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if p, err := open(t, path).Resealing(ctx); err != nil || string(p) != "second" {
		t.Errorf("after reopening: %q, %v", p, err)
	}
}
