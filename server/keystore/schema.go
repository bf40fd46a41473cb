package keystore

import (
	"database/sql"
	"strings"
)

// dialect holds the few places where SQL databases differ. All queries use
// numbered placeholders in the order of their numbers, which every database
// here understands.
type dialect struct {
	bytes   string   // the type of byte strings
	handles string   // the type of the column that orders a table
	tree    string   // after a table that is nothing but its primary key
	begin   []string // starts a transaction that alone may write
	tables  string   // counts the tables that are there
	tell    string   // tells the other servers what changed; empty: there are none
	// A transaction that sees one moment: its isolation, and what lets it last.
	snapshot sql.IsolationLevel
	lasting  string
}

// ddl puts the database's own words into statements about tables.
func (d dialect) ddl(text string) string {
	return strings.NewReplacer("BYTES", d.bytes, "HANDLES", d.handles, "TREE", d.tree).Replace(text)
}

// Handles and token numbers are counted in the service's row and never used
// again. Objects and marks name their token by its number. A mark is the digest of
// one indexed attribute (see markOf): short, of one length, and in the order
// that a search reads. Times are seconds since 1970.
const schema = `
CREATE TABLE service (
	format      TEXT   NOT NULL PRIMARY KEY,
	version     BIGINT NOT NULL,
	seal_key    BYTES  NOT NULL,
	next_token  BIGINT NOT NULL,
	next_handle BIGINT NOT NULL
);
CREATE TABLE tokens (
	id            BYTES  NOT NULL PRIMARY KEY,
	number        BIGINT NOT NULL UNIQUE,
	label         TEXT   NOT NULL,
	serial        TEXT   NOT NULL,
	so_pin        TEXT   NOT NULL,
	so_failures   BIGINT NOT NULL,
	user_pin      TEXT   NOT NULL,
	user_failures BIGINT NOT NULL
);
CREATE TABLE objects (
	handle     HANDLES PRIMARY KEY,
	id         BYTES  NOT NULL UNIQUE,
	token      BIGINT NOT NULL,
	version    BIGINT NOT NULL,
	private    BIGINT NOT NULL,
	attributes BYTES  NOT NULL,
	key_blob   BYTES  NOT NULL
);
CREATE INDEX objects_of_token ON objects (token, handle);
CREATE TABLE marks (
	token  BIGINT NOT NULL,
	mark   BYTES  NOT NULL,
	handle BIGINT NOT NULL,
	PRIMARY KEY (token, mark, handle)
) TREE;
CREATE TABLE requests (
	id     BYTES  NOT NULL PRIMARY KEY,
	method TEXT   NOT NULL,
	token  BYTES  NOT NULL,
	result BYTES  NOT NULL,
	made   BIGINT NOT NULL
) TREE;
CREATE INDEX requests_by_age ON requests (made);
CREATE TABLE logins (
	id    BYTES  NOT NULL PRIMARY KEY,
	token BIGINT NOT NULL,
	role  BIGINT NOT NULL,
	until BIGINT NOT NULL
) TREE;
CREATE INDEX logins_of_token ON logins (token, role);
CREATE INDEX logins_by_age ON logins (until);
` + retainedTable + resealingTable

// Retained keys belong to no token. They are counted with the objects, so that
// both have one order. Secret and refill are digests.
const retainedTable = `
CREATE TABLE retained (
	handle   HANDLES PRIMARY KEY,
	id       BYTES  NOT NULL UNIQUE,
	secret   BYTES  NOT NULL,
	refill   BYTES  NOT NULL,
	credits  BIGINT NOT NULL,
	made     BIGINT NOT NULL,
	key_blob BYTES  NOT NULL
);
`

// The one row is the pattern of the master key that stored keys were sealed under
// last while it was about to replace another one.
const resealingTable = `
CREATE TABLE resealing (
	pattern BYTES NOT NULL PRIMARY KEY
);
`
